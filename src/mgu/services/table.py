"""The gateway's services as one table, in the order in which they start."""

import sys

from mgu.paths import RACOON_CONF, WPA_SUPPLICANT_CONF, under_root
from wire.lean import Final
from wire.record import Record

# -P keeps the working directory out of sys.path
MGU: Final = (sys.executable, "-P", "-m", "mgu.main")


class ServiceError(Exception):
    """A service could not be enabled, started or stopped; the text says why and what to do."""


class Service(Record, kw_only=True):
    """One daemon: `program`, then `command`, whose paths are the manual's, below the root.

    `capabilities` is the most the daemon ever needs, before it drops what only its start needs;
    `folders` are those that it writes to: below /run until the next boot, below /var/lib for ever.
    """

    name: str
    stage: str
    summary: str
    command: tuple[str, ...]
    capabilities: frozenset[str]
    folders: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    program: tuple[str, ...] = MGU

    @property
    def argv(self) -> list[str]:
        """What runs the daemon in the foreground."""
        words = [str(under_root(word)) if word.startswith("/") else word for word in self.command]
        return [*self.program, *words]


SERVICES: Final = (
    Service(
        name="localntp",
        stage="time",
        summary="clock of the gateway, from local NTP servers",
        command=("timed",),
        capabilities=frozenset({"CAP_SYS_TIME", "CAP_DAC_READ_SEARCH"}),
        folders=("/run/mgu/localntp", "/var/lib/mgu/localntp"),
    ),
    Service(
        name="wpa_supplicant",
        stage="port",
        summary="IEEE 802.1X port authentication",
        command=("supplicant", "-D", "wired", "-i", "eth0", "-c", WPA_SUPPLICANT_CONF),
        capabilities=frozenset(
            {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"}
        ),
        folders=("/run/wpa_supplicant",),
        after=("localntp",),
    ),
    Service(
        name="racoon",
        stage="tunnel",
        summary="IKEv1 keying of IPsec",
        command=("iked", "-F", "-f", RACOON_CONF),
        capabilities=frozenset(
            {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE", "CAP_DAC_READ_SEARCH"}
        ),
        folders=("/run/mgu/racoon", "/run/racoon"),
        after=("localntp", "wpa_supplicant"),
    ),
)


def service(name: str) -> Service:
    """Raises: ServiceError if there is none of that name."""
    for candidate in SERVICES:
        if candidate.name == name:
            return candidate
    known = ", ".join(each.name for each in SERVICES)
    raise ServiceError(f"there is no service '{name}'; there are {known}")


def become_user(name: str) -> None:
    """Have this process, a daemon of the service `name`, go on as the daemons' user."""
    from mgu import privileges  # late: the commands that ask about services do not need it

    privileges.become_user(under_root(folder) for folder in service(name).folders)
