"""The gateway's daemons as services of the init system, or without one.

Three backends, chosen by what is there, never by which programs happen to be installed:
systemd if /run/systemd/system exists; SysV init scripts if process 1 is `init` and there is
/etc/init.d; `plain` otherwise, and always below a root other than `/`. Every call can be repeated.
"""

import sys
from pathlib import Path

from mgu.paths import root
from mgu.services.table import SERVICES, Service, ServiceError, service
from wire.lean import Final, Protocol

__all__ = [
    "SERVICES",
    "Service",
    "ServiceError",
    "backend",
    "disable",
    "enable",
    "enabled",
    "running",
    "service",
    "start",
    "stop",
]

START_LIMIT: Final = 15.0  # seconds until a daemon must have said that it is ready


class Backend(Protocol):
    """What starts services. Each call raises ServiceError when it fails."""

    @property
    def name(self) -> str: ...

    def enable(self, service: Service) -> None: ...

    def disable(self, service: Service) -> None: ...

    def enabled(self, service: Service) -> bool: ...

    def start(self, service: Service, within: float) -> None: ...

    def stop(self, service: Service) -> None: ...

    def running(self, service: Service) -> bool: ...


def backend() -> Backend:
    """The backend for this machine and root."""
    from mgu.services.plain import Plain

    if root() != Path("/"):
        return Plain()
    if Path("/run/systemd/system").is_dir():
        from mgu.services.systemd import Systemd

        return Systemd()
    if Path("/proc/1/comm").read_text().strip() == "init" and Path("/etc/init.d").is_dir():
        from mgu.services.sysv import SysV

        return SysV()
    return Plain()


def enable(name: str) -> None:
    """Have `name` started at every boot; the first one makes the daemons' user."""
    from mgu import account  # late, as most calls enable nothing

    if (why := account.make()) is not None:
        print(f"{name} will run as root: {why}", file=sys.stderr)
    backend().enable(service(name))


def disable(name: str) -> None:
    """Have `name` not started at boot; one that runs is not changed."""
    backend().disable(service(name))


def enabled(name: str) -> bool:
    return backend().enabled(service(name))


def start(name: str, within: float = START_LIMIT) -> None:
    """Start `name`, if it does not run, and wait until it says that it is ready.

    Raises: ServiceError if it ends, or is not ready `within` seconds; its last words are quoted.
    """
    backend().start(service(name), within)


def stop(name: str) -> None:
    """Stop `name`, if it runs, and wait until it is gone."""
    backend().stop(service(name))


def running(name: str) -> bool:
    return backend().running(service(name))
