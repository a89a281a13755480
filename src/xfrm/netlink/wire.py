"""The fixed structures of linux/xfrm.h (6.1), each a tuple with one `Struct`.

Everything is in the machine's byte order except SPIs and ports, which are the network's. Addresses
are 16 octets, of which IPv4 uses the first four; `family` says which. Values are the C fields under
their C names, but `idx` for index and `octets` for bytes, which every tuple and module has taken.
`unpack` raises struct.error when the octets are too few; `messages` translates it.
"""

import sys
from struct import Struct
from typing import Final, NamedTuple, Self

AF_UNSPEC: Final = 0
AF_INET: Final = 2
AF_INET6: Final = 10

INFINITE: Final = (1 << 64) - 1  # XFRM_INF: no limit of octets or packets
ANY_ADDRESS: Final = bytes(16)

STATE_ALIGN4: Final = 64  # XFRM_STATE_ALIGN4: AH fills words of 32 bits
STATE_ESN: Final = 128  # XFRM_STATE_ESN
STATE_AF_UNSPEC: Final = 32  # the selector of the SA may be of the other family
UDP_ENCAP_ESPINUDP: Final = 2

SELECTOR: Final = Struct("=16s16sHHHHHBBB3xiI")
SA_INFO: Final = Struct("=16s16sHHHHHBBB3xiI16sIB3x16s8Q4Q3IIIHBBB7x")
SA_IDENT: Final = Struct("=16sIHBx")
SPI_INFO: Final = Struct("=224sII")
POLICY_INFO: Final = Struct("=16s16sHHHHHBBB3xiI8Q4QIIBBBB4x")
POLICY_IDENT: Final = Struct("=56sIB3x")
ACQUIRE: Final = Struct("=16sIB3x16s56s168sIIII")
EXPIRE: Final = Struct("=224sB7x")
POL_EXPIRE: Final = Struct("=168sB7x")
MAPPING: Final = Struct("=24sI16s16sHH")
FLUSH: Final = Struct("=B")

_LITTLE: Final = sys.byteorder == "little"


def swap16(number: int) -> int:
    """A port between the network's byte order and the machine's."""
    return (number & 0xFF) << 8 | number >> 8 if _LITTLE else number


def swap32(number: int) -> int:
    """An SPI between the network's byte order and the machine's."""
    return int.from_bytes(number.to_bytes(4, "little"), "big") if _LITTLE else number


class Selector(NamedTuple):
    """struct xfrm_selector."""

    daddr: bytes
    saddr: bytes
    dport: int  # network byte order
    dport_mask: int
    sport: int
    sport_mask: int
    family: int
    prefixlen_d: int
    prefixlen_s: int
    proto: int
    ifindex: int = 0
    user: int = 0

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        return cls._make(SELECTOR.unpack_from(data, offset))

    def __bytes__(self) -> bytes:
        return SELECTOR.pack(*self)


ANYTHING: Final = Selector(ANY_ADDRESS, ANY_ADDRESS, 0, 0, 0, 0, AF_UNSPEC, 0, 0, 0)


class Id(NamedTuple):
    """struct xfrm_id."""

    daddr: bytes
    spi: int  # network byte order
    proto: int


class LifetimeCfg(NamedTuple):
    """struct xfrm_lifetime_cfg."""

    soft_byte_limit: int = INFINITE
    hard_byte_limit: int = INFINITE
    soft_packet_limit: int = INFINITE
    hard_packet_limit: int = INFINITE
    soft_add_expires_seconds: int = 0
    hard_add_expires_seconds: int = 0
    soft_use_expires_seconds: int = 0
    hard_use_expires_seconds: int = 0


class LifetimeCur(NamedTuple):
    """struct xfrm_lifetime_cur; times are Unix seconds."""

    octets: int = 0
    packets: int = 0
    add_time: int = 0
    use_time: int = 0


class Stats(NamedTuple):
    """struct xfrm_stats."""

    replay_window: int = 0
    replay: int = 0
    integrity_failed: int = 0


class SaInfo(NamedTuple):
    """struct xfrm_usersa_info."""

    sel: Selector
    id: Id
    saddr: bytes
    lft: LifetimeCfg = LifetimeCfg()
    curlft: LifetimeCur = LifetimeCur()
    stats: Stats = Stats()
    seq: int = 0
    reqid: int = 0
    family: int = AF_INET
    mode: int = 0
    replay_window: int = 0
    flags: int = 0

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        v = SA_INFO.unpack_from(data, offset)
        return cls(
            Selector._make(v[:12]),
            Id._make(v[12:15]),
            v[15],
            LifetimeCfg._make(v[16:24]),
            LifetimeCur._make(v[24:28]),
            Stats._make(v[28:31]),
            *v[31:],
        )

    def __bytes__(self) -> bytes:
        sel, ident, saddr, lft, curlft, stats, *rest = self
        return SA_INFO.pack(*sel, *ident, saddr, *lft, *curlft, *stats, *rest)


class SaIdent(NamedTuple):
    """struct xfrm_usersa_id."""

    daddr: bytes
    spi: int  # network byte order
    family: int
    proto: int

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        return cls._make(SA_IDENT.unpack_from(data, offset))

    def __bytes__(self) -> bytes:
        return SA_IDENT.pack(*self)


class SpiInfo(NamedTuple):
    """struct xfrm_userspi_info: the SA to be, and the range that its SPI is taken from."""

    info: SaInfo
    min: int
    max: int

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        _, low, high = SPI_INFO.unpack_from(data, offset)
        return cls(SaInfo.unpack(data, offset), low, high)

    def __bytes__(self) -> bytes:
        return SPI_INFO.pack(bytes(self.info), self.min, self.max)


class PolicyInfo(NamedTuple):
    """struct xfrm_userpolicy_info."""

    sel: Selector
    lft: LifetimeCfg = LifetimeCfg()
    curlft: LifetimeCur = LifetimeCur()
    priority: int = 0
    idx: int = 0
    dir: int = 0
    action: int = 0
    flags: int = 0
    share: int = 0

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        v = POLICY_INFO.unpack_from(data, offset)
        return cls(
            Selector._make(v[:12]),
            LifetimeCfg._make(v[12:20]),
            LifetimeCur._make(v[20:24]),
            *v[24:],
        )

    def __bytes__(self) -> bytes:
        sel, lft, curlft, *rest = self
        return POLICY_INFO.pack(*sel, *lft, *curlft, *rest)


class PolicyIdent(NamedTuple):
    """struct xfrm_userpolicy_id; `idx` 0: the selector says which."""

    sel: Selector
    idx: int
    dir: int

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        _, index, direction = POLICY_IDENT.unpack_from(data, offset)
        return cls(Selector.unpack(data, offset), index, direction)

    def __bytes__(self) -> bytes:
        return POLICY_IDENT.pack(bytes(self.sel), self.idx, self.dir)


class Acquire(NamedTuple):
    """struct xfrm_user_acquire."""

    id: Id
    saddr: bytes
    sel: Selector
    policy: PolicyInfo
    aalgos: int
    ealgos: int
    calgos: int
    seq: int

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        daddr, spi, proto, saddr, _, _, *rest = ACQUIRE.unpack_from(data, offset)
        sel = Selector.unpack(data, offset + 40)
        return cls(Id(daddr, spi, proto), saddr, sel, PolicyInfo.unpack(data, offset + 96), *rest)

    def __bytes__(self) -> bytes:
        ident, saddr, sel, policy, *rest = self
        return ACQUIRE.pack(*ident, saddr, bytes(sel), bytes(policy), *rest)


class Expire(NamedTuple):
    """struct xfrm_user_expire."""

    state: SaInfo
    hard: int

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        _, hard = EXPIRE.unpack_from(data, offset)
        return cls(SaInfo.unpack(data, offset), hard)

    def __bytes__(self) -> bytes:
        return EXPIRE.pack(bytes(self.state), self.hard)


class PolExpire(NamedTuple):
    """struct xfrm_user_polexpire."""

    pol: PolicyInfo
    hard: int

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        _, hard = POL_EXPIRE.unpack_from(data, offset)
        return cls(PolicyInfo.unpack(data, offset), hard)

    def __bytes__(self) -> bytes:
        return POL_EXPIRE.pack(bytes(self.pol), self.hard)


class Mapping(NamedTuple):
    """struct xfrm_user_mapping; the ports are in network byte order."""

    id: SaIdent
    reqid: int
    old_saddr: bytes
    new_saddr: bytes
    old_sport: int
    new_sport: int

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        _, *rest = MAPPING.unpack_from(data, offset)
        return cls(SaIdent.unpack(data, offset), *rest)

    def __bytes__(self) -> bytes:
        return MAPPING.pack(bytes(self.id), *self[1:])


class Flush(NamedTuple):
    """struct xfrm_usersa_flush; protocol 255 is every one."""

    proto: int

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        return cls._make(FLUSH.unpack_from(data, offset))

    def __bytes__(self) -> bytes:
        return FLUSH.pack(self.proto)
