"""Services as SysV init scripts below /etc/init.d, with the header of LSB 5.0, 22.3.

A script is a few lines that call `mgu up` and `mgu down`: the work is that of the plain backend.
"""

import contextlib
from pathlib import Path

from mgu.files import write_whole
from mgu.services.plain import Plain
from mgu.services.table import MGU, SERVICES, Service, ServiceError
from wire.lean import Final

ETC: Final = Path("/etc")
_OURS: Final = "# Written by mgusec; 'disable' removes its links."
_SCRIPT: Final = """\
#!/bin/sh
{ours}
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:    $local_fs {after}
# Required-Stop:     $local_fs
# Should-Start:      $network $syslog
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: {summary}
### END INIT INFO
case "$1" in
    start) exec {mgu} up {stage} ;;
    stop) exec {mgu} down {stage} ;;
    restart|force-reload) "$0" stop; exec "$0" start ;;
    status) exec {mgu} up --status {stage} ;;
    *) echo "usage: $0 start|stop|restart|force-reload|status" >&2; exit 3 ;;
esac
"""
_START_LEVELS: Final = "2345"
_STOP_LEVELS: Final = "016"


class SysV:
    """`etc` is where init.d and the rcN.d folders are."""

    name = "SysV"

    def __init__(self, etc: Path = ETC) -> None:
        self._etc = etc
        self._processes = Plain()

    def enable(self, service: Service) -> None:
        script = self._etc / "init.d" / service.name
        if script.exists() and _OURS not in script.read_text(encoding="utf-8"):
            raise ServiceError(
                f"{script} was not written by mgusec; move it away, then run the command again"
            )
        write_whole(script, script_text(service).encode(), 0o755)
        for link in self._links(service):
            link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                link.symlink_to(f"../init.d/{service.name}")

    def disable(self, service: Service) -> None:
        for link in self._links(service):
            link.unlink(missing_ok=True)

    def enabled(self, service: Service) -> bool:
        return all(link.is_symlink() for link in self._links(service))

    def running(self, service: Service) -> bool:
        return self._processes.running(service)

    def start(self, service: Service, within: float) -> None:
        self._processes.start(service, within)

    def stop(self, service: Service) -> None:
        self._processes.stop(service)

    def _links(self, service: Service) -> list[Path]:
        """Started in the order of the table, stopped in reverse."""
        place = SERVICES.index(service)
        starts = [f"rc{level}.d/S{20 + place}{service.name}" for level in _START_LEVELS]
        stops = [f"rc{level}.d/K{80 - place}{service.name}" for level in _STOP_LEVELS]
        return [self._etc / name for name in starts + stops]


def script_text(service: Service) -> str:
    """The init script of `service`."""
    return _SCRIPT.format(
        ours=_OURS,
        name=service.name,
        after=" ".join(service.after),
        summary=service.summary,
        mgu=" ".join(MGU),
        stage=service.stage,
    )
