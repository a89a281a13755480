"""Netlink itself: headers, several messages in a datagram, acknowledgements (linux/netlink.h)."""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from xfrm.model import Malformed

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3

NETLINK_XFRM: Final = 6

NLM_F_REQUEST: Final = 0x001
NLM_F_MULTI: Final = 0x002
NLM_F_ACK: Final = 0x004
NLM_F_DUMP_INTR: Final = 0x010  # the tables changed during the dump: it is not one state
NLM_F_DUMP: Final = 0x300
NLM_F_CAPPED: Final = 0x100  # in an acknowledgement: without the request's body
NLM_F_ACK_TLVS: Final = 0x200  # in an acknowledgement: attributes follow

NLMSGERR_ATTR_MSG: Final = 1

HEADER: Final = Struct("=IHHII")  # length with this header, type, flags, sequence number, port
_ERROR: Final = Struct("=iIHHII")  # negative errno, the header of the request
_CODE: Final = Struct("=i")
_ATTRIBUTE: Final = Struct("=HH")


class Frame(NamedTuple):
    type: int
    flags: int
    sequence: int
    port: int
    body: bytes


class Acknowledgement(NamedTuple):
    """The kernel's answer to a request. `code` is an errno, 0 for success; `text` may be empty."""

    code: int
    text: str


def pack(number: int, flags: int, sequence: int, body: bytes, port: int = 0) -> bytes:
    """One message, padded so that another one may follow in the datagram."""
    length = HEADER.size + len(body)
    return HEADER.pack(length, number, flags, sequence, port) + body + bytes(-length & 3)


def split(datagram: bytes) -> Iterator[Frame]:
    """The messages of one datagram. Raises Malformed where a length does not fit."""
    offset, end = 0, len(datagram)
    while offset + HEADER.size <= end:
        length, number, flags, sequence, port = HEADER.unpack_from(datagram, offset)
        if length < HEADER.size or offset + length > end:
            raise Malformed(f"a netlink message of {length} octets, {end - offset} left", offset)
        body = datagram[offset + HEADER.size : offset + length]
        yield Frame(number, flags, sequence, port, body)
        offset += length + 3 & ~3


def acknowledgement(frame: Frame) -> Acknowledgement:
    """What an NLMSG_ERROR says. Raises Malformed if it is shorter than an errno."""
    if len(frame.body) < 4:
        raise Malformed(f"an acknowledgement of {len(frame.body)} octets", 0)
    code = abs(int(_CODE.unpack_from(frame.body)[0]))
    return Acknowledgement(code, _text(frame))


def _text(frame: Frame) -> str:
    """NLMSGERR_ATTR_MSG, behind the request's header and, unless capped, its body."""
    body = frame.body
    if not frame.flags & NLM_F_ACK_TLVS or len(body) < _ERROR.size:
        return ""
    _, length, *_ = _ERROR.unpack_from(body)
    at = _ERROR.size if frame.flags & NLM_F_CAPPED else 4 + (length + 3 & ~3)
    while at + 4 <= len(body):
        size, number = _ATTRIBUTE.unpack_from(body, at)
        if size < 4:
            break
        if number == NLMSGERR_ATTR_MSG:
            return body[at + 4 : at + size].rstrip(b"\0").decode("ascii", "replace")
        at += size + 3 & ~3
    return ""
