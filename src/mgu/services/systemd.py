"""Services as systemd units below /etc/systemd/system (systemd.service(5), systemd.exec(5))."""

import subprocess
from pathlib import Path

from mgu import exits
from mgu.files import write_whole
from mgu.services.power import power_of
from mgu.services.table import MGU, Service, ServiceError
from wire.lean import Final

UNIT_DIR: Final = Path("/etc/systemd/system")
_OURS: Final = "# Written by mgusec."

_UNIT: Final = """\
{ours}
[Unit]
Description={summary}
After=network-pre.target {after}
{wants}StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
{floor}ExecStart={command}
Restart=on-failure
RestartSec=5
RestartPreventExitStatus={give_up}
TimeoutStartSec=90
WatchdogSec=60
{power}
[Install]
WantedBy=multi-user.target
"""
# What needs the right date is ordered after time-sync.target, as systemd.special(7) has it; this
# brings it about, and never fails. It is not enabled: the first service wants it, and it ends with
# that. Our own daemons wait by themselves, with everything loaded; on a small machine they start
# at the same moment, and go first.
_WAIT: Final = """\
{ours}
[Unit]
Description=mgusec: the date is right
After=localntp.service
PartOf=localntp.service
Before=time-sync.target
Wants=time-sync.target

[Service]
Type=oneshot
RemainAfterExit=yes
Nice=10
ExecStart=-{command}
TimeoutStartSec=infinity
PrivateNetwork=yes
{power}"""
_WAIT_UNIT: Final = "localntp-wait.service"
_WAIT_DATE: Final = 30  # seconds; then the port is opened without the right date


class Systemd:
    name = "systemd"

    def __init__(self, units: Path = UNIT_DIR) -> None:
        self._units = units

    def enable(self, service: Service) -> None:
        self._install(service)
        _systemctl("enable", _unit(service))

    def disable(self, service: Service) -> None:
        path = self._units / _unit(service)
        if path.exists():
            _systemctl("disable", _unit(service))

    def enabled(self, service: Service) -> bool:
        return _asks("is-enabled", service)

    def running(self, service: Service) -> bool:
        return _asks("is-active", service)

    def start(self, service: Service, within: float) -> None:
        self._install(service)
        try:
            _systemctl("start", _unit(service), within=within)
        except subprocess.TimeoutExpired:
            what = f"{service.name} was not ready within {within:g} s"
        except ServiceError as error:
            what = str(error)
        else:
            return
        raise ServiceError(f"{what}{_last_words(service)}")

    def stop(self, service: Service) -> None:
        if self.running(service):
            _systemctl("stop", _unit(service))

    def _install(self, service: Service) -> None:
        """Write what is new or changed. Another's unit of that name is respected."""
        units = {_unit(service): unit_text(service)}
        if not service.after:
            units[_WAIT_UNIT] = wait_text()
        changed = [self._written(self._units / name, text) for name, text in units.items()]
        if any(changed):
            _systemctl("daemon-reload")

    @staticmethod
    def _written(path: Path, text: str) -> bool:
        """Whether the unit had to be written."""
        if path.exists():
            present = path.read_text(encoding="utf-8")
            if present == text:
                return False
            if not present.startswith(_OURS):
                raise ServiceError(
                    f"{path} was not written by mgusec; move it away, then run the command again"
                )
        write_whole(path, text.encode())
        return True


def wait_text() -> str:
    """The file of the unit that waits for the date."""
    command = f"{' '.join(MGU)} localNTP --wait infinity"
    return _WAIT.format(ours=_OURS, command=command, power=power_of(frozenset(), ()))


def unit_text(service: Service) -> str:
    """The unit file of `service`."""
    first = not service.after
    command = service.argv if first else [*service.argv, "--wait-date", str(_WAIT_DATE)]
    return _UNIT.format(
        ours=_OURS,
        summary=f"mgusec: {service.summary}",
        after=" ".join(f"{name}.service" for name in service.after),
        give_up=f"{exits.NO_PERMISSION} {exits.USAGE}",
        wants=f"Wants={_WAIT_UNIT}\n" if first else "",
        floor=f"ExecStartPre=+{' '.join(MGU)} up floor\n" if first else "",
        command=" ".join(command),
        power=power_of(service.capabilities, service.folders),
    )


def _last_words(service: Service) -> str:
    """What the daemon logged last, as the journal has it."""
    words = ["journalctl", "--no-pager", "-o", "cat", "-n", "5", "-u", _unit(service)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    return "".join(f"\n  {line}" for line in lines)


def _unit(service: Service) -> str:
    return f"{service.name}.service"


def _systemctl(*words: str, within: float | None = None) -> None:
    """Raises: ServiceError with what systemctl said; TimeoutExpired."""
    result = subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, check=False, timeout=within
    )
    if result.returncode:
        first = result.stderr.strip().partition("\n")[0]
        raise ServiceError(f"systemctl {' '.join(words)}: {first}")


def _asks(question: str, service: Service) -> bool:
    return not subprocess.run(
        ["systemctl", "--quiet", question, _unit(service)], check=False, capture_output=True
    ).returncode
