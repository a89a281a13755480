"""The gateway's way up: floor time, NTP, port, tunnel; from the files alone, and the way down.

Each stage is a service (see `mgu.services`) and a condition that says that it has done its work.
A stage that was not configured is passed over; one that does not come up in time stays at work,
and the next one is begun: a gateway that nobody can log in to must go on trying.
"""

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mgu import clock, services, timekeeping
from mgu.paths import TIME_SYNCHRONIZED, WPA_CTRL_DIR, under_root

STEP: Final = 0.05  # seconds between two looks
INTERFACE: Final = "eth0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`done()` tells what came of it, or None as long as nothing did; `limit` is seconds."""

    name: str
    service: str
    limit: float
    remedy: str
    configure: str
    done: Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a stage, in one line."""

    stage: str
    text: str
    failed: bool = False

    def __str__(self) -> str:
        return f"{self.stage:<7} {self.text}"


def raise_to_floor() -> Report:
    """The first stage, before any network: the date is not before what surely has passed."""
    from ntp.aio.errors import ClockRefused

    try:
        raised = timekeeping.raise_to_floor(timekeeping.gateway_clock())
    except ClockRefused as error:
        return Report("floor", f"failed: {error}", failed=True)
    how = "raised to the floor" if raised else "not before the floor"
    return Report("floor", f"{_date()}, {how}")


def bring_up(stage: Stage, limit: float | None = None) -> Report:
    """Start the stage and wait until it has done its work, at most `limit` seconds."""
    if not services.enabled(stage.service):
        return Report(stage.name, f"not configured ({stage.configure} does that)")
    end = time.monotonic() + (stage.limit if limit is None else limit)
    try:
        services.start(stage.service)
    except services.ServiceError as error:
        return Report(stage.name, f"failed: {error}", failed=True)
    while (result := stage.done()) is None:
        if time.monotonic() > end:
            return Report(stage.name, f"not yet; it goes on trying: {stage.remedy}", failed=True)
        if not services.running(stage.service):
            return Report(stage.name, f"{stage.service} ended: {stage.remedy}", failed=True)
        time.sleep(STEP)
    return Report(stage.name, result)


def take_down(stage: Stage) -> Report:
    """Stop the stage, if it runs."""
    was_running = services.running(stage.service)
    try:
        services.stop(stage.service)
    except services.ServiceError as error:
        return Report(stage.name, f"failed: {error}", failed=True)
    if stage is TIME:
        timekeeping.unmark_synchronized()  # from now on nobody keeps the clock right
    return Report(stage.name, "stopped" if was_running else "was not running")


def look_at(stage: Stage) -> Report:
    """How the stage is, without changing anything."""
    if not services.running(stage.service):
        why = "stopped" if services.enabled(stage.service) else "not configured"
        return Report(stage.name, why, failed=True)
    result = stage.done()
    return Report(stage.name, result or f"not yet: {stage.remedy}", failed=result is None)


def _date() -> str:
    return f"{clock.now():%Y-%m-%d %H:%M:%S} UTC"


def _time_is_right() -> str | None:
    return f"{_date()}, synchronized" if under_root(TIME_SYNCHRONIZED).exists() else None


def _port_is_authorized() -> str | None:
    status = port_status(under_root(WPA_CTRL_DIR) / INTERFACE)
    if status.get("suppPortStatus") != "Authorized":
        return None
    return f"{INTERFACE} authorized, {status.get('selectedMethod', 'no authentication asked for')}"


def port_status(control: Path) -> dict[str, str]:
    """The supplicant's STATUS, from its control socket; empty if it does not answer."""
    with (
        contextlib.suppress(OSError),
        tempfile.TemporaryDirectory(prefix="mgu-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link,
    ):
        link.bind(os.path.join(folder, "ask"))
        link.settimeout(1.0)
        link.connect(str(control))
        link.send(b"STATUS")
        lines = link.recv(65536).decode("utf-8", "replace").splitlines()
        return {key: value for key, _, value in (line.partition("=") for line in lines)}
    return {}


def _keying_is_ready() -> str | None:
    """It is when the daemon serves; the tunnel itself waits for traffic (manual, 4.2)."""
    from mgu.connections import folder

    count = len(folder.names())
    return f"ready, {count} connection{'' if count == 1 else 's'}; keys follow the first packet"


TIME: Final = Stage(
    name="time",
    service="localntp",
    limit=30.0,
    remedy="'localNTP -s' shows what the servers answer",
    configure="localNTP -a -n ADDRESS",
    done=_time_is_right,
)
PORT: Final = Stage(
    name="port",
    service="wpa_supplicant",
    limit=30.0,
    remedy="'wpa_cli status' and the supplicant's log say why",
    configure="net8021x",
    done=_port_is_authorized,
)
TUNNEL: Final = Stage(
    name="tunnel",
    service="racoon",
    limit=15.0,
    remedy="racoon's log says why",
    configure="ipsec --create",
    done=_keying_is_ready,
)
STAGES: Final = (TIME, PORT, TUNNEL)
FLOOR: Final = "floor"
