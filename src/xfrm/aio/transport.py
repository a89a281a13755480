"""XFRM netlink sockets on pyroute2: it moves octets and matches answers to requests.

pyroute2 has no XFRM messages of its own; ours go through it as octets (`xfrm.netlink`). Its rules
shape this module:

- It gives every message to the request with the same sequence number, and a notification carries
the number of the request that caused it, in any process. So requests have a socket without
multicast
  groups, and events a socket that asks nothing.
- A dump takes it longer than the kernel, and it does not look whether the tables changed meanwhile:
  lists, and many requests at a time, are `aio.blocking`'s.
- It waits for ever: everything here has a limit.
- A socket whose receive buffer overflowed is dead in it: events get a new one, and `Overflow`.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, Final

from pyroute2.netlink import nlmsg
from pyroute2.netlink.marshal import Marshal
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket

from wire.buffers import enlarge
from xfrm.dataplane import XfrmError
from xfrm.model import Malformed
from xfrm.netlink import frames
from xfrm.netlink.frames import Acknowledgement
from xfrm.netlink.messages import Message
from xfrm.netlink.refusals import no_socket, refusal, understood

ANSWER_LIMIT: Final = 5.0  # seconds for one request; the kernel answers in microseconds
RECEIVE_BUFFER: Final = 8 << 20  # octets: about 10,000 events

log = logging.getLogger("xfrm")


class _Refused(Exception):
    def __init__(self, answer: Acknowledgement) -> None:
        super().__init__(answer.text or os.strerror(answer.code))
        self.answer = answer


class _Packet(nlmsg):  # type: ignore[misc]
    """A request whose body is ready: pyroute2 only fills in the header."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body

    def encode(self) -> None:
        header = self["header"]
        number, flags, sequence = header["type"], header["flags"], header["sequence_number"]
        self.data = frames.pack(number, flags, sequence, self.body)


class _Marshal(Marshal):  # type: ignore[misc]
    """What pyroute2 wants to see of a message: a dict with a header; we want the frame."""

    def parse(self, data: bytes, *_: object, **__: object) -> Iterator[dict[str, Any]]:
        for frame in frames.split(data):
            header: dict[str, object] = {"type": frame.type, "flags": frame.flags, "error": None}
            if frame.type in (frames.NLMSG_ERROR, frames.NLMSG_DONE) and len(frame.body) >= 4:
                answer = frames.acknowledgement(frame)
                header["error"] = _Refused(answer) if answer.code else None
            yield {"header": header, "frame": frame}


class _Socket(AsyncNetlinkSocket):  # type: ignore[misc]
    marshal_class = _Marshal


class Requests:
    """The socket that asks. Open it in the network namespace that is meant.

    `ready` is a netlink socket made elsewhere, such as by a parent with more privileges. `limit`
    is the time for one request, in seconds.
    """

    def __init__(self, ready: socket.socket | None = None, limit: float = ANSWER_LIMIT) -> None:
        self._socket = _Socket(family=frames.NETLINK_XFRM, ext_ack=True, use_socket=ready)
        self._limit = limit

    async def open(self) -> None:
        """Raises Unsupported if the kernel was built without XFRM."""
        try:
            await self._socket.setup_endpoint()
        except OSError as error:
            raise no_socket(error) from None

    async def close(self) -> None:
        await _close(self._socket)

    async def tell(self, message: Message, doing: str) -> None:
        """Have it done. Raises XfrmError: "cannot DOING: ..."."""
        await self._exchange(message, doing, frames.NLM_F_ACK)

    async def ask(self, message: Message, doing: str) -> Message:
        """The one message that answers. No acknowledgement is asked for: it would come behind."""
        for frame in await self._exchange(message, doing, 0):
            return understood(Message.of, frame, doing)
        raise XfrmError(f"cannot {doing}: the kernel did not answer")

    async def _exchange(self, message: Message, doing: str, flags: int) -> list[frames.Frame]:
        packet = _Packet(bytes(message))
        flags |= frames.NLM_F_REQUEST
        try:
            async with asyncio.timeout(self._limit):
                answers = await self._socket.nlm_request(packet, int(message.type), flags)
                async with aclosing(answers):
                    return [answer["frame"] async for answer in answers]
        except _Refused as error:
            raise refusal(message.type, error.answer, doing) from None
        except Malformed as error:
            raise XfrmError(
                f"cannot {doing}: the kernel's answer is not netlink: {error}"
            ) from None
        except TimeoutError:
            raise XfrmError(f"cannot {doing}: no answer in {self._limit:g} s") from None
        except OSError as error:
            raise XfrmError(f"cannot {doing}: {error.strerror}", error.errno or 0) from None


class Overflow(Exception):
    """Events were lost, and the socket was replaced."""


class Events:
    """The socket that listens to multicast groups. `receive_buffer` is octets."""

    def __init__(self, groups: tuple[int, ...], receive_buffer: int = RECEIVE_BUFFER) -> None:
        self._groups = groups
        self._receive_buffer = receive_buffer
        self._socket: _Socket | None = None
        self._closed = False

    async def open(self) -> None:
        """Raises XfrmError without CAP_NET_ADMIN, Unsupported in a kernel without XFRM."""
        self._socket = _Socket(family=frames.NETLINK_XFRM)
        try:
            await self._socket.bind()
            enlarge(self._socket.socket, socket.SO_RCVBUF, self._receive_buffer)
            for group in self._groups:
                self._socket.add_membership(group)
        except OSError as error:
            await self.close()
            raise no_socket(error) from None

    async def close(self) -> None:
        self._closed = True
        if self._socket is not None:
            await _close(self._socket)

    async def messages(self) -> AsyncIterator[Message]:
        """What the kernel tells. Ends when closed. Raises Overflow; then go on with a new call."""
        while self._socket is not None:
            batch: list[frames.Frame] = []
            try:
                async for answer in self._socket.get():
                    batch.append(answer["frame"])
            except (_Refused, OSError) as error:
                if self._closed:
                    return
                log.warning("IPsec events were lost (%s): looking at all SAs again", error)
                await _close(self._socket)
                await self.open()
                raise Overflow from None
            except Malformed as error:
                log.warning("an event of the kernel cannot be decoded: %s", error)
            for message in _readable(batch):
                yield message


def _readable(batch: list[frames.Frame]) -> Iterator[Message]:
    for frame in batch:
        try:
            yield Message.of(frame)
        except Malformed as error:
            log.warning("an event of the kernel cannot be decoded: %s", error)


async def _close(made: AsyncNetlinkSocket) -> None:
    made.close()
    await asyncio.sleep(0)  # the transport closes its socket in the loop's next round
