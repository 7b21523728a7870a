"""What our Observe reads, with sushy as far as sushy has it: it knows no tasks and no boot options,
and Debian's package lacks a folder that it needs for attribute registries."""
import logging
import os
import sys
import warnings

for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(name, None)  # it goes before verify=False
import sushy

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
url, user, password = sys.argv[1:]


def read(what):
    """A stored service lacks resources that it links to."""
    try:
        return what()
    except sushy.exceptions.SushyError as e:
        missing.append(e)
        return []


missing = []
service = sushy.Sushy(url, username=user, password=password, verify=False)
system = service.get_system()
controllers = system.storage.get_members()
drives = sum(len(c.drives) for c in controllers)
volumes = sum(len(read(lambda: c.volumes.get_members())) for c in controllers)
ports = read(lambda: system.ethernet_interfaces.get_members())
read(lambda: system.secure_boot.enabled)
read(lambda: system.managers[0].firmware_version)
attributes = read(lambda: system.bios.attributes)
read(lambda: system.bios.pending_attributes)
print("%d storage controllers, %d drives, %d volumes, %d network ports, %d BIOS attributes; not read: %d resources" % (
    len(controllers), drives, volumes, len(ports), len(attributes), len(missing)))
service._auth.close()
