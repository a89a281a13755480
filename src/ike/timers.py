"""Timers of a core: a heap of deadlines. Cancelled ones stay in it, but never more than half."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final

from ike.values import TimerView

GRANULARITY: Final = 0.001  # seconds
FEW: Final = 64
"""So many cancelled timers do not matter."""


class Timer:
    """One deadline. `cancel` may be called at any time, also after it fired."""

    __slots__ = ("_cancelled", "action", "at", "created", "name")

    def __init__(
        self,
        name: str,
        created: float,
        at: float,
        action: Callable[[], None],
        cancelled: Callable[[], None],
    ) -> None:
        self.name = name
        self.created = created
        self.at = at
        self.action: Callable[[], None] | None = action
        self._cancelled = cancelled

    @property
    def pending(self) -> bool:
        return self.action is not None

    def cancel(self) -> None:
        if self.action is not None:
            self.action = None
            self._cancelled()


class TimerQueue:
    """All times are monotonic seconds."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._number = count()
        self._cancelled = 0  # of those in the heap

    def __len__(self) -> int:
        """What is kept: cancelled ones, too."""
        return len(self._heap)

    def add(self, name: str, now: float, delay: float, action: Callable[[], None]) -> Timer:
        """Call `action` in `delay` seconds, unless cancelled. The name is for people.

        Never at once: where a remaining time is computed, rounding could make it so small that the
        clock does not move.
        """
        at = now + max(delay, GRANULARITY)
        timer = Timer(name, now, at, action, self._one_less)
        heapq.heappush(self._heap, (timer.at, next(self._number), timer))
        return timer

    def _one_less(self) -> None:
        """Those that were cancelled hours before their turn go, when they are the most."""
        self._cancelled += 1
        if self._cancelled > max(FEW, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if entry[2].pending]
            heapq.heapify(self._heap)
            self._cancelled = 0

    @property
    def deadline(self) -> float | None:
        while self._heap and not self._heap[0][2].pending:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else None

    def fire(self, now: float) -> None:
        """Run what is due."""
        while (deadline := self.deadline) is not None and deadline <= now:
            timer = heapq.heappop(self._heap)[2]
            action, timer.action = timer.action, None
            if action is not None:
                action()

    def view(self) -> list[TimerView]:
        live = [timer for _, _, timer in self._heap if timer.pending]
        return [TimerView(t.name, t.at, t.created) for t in sorted(live, key=lambda t: t.at)]
