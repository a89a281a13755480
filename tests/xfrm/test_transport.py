"""The netlink socket against a kernel that is not there, slow, or busy (a socket pair)."""

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from lab.esp_values import sa
from xfrm.aio.kernel import Kernel as XfrmKernel
from xfrm.aio.transport import Events, Requests
from xfrm.dataplane import AlreadyThere, NoSuchEntry, Unsupported, XfrmError
from xfrm.netlink import frames, requests
from xfrm.netlink.answers import sa_of
from xfrm.netlink.frames import NLM_F_DUMP_INTR, NLM_F_MULTI, NLMSG_DONE, Frame
from xfrm.netlink.messages import Message, MessageType
from xfrm.setkey.run import Request
from xfrm.system.blocking import Client


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


@pytest.fixture
def table() -> Iterator[tuple[Client, socket.socket]]:
    """A blocking client, and the kernel's end of its socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with theirs, Client(ready=ours) as client:
        yield client, theirs


def dumped(theirs: socket.socket, sequence: int, entries: int, flags: int = 0) -> None:
    """The kernel's answer to a dump."""
    for _ in range(entries):
        answer = frames.pack(MessageType.NEWPOLICY, NLM_F_MULTI | flags, sequence, ENTRY)
        theirs.send(answer)
    theirs.send(frames.pack(NLMSG_DONE, NLM_F_MULTI, sequence, bytes(4)))


LISTING = Request(DUMP, "list the policies")


def test_a_dump_that_was_interrupted_is_asked_for_again(
    table: tuple[Client, socket.socket],
) -> None:
    client, theirs = table
    dumped(theirs, 1, 1, NLM_F_DUMP_INTR)
    dumped(theirs, 2, 2)
    assert len(client.dump(LISTING)) == 2


def test_a_dump_in_parts_ends_with_the_list_and_lets_others_have_their_turn_before(
    table: tuple[Client, socket.socket],
) -> None:
    client, theirs = table
    dumped(theirs, 1, 3)
    *turns, listed = client.dump_in_parts(LISTING)
    assert turns == [None] * 4
    assert listed is not None
    assert len(listed) == 3


def test_a_table_that_never_stands_still_is_an_error(table: tuple[Client, socket.socket]) -> None:
    client, theirs = table
    for sequence in range(1, 11):
        dumped(theirs, sequence, 1, NLM_F_DUMP_INTR)
    with pytest.raises(XfrmError, match="changed during each"):
        client.dump(LISTING)


async def test_an_answer_that_makes_no_sense_is_an_error(kernel: Kernel) -> None:
    asked = asyncio.create_task(kernel.asking.ask(DUMP, "ask"))
    kernel.answer(await kernel.request(), MessageType.NEWPOLICY, b"short")
    with pytest.raises(XfrmError, match="cannot be decoded"):
        await asked
    asked = asyncio.create_task(kernel.asking.ask(DUMP, "ask"))
    request = await kernel.request()
    kernel.socket.send(frames.HEADER.pack(5, 19, 0, request.sequence, 0))
    with pytest.raises(XfrmError, match="is not netlink"):
        await asked


def test_what_the_kernel_refuses_is_told_with_its_reason_and_stops_no_other(
    table: tuple[Client, socket.socket],
) -> None:
    client, theirs = table
    for sequence, code in ((1, 0), (2, -17), (3, -3)):
        body = struct.pack("=iIHHII", code, 16, 0, 0, sequence, 0)
        theirs.send(frames.pack(frames.NLMSG_ERROR, 0, sequence, body))
    first, second, third = client.tell([Request(requests.flush_sas_message(), "flush")] * 3)
    assert first is None
    assert isinstance(second, AlreadyThere)
    assert isinstance(third, NoSuchEntry)
    assert str(second).startswith("cannot flush: ")


def refuse(kernel: Kernel, request: Frame, code: int) -> None:
    """Acknowledge with this error number, 0 for none."""
    body = struct.pack("=iIHHII", -code, 16, 0, 0, request.sequence, 0)
    kernel.answer(request, frames.NLMSG_ERROR, body)


async def test_an_update_of_an_sa_that_expired_meanwhile_adds_it(kernel: Kernel) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nothing:
        whole = XfrmKernel(kernel.asking, Events(()), Client(ready=nothing))
        asked = asyncio.create_task(whole.update_sa(sa()))
        request = await kernel.request()
        assert request.type == MessageType.UPDSA
        refuse(kernel, request, errno.ESRCH)
        request = await kernel.request()
        assert request.type == MessageType.NEWSA
        refuse(kernel, request, 0)
        await asked
        asked = asyncio.create_task(whole.update_sa(sa()))
        refuse(kernel, await kernel.request(), 0)
        await asked  # it was there: nothing is added
        asked = asyncio.create_task(whole.update_sa(sa()))
        refuse(kernel, await kernel.request(), errno.ENOMEM)
        with pytest.raises(XfrmError, match=r"^cannot update esp SA 0x00001001 to 192\.0\.2\.2: "):
            await asked


async def test_the_probe_makes_an_sa_of_a_second_and_removes_it(kernel: Kernel) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nothing:
        whole = XfrmKernel(kernel.asking, Events(()), Client(ready=nothing))
        asked = asyncio.create_task(whole.probe())
        request = await kernel.request()
        made = sa_of(Message.of(request))
        assert made.lifetime.hard_seconds == 1
        assert made.spi >= 0x0100_0000
        assert made.encryption is not None
        assert made.authentication is not None
        assert (made.encryption.name, made.authentication.name) == ("cbc(aes)", "hmac(sha1)")
        keys = (made.encryption.key.reveal(), made.authentication.key.reveal())
        assert tuple(map(len, keys)) == (16, 20)
        assert made.authentication.icv_bits == 96
        refuse(kernel, request, 0)
        request = await kernel.request()
        assert request.type == MessageType.DELSA
        refuse(kernel, request, 0)
        await asked
        asked = asyncio.create_task(whole.probe())
        refuse(kernel, await kernel.request(), errno.EEXIST)
        await asked  # whose it is stays
        asked = asyncio.create_task(whole.probe())
        refuse(kernel, await kernel.request(), errno.EPROTONOSUPPORT)
        with pytest.raises(Unsupported):
            await asked
