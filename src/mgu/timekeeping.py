"""What the gateway knows of the date: the floor before any network, and then how far its clock
may be trusted.

The floor is the later of three dates that have surely passed: the release of this software, the
firmware image (the modification time of /usr/lib/clock-epoch, as systemd has it), and the date
saved last. It resolves the eras of NTP, too. Which dates are accepted below it: see ntp.trust.
"""

import os
import time
from contextlib import ExitStack, suppress

from mgu import clock
from mgu.paths import FREQUENCY, SAVED_TIME, TIME_LOCK, TIME_SYNCHRONIZED, located, under_root
from ntp.timestamp import SECOND, date_text, is_last_day_of_month
from ntp.trust import MAXFREQ, Floor, Level, Trust, error_after
from wire.files import read
from wire.lean import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from ntp.messages import Outcome
    from ntp.system.clock import Discipline

RELEASED: Final = 1_793_491_200 * SECOND  # 2026-11-01: raised with every release
_RIVALS: Final = {  # by the kernel's name of the process, 15 characters of it
    "systemd-timesyn": ("systemd-timesyncd", "systemd-timesyncd"),
    "chronyd": ("chronyd", "chrony"),
    "ntpd": ("ntpd", "ntpsec"),
    "openntpd": ("openntpd", "openntpd"),
}
IMAGE_EPOCH: Final = "/usr/lib/clock-epoch"
_SENSIBLE: Final = 100 * 365 * 86_400 * SECOND  # ns after the release; a later date is damage
_LOST: Final = 16 * SECOND  # ns of error: what the kernel, too, calls unsynchronised
_LONGEST: Final = 8192  # octets of our own small files


class Clock(Protocol):
    """A clock that can be set; ntp.system.clock.KernelClock is the real one. Dates and offsets: ns.

    `shift`: by how much the date is ahead of what the kernel stamps packets with.
    """

    @property
    def shift(self) -> int: ...

    def now(self) -> int: ...

    def step(self, offset: int) -> None: ...

    def slew(self, offset: int, error: int, poll: int = 6, leap: int = 0) -> None: ...

    def synchronized(self, error: int, leap: int = 0) -> None: ...

    def discipline(self) -> "Discipline | None": ...

    def set_frequency(self, ppm: float) -> None: ...


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

    def slew(self, offset: int, error: int, poll: int = 6, leap: int = 0) -> None:  # noqa: ARG002
        self.step(offset)

    def synchronized(self, error: int, leap: int = 0) -> None:
        """A simulated clock is not read by other programs."""

    def discipline(self) -> None:
        """There is no kernel behind it."""

    def set_frequency(self, ppm: float) -> None:
        """It goes as the machine's."""


def gateway_clock() -> Clock:
    """The clock that this gateway's commands set."""
    file = clock.simulated()
    if file is not None:
        return SimulatedClock(file)
    from ntp.system.clock import KernelClock  # late: ctypes

    return KernelClock()


def floor() -> Floor:
    """The latest dates that have surely passed."""
    return Floor(released=max(RELEASED, _image_epoch()), saved=saved())


def saved() -> int:
    """The date that was saved last, Unix ns; 0 if there is none that can be read."""
    text = _small_file(SAVED_TIME)
    if text is None:
        return 0
    words = text.split()
    if len(words) == 1 and words[0].isascii() and words[0].isdigit() and len(words[0]) < 20:
        date = int(words[0])
        if date < RELEASED + _SENSIBLE:
            return date
    _log().warning("%s holds no date and is ignored", located(SAVED_TIME))
    return 0


def save(date: int) -> None:
    """Save `date` (Unix ns) as known to be past, so that the next boot does not begin before it.

    It may be before the one that is there: see ntp.trust. Raises: OSError.
    """
    from mgu.files import write_whole  # late, as in mark_right: a look writes nothing

    write_whole(under_root(SAVED_TIME), b"%d\n" % date)


def raise_to_floor(gateway: Clock) -> bool:
    """Move the clock up to the floor if it is below. Raises: ClockRefused. Returns: moved or not.

    Certificates issued since the last shutdown may then still be "not yet valid"; those that were
    valid before are again.
    """
    latest = floor().latest
    behind = latest - gateway.now()
    if behind <= 0:
        return False
    gateway.step(behind)
    _log().info("the clock was before %s and was set to it", date_text(latest))
    return True


def set_clock(
    gateway: Clock, outcome: "Outcome", trust: Trust, *, step: bool, poll: int = 6
) -> str:
    """Set the clock by an outcome that may be trusted so far.

    Args: `step`: at once, else bit by bit; `poll`: log2 s until the clock is looked at again.
    Returns: "stepped" or "slewed". Raises: ClockRefused.
    """
    leap = _leap_due(outcome, trust)
    if step:
        gateway.step(outcome.offset)
        gateway.synchronized(trust.error, leap)
        return "stepped"
    gateway.slew(outcome.offset, trust.error, poll, leap)
    return "slewed"


def _leap_due(outcome: "Outcome", trust: Trust) -> int:
    """What the kernel is to do at the end of this day (RFC 5905, 7.3: of the last of a month)."""
    if outcome.leap and trust.level is not Level.UNCONFIRMED:
        return outcome.leap if is_last_day_of_month(outcome.date) else 0
    return 0


def mark_right(trust: Trust) -> None:
    """Tell the services that wait for it, and `localNTP -s`, that the date is right. Raises:
    OSError.
    """
    import json

    from mgu.files import write_whole

    document = {
        "level": str(trust.level),
        "by": trust.by,
        "since_ns": trust.since,
        "error_ns": trust.error,
        "boottime": time.clock_gettime(time.CLOCK_BOOTTIME),
    }
    write_whole(under_root(TIME_SYNCHRONIZED), json.dumps(document).encode())


def unmark_right() -> None:
    """The date is no longer kept right. Raises: OSError."""
    under_root(TIME_SYNCHRONIZED).unlink(missing_ok=True)


def at_work() -> ExitStack:
    """Be known to `is_being_set` until this is closed, or the process ends. Raises: OSError."""
    from mgu.files import locked

    with ExitStack() as stack:
        stack.enter_context(locked(under_root(TIME_LOCK)))
        return stack.pop_all()


def is_being_set() -> bool:
    """Whether a service is at work that will set the date, or has."""
    import fcntl

    try:
        file = os.open(under_root(TIME_LOCK), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def trust() -> Trust | None:
    """How far the date may be trusted now: the error bound has grown since it was set; None if it
    was not set, or too long ago.
    """
    text = _small_file(TIME_SYNCHRONIZED)
    if text is None:
        return None
    import json

    try:
        document: dict[str, Any] = json.loads(text)
        passed = time.clock_gettime(time.CLOCK_BOOTTIME) - float(document["boottime"])
        found = Trust(
            level=Level[str(document["level"]).upper()],
            by=tuple(map(str, document["by"])),
            since=int(document["since_ns"]),
            error=error_after(int(document["error_ns"]), passed),
        )
    except (ValueError, KeyError, TypeError):
        return None
    return found if passed >= 0 and found.error < _LOST else None


def save_frequency(gateway: Clock) -> None:
    """Keep what the kernel has learned of its oscillator for the next boot. Raises: OSError."""
    discipline = gateway.discipline()
    if discipline is not None and discipline.synchronized:
        from mgu.files import write_whole

        write_whole(under_root(FREQUENCY), f"{discipline.frequency:.3f}\n".encode())


def restore_frequency(gateway: Clock) -> None:
    """Have the kernel begin with the frequency that it learned before. Raises: ClockRefused."""
    discipline = gateway.discipline()
    text = _small_file(FREQUENCY)
    if discipline is None or discipline.frequency or text is None:
        return
    with suppress(ValueError):
        if abs(ppm := float(text)) <= MAXFREQ:
            gateway.set_frequency(ppm)
            return
    _log().warning("%s holds no frequency and is ignored", located(FREQUENCY))


def _small_file(path: str) -> str | None:
    """The text of a file of the daemon's; None if there is none that can be read."""
    try:
        return read(located(path), _LONGEST, link=False).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        _log().warning("%s is ignored: %s", located(path), error.strerror)
        return None


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
        f"{program} also sets this clock; stop it: systemctl disable --now {service}"
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
