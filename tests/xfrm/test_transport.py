"""The netlink socket against a kernel that is not there, slow, or busy (a socket pair)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from xfrm.aio.transport import Requests
from xfrm.dataplane import XfrmError
from xfrm.netlink import frames, requests
from xfrm.netlink.frames import NLM_F_DUMP_INTR, NLM_F_MULTI, NLMSG_DONE, Frame
from xfrm.netlink.messages import MessageType


@dataclass
class Kernel:
    """The other end: reads requests, answers what the test wants."""

    socket: socket.socket
    asking: Requests

    async def request(self) -> Frame:
        loop = asyncio.get_running_loop()
        (frame,) = frames.split(await loop.sock_recv(self.socket, 65536))
        return frame

    def answer(self, request: Frame, number: int, body: bytes, flags: int = 0) -> None:
        self.socket.send(frames.pack(number, flags, request.sequence, body))


@pytest.fixture
async def kernel() -> AsyncIterator[Kernel]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with theirs, ours:
        ours.setblocking(False)
        theirs.setblocking(False)
        asking = Requests(ready=ours, limit=0.05)
        await asking.open()
        yield Kernel(theirs, asking)
        await asking.close()


DUMP = requests.dump_policies_message()
ENTRY = bytes(168)


async def test_a_kernel_that_does_not_answer_is_given_up(kernel: Kernel) -> None:
    with pytest.raises(XfrmError, match=r"cannot flush: no answer in 0\.05 s"):
        await kernel.asking.tell(requests.flush_policies_message(), "flush")


async def test_a_late_answer_does_not_go_to_the_next_request(kernel: Kernel) -> None:
    with pytest.raises(XfrmError, match="no answer"):
        await kernel.asking.tell(requests.flush_policies_message(), "flush")
    late = await kernel.request()
    kernel.answer(late, frames.NLMSG_ERROR, bytes(20))
    asked = asyncio.create_task(kernel.asking.ask(DUMP, "ask"))
    kernel.answer(await kernel.request(), MessageType.NEWPOLICY, ENTRY)
    assert (await asked).type == MessageType.NEWPOLICY


async def test_a_dump_that_was_interrupted_is_asked_for_again(kernel: Kernel) -> None:
    dumped = asyncio.create_task(kernel.asking.dump(DUMP, "list the policies"))
    first = await kernel.request()
    kernel.answer(first, MessageType.NEWPOLICY, ENTRY, NLM_F_MULTI | NLM_F_DUMP_INTR)
    kernel.answer(first, NLMSG_DONE, bytes(4), NLM_F_MULTI)
    second = await kernel.request()
    for _ in range(2):
        kernel.answer(second, MessageType.NEWPOLICY, ENTRY, NLM_F_MULTI)
    kernel.answer(second, NLMSG_DONE, bytes(4), NLM_F_MULTI)
    assert len(await dumped) == 2


async def test_a_table_that_never_stands_still_is_an_error(kernel: Kernel) -> None:
    dumped = asyncio.create_task(kernel.asking.dump(DUMP, "list the policies"))
    for _ in range(10):
        request = await kernel.request()
        kernel.answer(request, MessageType.NEWPOLICY, ENTRY, NLM_F_MULTI | NLM_F_DUMP_INTR)
        kernel.answer(request, NLMSG_DONE, bytes(4), NLM_F_MULTI)
    with pytest.raises(XfrmError, match="changed during each"):
        await dumped


async def test_an_answer_that_makes_no_sense_is_an_error(kernel: Kernel) -> None:
    asked = asyncio.create_task(kernel.asking.ask(DUMP, "ask"))
    kernel.answer(await kernel.request(), MessageType.NEWPOLICY, b"short")
    with pytest.raises(XfrmError, match="makes no sense"):
        await asked
    asked = asyncio.create_task(kernel.asking.ask(DUMP, "ask"))
    request = await kernel.request()
    kernel.socket.send(frames.HEADER.pack(5, 19, 0, request.sequence, 0))
    with pytest.raises(XfrmError, match="is no netlink"):
        await asked
