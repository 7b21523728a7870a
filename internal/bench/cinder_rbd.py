"""Cinder's RBDDriver without its services: each line "OPERATION FIRST N WORKERS" runs the driver's
own method N times, on volumes that are numbered from FIRST, WORKERS at once; the answer is "ok" or
what went wrong."""
import eventlet

eventlet.monkey_patch()  # as cinder-volume does
import logging
import sys
import types

from oslo_concurrency import processutils
from oslo_config import cfg

from cinder import context
from cinder import objects
from cinder.volume import configuration
from cinder.volume import driver
from cinder.volume.drivers import rbd

logging.disable(logging.CRITICAL)
cfg.CONF([], project="cinder", default_config_files=[])
objects.register_all()
options = configuration.Configuration(driver.volume_opts, config_group="ceph")
options.append_config_values(rbd.RBD_OPTS)
for name, value in {"rbd_ceph_conf": sys.argv[1], "rbd_user": "cinder", "rbd_pool": "volumes",
                    "max_over_subscription_ratio": "20.0"}.items():
    cfg.CONF.set_override(name, value, group="ceph")
cinder = rbd.RBDDriver(configuration=options, execute=processutils.execute)
cinder.do_setup(context.get_admin_context())


def volume(name):
    return types.SimpleNamespace(id=name, name=name, size=1, encryption_key_id=None, volume_type=None,
                                 volume_type_id=None, use_quota=True, multiattach=False)


def create(i, first):
    cinder.create_volume(volume("volume-n%d" % i))


def clone(i, first):
    cinder.create_cloned_volume(volume("volume-n%d-clone" % i), volume("volume-n%d" % i))


def clone_first(i, first):
    cinder.create_cloned_volume(volume("volume-n%d-clone" % i), volume("volume-n%d" % first))


def snapshot(i, first):
    cinder.create_snapshot(types.SimpleNamespace(name="snapshot-%d" % i, volume_name="volume-snapped", volume_size=1))


def delete(i, first):
    cinder.delete_volume(volume("volume-n%d" % i))


def connect(i, first):
    assert cinder.initialize_connection(volume("volume-kept0"), {})["data"]["hosts"]


def stats(i, first):
    cinder._update_volume_stats()
    assert cinder._stats["backend_state"] == "up"


print("ok", flush=True)
for line in sys.stdin:
    operation, first, n, workers = line.split()
    first, n, workers = int(first), int(n), int(workers)
    try:
        work = globals()[operation]
        if workers == 1:
            for i in range(first, first + n):
                work(i, first)
        else:
            pool = eventlet.GreenPool(workers)
            for _ in pool.imap(work, range(first, first + n), [first] * n):
                pass
        print("ok", flush=True)
    except Exception as e:
        print("%s: %s: %s" % (operation, type(e).__name__, str(e).replace("\n", " ")), flush=True)
