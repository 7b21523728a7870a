"""Cinder's RBDDriver without its services: each line "OPERATION FIRST N" runs the driver's own
method N times, on volumes that are numbered from FIRST; the answer is "ok" or what went wrong."""
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


def create(i):
    cinder.create_volume(volume("volume-n%d" % i))


def clone(i):
    cinder.create_cloned_volume(volume("volume-n%d-clone" % i), volume("volume-n%d" % i))


def snapshot(i):
    cinder.create_snapshot(types.SimpleNamespace(name="snapshot-%d" % i, volume_name="volume-snapped", volume_size=1))


def delete(i):
    cinder.delete_volume(volume("volume-n%d" % i))


def connect(i):
    assert cinder.initialize_connection(volume("volume-kept0"), {})["data"]["hosts"]


def stats(i):
    cinder._update_volume_stats()
    assert cinder._stats["backend_state"] == "up"


print("ok", flush=True)
for line in sys.stdin:
    operation, first, n = line.split()
    try:
        work = globals()[operation]
        for i in range(int(first), int(first) + int(n)):
            work(i)
        print("ok", flush=True)
    except Exception as e:
        print("%s: %s: %s" % (operation, type(e).__name__, str(e).replace("\n", " ")), flush=True)
