"""What waits for the core: the wire first, requests bounded."""

import asyncio
from datetime import UTC, datetime

import pytest

from eapol.aio.inbox import FRAMES, REQUESTS, Inbox, TooBusy
from eapol.events import FrameReceived, LinkChanged, Logoff, Logon, Reauthenticate

FRAME = FrameReceived(octets=b"", source=bytes(6), date=datetime.now(UTC))


async def test_requests_wait_for_frames_and_the_link() -> None:
    inbox = Inbox()
    inbox.ask(Logoff())
    inbox.put_nowait(FRAME)
    inbox.ask(Logon())
    inbox.put_nowait(LinkChanged(up=True))
    assert inbox.qsize() == 4
    order = [await inbox.get() for _ in range(4)]
    assert order == [FRAME, LinkChanged(up=True), Logoff(), Logon()]
    assert inbox.empty()


async def test_one_that_asks_without_end_is_refused_and_takes_no_frames_place() -> None:
    inbox = Inbox()
    for _ in range(REQUESTS):
        inbox.ask(Reauthenticate())
    with pytest.raises(TooBusy, match="try again later"):
        inbox.ask(Reauthenticate())
    assert not inbox.full_of_frames
    inbox.put_nowait(FRAME)
    assert await inbox.get() == FRAME
    await inbox.get()
    inbox.ask(Reauthenticate())


async def test_frames_are_bounded_whatever_else_waits() -> None:
    inbox = Inbox()
    for _ in range(FRAMES):
        assert not inbox.full_of_frames
        inbox.put_nowait(FRAME)
    assert inbox.full_of_frames
    await inbox.get()
    assert not inbox.full_of_frames


async def test_a_getter_that_waits_is_woken_by_a_request() -> None:
    inbox = Inbox()
    getter = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    inbox.ask(Logoff())
    assert await getter == Logoff()
