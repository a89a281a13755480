"""The gateway's way up: floor time, NTP, port, tunnel; from the files alone, and the way down.

Each stage is a service (see `mgu.services`) and a condition that says that it has done its work.
A stage that was not configured is passed over; one that does not come up in time stays at work,
and the next one is begun: a gateway without access for an administrator must keep trying.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from mgu import clock, services, timekeeping
from mgu.paths import RACOON_SOCKET, TIME_STATUS, WPA_CTRL_DIR, under_root
from wire.files import read
from wire.lean import Final
from wire.record import Record

STEP: Final = 0.05  # seconds between two looks
NOT_CONFIGURED: Final = "not configured"
INTERFACE: Final = "eth0"


class Look(Record):
    """How far a stage is: whether it has done its work, and what is known in words."""

    done: bool
    text: str = ""


class Stage(Record, kw_only=True):
    """A service and how to `look` at its work; `limit` is seconds."""

    name: str
    service: str
    limit: float
    remedy: str
    configure: str
    look: Callable[[], Look]


class Report(Record):
    """What became of a stage, in one line."""

    stage: str
    text: str
    failed: bool = False

    def __str__(self) -> str:
        return f"{self.stage:<7} {self.text}"


def raise_to_floor() -> Report:
    """The first stage, before any network: the date is not before what surely has passed."""
    from ntp.system.errors import ClockRefused

    try:
        raised = timekeeping.raise_to_floor(timekeeping.gateway_clock())
    except ClockRefused as error:
        return Report("floor", f"failed: {error}", failed=True)
    how = "raised to the floor" if raised else "not before the floor"
    return Report("floor", f"{_date()}, {how}")


def bring_up(stage: Stage, limit: float | None = None) -> Report:
    """Start the stage and wait until it has done its work, at most `limit` seconds."""
    if not services.enabled(stage.service):
        return Report(stage.name, f"{NOT_CONFIGURED} ({stage.configure} does that)")
    end = time.monotonic() + (stage.limit if limit is None else limit)
    if stage is TIME and not services.running(stage.service):
        timekeeping.unmark_right()  # the service that kept the clock was killed
    try:
        services.start(stage.service)
    except services.ServiceError as error:
        return Report(stage.name, f"failed: {error}", failed=True)
    while not (now := stage.look()).done:
        if time.monotonic() > end:
            return _not_yet(stage, now, "; it keeps trying")
        if not services.running(stage.service):
            return Report(stage.name, f"{stage.service} ended: {stage.remedy}", failed=True)
        time.sleep(STEP)
    return Report(stage.name, now.text)


def _not_yet(stage: Stage, now: Look, then: str = "") -> Report:
    known = f" ({now.text})" if now.text else ""
    return Report(stage.name, f"not yet{known}{then}: {stage.remedy}", failed=True)


def take_down(stage: Stage) -> Report:
    """Stop the stage, if it runs."""
    was_running = services.running(stage.service)
    try:
        _stop(stage)
    except services.ServiceError as error:
        return Report(stage.name, f"failed: {error}", failed=True)
    if stage is TIME:
        timekeeping.unmark_right()  # from now on the clock is not kept right
    return Report(stage.name, "stopped" if was_running else "was not running")


def _stop(stage: Stage) -> None:
    """In order, also where the keying daemon was killed. It has left its policies then, which block
    what they protected; only the next one knows them, and removes them at its end.

    Raises: ServiceError.
    """
    services.stop(stage.service)
    if stage is TUNNEL and _was_killed():
        services.start(stage.service)
        services.stop(stage.service)


def _was_killed() -> bool:
    """Whether the keying daemon's socket exists without an answer."""
    from mgu.admin_client import Connection, Refused

    path = under_root(RACOON_SOCKET)
    if not path.exists():
        return False
    try:
        with Connection(path):
            return False
    except Refused:
        return True


def look_at(stage: Stage) -> Report:
    """How the stage is, without changing anything."""
    if not services.running(stage.service):
        if services.enabled(stage.service):
            return Report(stage.name, "stopped", failed=True)
        return Report(stage.name, NOT_CONFIGURED)
    now = stage.look()
    return Report(stage.name, now.text) if now.done else _not_yet(stage, now)


def _date() -> str:
    return f"{clock.now():%Y-%m-%d %H:%M:%S} UTC"


def _look_at_time() -> Look:
    import json  # late, as all that only one look needs

    trust = timekeeping.trust()
    if trust is not None:
        return Look(True, f"{_date()}, synchronized, {trust}")
    try:
        last = json.loads(read(under_root(TIME_STATUS), link=False))
        return Look(False, str(last["text"]).partition("\n")[0])
    except (OSError, ValueError, KeyError, TypeError):  # no answer yet
        return Look(False)


def _look_at_port() -> Look:
    status = port_status(under_root(WPA_CTRL_DIR) / INTERFACE)
    if status.get("suppPortStatus") == "Authorized":
        method = status.get("selectedMethod", "no authentication required")
        return Look(True, f"{INTERFACE} authorized, {method}")
    return Look(False, status.get("last_failure") or status.get("Supplicant PAE state", ""))


def port_status(control: Path) -> dict[str, str]:
    """The supplicant's status, from its control socket; empty if it does not answer."""
    from mgu.wpa_ctrl import Client, NotServed, fields

    with (
        contextlib.suppress(NotServed, OSError),
        Client(str(control.parent), control.name) as supplicant,
    ):
        return fields(supplicant.request("STATUS-VERBOSE", within=1.0))
    return {}


def _look_at_keying() -> Look:
    """It is up when the daemon serves; the tunnel itself waits for traffic (manual, 4.2)."""
    from mgu.connections import folder

    count = len(folder.names())
    plural = "" if count == 1 else "s"
    return Look(
        True, f"ready, {count} connection{plural}; keys are negotiated with the first packet"
    )


TIME: Final = Stage(
    name="time",
    service="localntp",
    limit=30.0,
    remedy="'localNTP -s' shows what the servers answer",
    configure="localNTP -a -n ADDRESS",
    look=_look_at_time,
)
PORT: Final = Stage(
    name="port",
    service="wpa_supplicant",
    limit=30.0,
    remedy="'wpa_cli status' and the supplicant's log say why",
    configure="net8021x",
    look=_look_at_port,
)
TUNNEL: Final = Stage(
    name="tunnel",
    service="racoon",
    limit=15.0,
    remedy="racoon's log says why",
    configure="ipsec --create",
    look=_look_at_keying,
)
STAGES: Final = (TIME, PORT, TUNNEL)
FLOOR: Final = "floor"
