"""The queue of the supplicant's core: frames before requests of the control interface.

A client of the control socket can ask faster than anything can be done. What it asks waits behind
every frame and every change of the link or the files, and only so much of it waits at all.
"""

import asyncio
from collections import deque
from typing import Final

from eapol.errors import EapolError
from eapol.events import Event, FrameReceived, Request

FRAMES: Final = 256
"""Frames waiting; more are dropped, as a full socket buffer would."""

REQUESTS: Final = 16
"""Requests of the control interface waiting; more are refused."""


class TooBusy(EapolError):
    """So many requests wait that another one is not taken."""


class Inbox(asyncio.Queue[Event]):
    """In the order in which it came, but for requests, which wait for everything else."""

    def ask(self, request: Request) -> None:
        """Raises: TooBusy."""
        if len(self._requests) >= REQUESTS:
            raise TooBusy(f"{REQUESTS} requests are waiting already; try again later")
        self.put_nowait(request)

    @property
    def full_of_frames(self) -> bool:
        return self._frames >= FRAMES

    def qsize(self) -> int:
        return len(self._first) + len(self._requests)

    def empty(self) -> bool:
        return not self.qsize()

    # What asyncio.Queue lets its heirs decide

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - the name is asyncio's
        self._first: deque[Event] = deque()
        self._requests: deque[Event] = deque()
        self._frames = 0

    def _put(self, item: Event) -> None:
        self._frames += isinstance(item, FrameReceived)
        (self._requests if isinstance(item, Request) else self._first).append(item)

    def _get(self) -> Event:
        event = (self._first or self._requests).popleft()
        self._frames -= isinstance(event, FrameReceived)
        return event
