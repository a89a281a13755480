"""One XFRM message without its netlink header: a fixed structure and attributes (linux/xfrm.h)."""

import struct
from collections.abc import Callable
from enum import IntEnum
from types import MappingProxyType

from wire.lean import Final, Self
from wire.open_enum import OpenEnum
from wire.record import Record
from xfrm.model import Malformed
from xfrm.netlink import attributes as attr
from xfrm.netlink import wire
from xfrm.netlink.frames import Frame


class MessageType(OpenEnum):
    """XFRM_MSG_*."""

    NEWSA = 0x10
    DELSA = 0x11
    GETSA = 0x12
    NEWPOLICY = 0x13
    DELPOLICY = 0x14
    GETPOLICY = 0x15
    ALLOCSPI = 0x16
    ACQUIRE = 0x17
    EXPIRE = 0x18
    UPDPOLICY = 0x19
    UPDSA = 0x1A
    POLEXPIRE = 0x1B
    FLUSHSA = 0x1C
    FLUSHPOLICY = 0x1D
    NEWAE = 0x1E
    GETAE = 0x1F
    REPORT = 0x20
    MIGRATE = 0x21
    NEWSADINFO = 0x22
    GETSADINFO = 0x23
    NEWSPDINFO = 0x24
    GETSPDINFO = 0x25
    MAPPING = 0x26
    SETDEFAULT = 0x27
    GETDEFAULT = 0x28


class Group(IntEnum):
    """enum xfrm_nlgroups: who hears of what."""

    ACQUIRE = 1
    EXPIRE = 2
    SA = 3
    POLICY = 4
    MAPPING = 8


class Empty(tuple[()]):
    """No structure: the body of a dump request and of FLUSHPOLICY.

    A dump of SAs with a zeroed structure makes the kernel complain about "leftover" octets.
    """

    __slots__ = ()

    def __bytes__(self) -> bytes:
        return b""


EMPTY: Final = Empty()


class Raw(bytes):
    """The whole body, attributes included, of a message that we do not know."""


Body = (
    wire.SaInfo
    | wire.SaIdent
    | wire.SpiInfo
    | wire.PolicyInfo
    | wire.PolicyIdent
    | wire.Acquire
    | wire.Expire
    | wire.PolExpire
    | wire.Mapping
    | wire.Flush
    | Empty
    | Raw
)


# The structure of each type and its octets up to the attributes, which begin at a multiple of 4.
_BODIES: Final[dict[int, tuple[Callable[[bytes], Body], int]]] = {
    MessageType.NEWSA: (wire.SaInfo.unpack, wire.SA_INFO.size),
    MessageType.UPDSA: (wire.SaInfo.unpack, wire.SA_INFO.size),
    MessageType.DELSA: (wire.SaIdent.unpack, wire.SA_IDENT.size),
    MessageType.GETSA: (wire.SaIdent.unpack, wire.SA_IDENT.size),
    MessageType.NEWPOLICY: (wire.PolicyInfo.unpack, wire.POLICY_INFO.size),
    MessageType.UPDPOLICY: (wire.PolicyInfo.unpack, wire.POLICY_INFO.size),
    MessageType.DELPOLICY: (wire.PolicyIdent.unpack, wire.POLICY_IDENT.size),
    MessageType.GETPOLICY: (wire.PolicyIdent.unpack, wire.POLICY_IDENT.size),
    MessageType.ALLOCSPI: (wire.SpiInfo.unpack, wire.SPI_INFO.size),
    MessageType.ACQUIRE: (wire.Acquire.unpack, wire.ACQUIRE.size),
    MessageType.EXPIRE: (wire.Expire.unpack, wire.EXPIRE.size),
    MessageType.POLEXPIRE: (wire.PolExpire.unpack, wire.POL_EXPIRE.size),
    MessageType.MAPPING: (wire.Mapping.unpack, wire.MAPPING.size),
    MessageType.FLUSHSA: (wire.Flush.unpack, 4),
    MessageType.FLUSHPOLICY: (lambda _: EMPTY, 0),
}


class Message(Record):
    """`attributes` holds keys: it is not shown. The body of a type without a row is `Raw`."""

    type: MessageType
    body: Body = EMPTY
    attributes: attr.Attributes = MappingProxyType({})

    def __repr__(self) -> str:
        return f"Message(type={self.type!r}, body={self.body!r})"

    @classmethod
    def parse(cls, number: int, octets: bytes) -> Self:
        """The message of type `number` from what follows its netlink header. Raises Malformed."""
        row = _BODIES.get(number)
        if row is None:
            return cls(MessageType(number), Raw(octets))
        unpack, size = row
        if not octets and number in (MessageType.GETSA, MessageType.GETPOLICY):
            return cls(MessageType(number))
        try:
            body = unpack(octets)
        except struct.error:
            name = MessageType(number).name
            raise Malformed(f"{name} of {len(octets)} octets, {size} wanted", 0) from None
        return cls(MessageType(number), body, attr.parse(octets, size))

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """The message in a netlink frame. Raises Malformed."""
        return cls.parse(frame.type, frame.body)

    def __bytes__(self) -> bytes:
        body = bytes(self.body)
        return body + bytes(-len(body) & 3) + attr.pack(self.attributes)
