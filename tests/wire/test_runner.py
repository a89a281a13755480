"""The runner: told commands in order, asked ones as events, deadlines kept."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from wire.runner import clock, run
from wire.timer import TimerFired


class Finished(Exception):
    pass


class Echo:
    """Asks a question for each number, tells the answer, and ends at its deadline."""

    def __init__(self) -> None:
        self.deadline: float | None = None

    def handle(self, event: str | TimerFired, now: float) -> Sequence[str]:
        if isinstance(event, TimerFired):
            return ["end"]
        if event.startswith("answer"):
            self.deadline = now
            return [f"tell {event}"]
        return [f"tell {event}", f"ask {event}"]


async def test_an_asked_command_answers_through_the_inbox_and_stalls_nobody() -> None:
    inbox: asyncio.Queue[str] = asyncio.Queue()
    inbox.put_nowait("one")
    inbox.put_nowait("two")
    told: list[str] = []
    slow = asyncio.Event()

    async def question(command: str) -> str:
        await slow.wait()
        return command.replace("ask", "answer")

    def perform(command: str) -> Coroutine[Any, Any, str] | None:
        if command == "end":
            raise Finished
        if command.startswith("ask"):
            return question(command)
        told.append(command)
        if command == "tell two":
            slow.set()
        return None

    with pytest.raises(ExceptionGroup) as caught:
        await run(Echo(), inbox, perform)
    assert caught.group_contains(Finished)
    assert told[:3] == ["tell one", "tell two", "tell answer one"]


class Patient:
    """Wants to be called an hour after its event; notes when it was called."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.called: list[tuple[object, float]] = []

    def handle(self, event: str | TimerFired, now: float) -> Sequence[str]:
        self.called.append((event, now))
        if isinstance(event, TimerFired):
            return ["end"]
        self.deadline = now + 3600
        return []


async def test_a_deadline_that_passed_while_the_machine_slept_has_passed() -> None:
    inbox: asyncio.Queue[str] = asyncio.Queue()
    inbox.put_nowait("event")
    core = Patient()

    def end(_: str) -> None:
        raise Finished

    def jumping() -> float:
        return 7200.0 if core.called else 10.0

    with pytest.raises(ExceptionGroup):
        await run(core, inbox, end, clock=jumping)
    assert core.called == [("event", 10.0), (TimerFired(), 7200.0)]


def test_the_clock_counts_the_time_asleep() -> None:
    before, now, after = time.clock_gettime(time.CLOCK_BOOTTIME), clock(), clock()
    assert before <= now <= after < before + 60
