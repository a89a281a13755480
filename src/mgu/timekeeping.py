"""What the gateway knows of the date before any network: the floor; and what it keeps of it.

The floor is the later of three dates that have surely passed: the release of this software, the
firmware image (the modification time of /usr/lib/clock-epoch, as systemd has it), and the date
saved last. No server is believed below it, and it resolves the eras of NTP.
"""

import os
from contextlib import suppress

from mgu import clock
from mgu.paths import SAVED_TIME, TIME_SYNCHRONIZED, located, under_root
from ntp.timestamp import SECOND, date_text
from wire.lean import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from ntp.messages import Outcome

RELEASED: Final = 1_793_491_200 * SECOND  # 2026-11-01: raised with every release
_RIVALS: Final = {  # by the kernel's name of the process, 15 characters of it
    "systemd-timesyn": ("systemd-timesyncd", "systemd-timesyncd"),
    "chronyd": ("chronyd", "chrony"),
    "ntpd": ("ntpd", "ntpsec"),
    "openntpd": ("openntpd", "openntpd"),
}
IMAGE_EPOCH: Final = "/usr/lib/clock-epoch"


class Clock(Protocol):
    """A clock that can be set; ntp.aio.clock.KernelClock is the real one. Dates and offsets: ns.

    `shift`: by how much the date is ahead of what the kernel stamps packets with.
    """

    @property
    def shift(self) -> int: ...

    def now(self) -> int: ...

    def step(self, offset: int) -> None: ...

    def slew(self, offset: int, error: int, poll: int = 6) -> None: ...

    def synchronized(self, error: int) -> None: ...


class SimulatedClock:
    """The date of MGU_CLOCK: moving it touches a file and nothing else."""

    def __init__(self, file: "Path") -> None:
        self._file = file

    @property
    def shift(self) -> int:
        return clock.shift_ns()

    def now(self) -> int:
        return clock.now_ns()

    def step(self, offset: int) -> None:
        clock.step_simulated(self._file, offset)

    def slew(self, offset: int, error: int, poll: int = 6) -> None:  # noqa: ARG002
        self.step(offset)

    def synchronized(self, error: int) -> None:
        """Nobody asks a simulated clock."""


def gateway_clock() -> Clock:
    """The clock that this gateway's commands set."""
    file = clock.simulated()
    if file is not None:
        return SimulatedClock(file)
    from ntp.aio.clock import KernelClock  # late: ctypes

    return KernelClock()


def floor() -> int:
    """The latest date that has surely passed, Unix ns."""
    return max(RELEASED, _image_epoch(), saved())


def saved() -> int:
    """The date that was saved last, Unix ns; 0 if there is none that can be read."""
    path = located(SAVED_TIME)
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        _log().warning("%s holds no date and is ignored: %s", path, error)
        return 0


def save(date: int) -> None:
    """Save `date` (Unix ns), so that the next boot does not begin before it. Never goes back.

    Raises: OSError.
    """
    if date > saved():
        from mgu.files import write_whole  # late, as in mark_synchronized: a look writes nothing

        write_whole(under_root(SAVED_TIME), b"%d\n" % date)


def raise_to_floor(gateway: Clock) -> bool:
    """Move the clock up to the floor if it is below. Raises: ClockRefused. Returns: moved or not.

    Certificates issued since the last shutdown may then still be "not yet valid"; those that were
    valid before are again.
    """
    behind = floor() - gateway.now()
    if behind <= 0:
        return False
    gateway.step(behind)
    _log().info("the clock was before %s and was set to it", date_text(floor()))
    return True


def set_right(gateway: Clock, outcome: "Outcome", *, step: bool, poll: int = 6) -> str:
    """Set the clock by a usable outcome, save the date and tell who waits for it.

    Args: `step`: at once, else bit by bit; `poll`: log2 s until the clock is looked at again.
    Returns: "stepped" or "slewed". Raises: ClockRefused, OSError.
    """
    if step:
        gateway.step(outcome.offset)
        gateway.synchronized(outcome.error)
    else:
        gateway.slew(outcome.offset, outcome.error, poll)
    save(gateway.now())
    mark_synchronized(gateway.now())
    return "stepped" if step else "slewed"


def mark_synchronized(date: int) -> None:
    """Tell the services that wait for it that the date is right."""
    from mgu.files import write_whole

    write_whole(under_root(TIME_SYNCHRONIZED), f"{date_text(date)}\n".encode())


def unmark_synchronized() -> None:
    under_root(TIME_SYNCHRONIZED).unlink(missing_ok=True)


def rivals(processes: str = "/proc") -> list[str]:
    """What to do about other programs that set this clock: one sentence for each that runs."""
    if clock.simulated() is not None or os.environ.get("MGU_ROOT", "/") != "/":
        return []
    names = set()
    for entry in os.listdir(processes):
        if entry.isdigit():
            with suppress(OSError), open(f"{processes}/{entry}/comm", encoding="utf-8") as file:
                names.add(file.read().strip())
    return [
        f"{program} sets this clock, too; stop it: systemctl disable --now {service}"
        for comm, (program, service) in _RIVALS.items()
        if comm in names
    ]


def _image_epoch() -> int:
    try:
        return os.stat(located(IMAGE_EPOCH)).st_mtime_ns
    except OSError:
        return 0


def _log() -> "logging.Logger":
    import logging  # late: most runs have nothing to say

    return logging.getLogger("ntp")
