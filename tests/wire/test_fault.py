"""Faults of a core cost the event that it handled; many of them end the program."""

import logging
from collections.abc import Sequence

import pytest

from wire.fault import MANY, WITHIN, Faults, Guarded
from wire.timer import TimerFired


class Divider:
    """A core that cannot handle 0."""

    deadline = 5.0

    def handle(self, event: int | TimerFired, now: float) -> Sequence[float]:
        return [now + 1 / event] if isinstance(event, int) else []


@pytest.fixture
def core() -> Guarded[int, float]:
    return Guarded(Divider(), Faults(logging.getLogger("ike")))


def test_a_fault_costs_one_event_and_is_told_with_what_was_done(
    core: Guarded[int, float], caplog: pytest.LogCaptureFixture
) -> None:
    assert core.handle(0, 0.0) == ()
    assert core.handle(2, 1.0) == [1.5]
    assert core.deadline == 5.0
    (record,) = caplog.records
    assert record.getMessage() == (
        "internal error while handling int: ZeroDivisionError: division by zero;"
        " the daemon continues"
    )
    assert record.exc_info is not None


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_too_little_memory_is_no_fault_of_the_program(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    Faults(logging.getLogger("ike")).survive(error, "handling int", 0.0)
    (record,) = caplog.records
    assert (
        record.getMessage() == "there is not enough memory while handling int; the daemon continues"
    )
    assert record.exc_info is None


def test_faults_that_are_far_apart_are_survived_for_ever(core: Guarded[int, float]) -> None:
    for number in range(3 * MANY):
        assert core.handle(0, number * WITHIN / (MANY - 1)) == ()


def test_many_faults_within_a_minute_end_the_program(core: Guarded[int, float]) -> None:
    for number in range(MANY - 1):
        core.handle(0, float(number))
    with pytest.raises(ZeroDivisionError) as error:
        core.handle(0, WITHIN - 1.0)
    assert error.value.__notes__ == ["while handling int; 5 faults within 60 s"]
