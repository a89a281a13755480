"""Where the manual puts each file. Everything hangs below one root, `MGU_ROOT` (default `/`)."""

import os

from wire.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def root() -> "Path":
    from pathlib import Path  # late: its import is a tenth of a short command's time

    return Path(os.environ.get("MGU_ROOT", "/"))


def under_root(path: str) -> "Path":
    """`path` (absolute, as the manual prints it) below the root."""
    return root() / path.lstrip("/")


def located(path: str) -> str:
    """As `under_root`, as text."""
    return os.path.join(os.environ.get("MGU_ROOT", "/"), path.lstrip("/"))


# Configuration, as the manual names it
WPA_SUPPLICANT_CONF = "/etc/wpa_supplicant.conf"
WPA_CERT_DIR = "/etc/wpa_cert"
RACOON_CONF = "/etc/racoon.conf"
RACOON_DIR = "/etc/racoon"
PSK_TXT = "/etc/racoon/psk.txt"
RACOON_CERTS = "/etc/racoon/certs"
IFCFG_DIR = "/etc/sysconf/network-scripts"
LOCALNTP_CONF = "/etc/localntp.conf"
LOCALNTP_KEYS = "/etc/localntp.keys"
LOCALNTP_CA = "/etc/localntp.ca.pem"

# State that outlives a reboot
STATE_DIR = "/var/lib/mgu"
SAVED_TIME = "/var/lib/mgu/localntp/time"
FREQUENCY = "/var/lib/mgu/localntp/drift"

# What lives until the next reboot
RUN_DIR = "/run/mgu"
TIME_SYNCHRONIZED = "/run/mgu/localntp/synchronized"
TIME_STATUS = "/run/mgu/localntp/status.json"
TIME_LOCK = "/run/mgu/localntp/lock"
WPA_CTRL_DIR = "/var/run/wpa_supplicant"
RACOON_SOCKET = "/var/run/racoon/racoon.sock"
