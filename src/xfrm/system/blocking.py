"""XFRM netlink on one blocking socket, for commands.

Many requests go out in one datagram; the kernel answers each. There is no event loop and no
pyroute2 in here, so that `setkey` starts fast and loads ten thousand policies in a second.
"""

import itertools
import socket
from collections.abc import Iterator, Sequence
from typing import Final, Protocol, Self

from xfrm.dataplane import XfrmError
from xfrm.model import Malformed
from xfrm.netlink import frames
from xfrm.netlink.frames import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Frame,
)
from xfrm.netlink.messages import Message
from xfrm.netlink.refusals import no_socket, refusal, understood

_SOL_NETLINK: Final = 270
_ADD_MEMBERSHIP, _CAP_ACK, _EXT_ACK = 1, 10, 11
_LIMIT: Final = 10.0  # seconds; the kernel answers in microseconds
_DATAGRAM: Final = 1 << 18  # octets; the kernel's are below 64 KiB
_TOGETHER: Final = 64  # requests in a datagram; their answers fit any receive buffer
_DUMPS: Final = 10


class Wish(Protocol):
    """A request, and what it is for: "add esp SA 0x00001000 to 10.0.0.2"."""

    @property
    def message(self) -> Message: ...
    @property
    def doing(self) -> str: ...


class Client:
    """Belongs to the network namespace in which it is made. Raises XfrmError."""

    def __init__(self, groups: Sequence[int] = (), ready: socket.socket | None = None) -> None:
        """`ready` is a socket that is bound already, to a kernel or to its stand-in."""
        self._sequences = itertools.count(1)
        if ready is not None:
            self._socket = ready
            return
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, frames.NETLINK_XFRM)
        except OSError as error:
            raise no_socket(error) from None
        try:
            for option in (_CAP_ACK, _EXT_ACK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            self._socket.bind((0, 0))
            self._socket.settimeout(_LIMIT)
            for group in groups:
                self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError as error:
            self._socket.close()
            raise no_socket(error) from None

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, wishes: Sequence[Wish]) -> list[XfrmError | None]:
        """Have all of them done, in order; one that is refused stops no other."""
        return [result for part in self.tell_in_parts(wishes) for result in part]

    def tell_in_parts(self, wishes: Sequence[Wish]) -> Iterator[list[XfrmError | None]]:
        """The same, a datagram at a time: so that the caller can do other work in between."""
        for at in range(0, len(wishes), _TOGETHER):
            yield self._tell(wishes[at : at + _TOGETHER])

    def ask(self, wish: Wish) -> Message:
        """The one message that answers."""
        doing = wish.doing
        first = self._send([wish.message], 0, doing)
        for frame in self._receive(doing):
            if frame.sequence == first:
                _check(frame, wish)
                return understood(Message.of, frame, doing)
        raise XfrmError(f"cannot {doing}: the kernel did not answer")

    def dump(self, wish: Wish) -> list[Message]:
        """All entries, as they were at one moment."""
        for part in self.dump_in_parts(wish):
            if part is not None:
                return part
        raise AssertionError("a dump ends with its list, or raises")

    def dump_in_parts(self, wish: Wish) -> Iterator[list[Message] | None]:
        """None after each datagram, so that the caller can do other work in between; the list at
        the end.
        """
        for _ in range(_DUMPS):
            answers: list[Frame] = []
            for part in self._dump(wish):
                answers += part
                yield None
            if not any(frame.flags & NLM_F_DUMP_INTR for frame in answers):
                yield [understood(Message.of, frame, wish.doing) for frame in answers]
                return
        raise XfrmError(f"cannot {wish.doing}: the table changed during each of {_DUMPS} dumps")

    def events(self) -> Iterator[Message]:
        """What the kernel tells the groups, for ever."""
        self._socket.settimeout(None)
        while True:
            for frame in self._receive("listen"):
                yield understood(Message.of, frame, "listen")

    def _tell(self, wishes: Sequence[Wish]) -> list[XfrmError | None]:
        first = self._send([wish.message for wish in wishes], NLM_F_ACK, wishes[0].doing)
        results: dict[int, XfrmError | None] = {}
        while len(results) < len(wishes):
            for frame in self._receive(wishes[0].doing):
                at = frame.sequence - first
                if frame.type == NLMSG_ERROR and 0 <= at < len(wishes):
                    results[at] = _refused(frame, wishes[at])
        return [results[at] for at in range(len(wishes))]

    def _dump(self, wish: Wish) -> Iterator[list[Frame]]:
        """The answers, datagram by datagram."""
        first = self._send([wish.message], NLM_F_DUMP, wish.doing)
        while True:
            answers: list[Frame] = []
            for frame in self._receive(wish.doing):
                if frame.sequence != first:
                    continue
                _check(frame, wish)
                if frame.type == NLMSG_DONE:
                    yield answers
                    return
                answers.append(frame)
            yield answers

    def _send(self, messages: Sequence[Message], flags: int, doing: str) -> int:
        """The sequence number of the first message; the others count on."""
        flags |= NLM_F_REQUEST
        numbers = [next(self._sequences) for _ in messages]
        datagram = b"".join(
            frames.pack(message.type, flags, number, bytes(message))
            for message, number in zip(messages, numbers, strict=True)
        )
        try:
            self._socket.send(datagram)
        except OSError as error:
            raise _failed(doing, error) from None
        return numbers[0]

    def _receive(self, doing: str) -> Iterator[Frame]:
        try:
            datagram = self._socket.recv(_DATAGRAM)
            yield from frames.split(datagram)
        except OSError as error:
            raise _failed(doing, error) from None
        except Malformed as error:
            raise XfrmError(
                f"cannot {doing}: the kernel's answer is not netlink: {error}"
            ) from None


def _refused(frame: Frame, wish: Wish) -> XfrmError | None:
    answer = frames.acknowledgement(frame)
    return refusal(wish.message.type, answer, wish.doing) if answer.code else None


def _check(frame: Frame, wish: Wish) -> None:
    """Raise what an acknowledgement or the end of a dump refuses."""
    if frame.type in (NLMSG_ERROR, NLMSG_DONE) and len(frame.body) >= 4:
        error = _refused(frame, wish)
        if error is not None:
            raise error


def _failed(doing: str, error: OSError) -> XfrmError:
    why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
    return XfrmError(f"cannot {doing}: {why}", error.errno or 0)
