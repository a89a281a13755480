"""PF_KEY version 2 dumps of SAs (RFC 2367, 3.1.10; linux/pfkeyv2.h), as octets.

A keying daemon answers `racoonctl show-sa ipsec` with the messages that a kernel would give to
SADB_DUMP, whoever holds the SAs. No PF_KEY socket is ever opened. Byte order is the machine's,
except for SPIs and ports. PF_KEY says nothing of check value lengths, marks, selectors and
extended sequence numbers: what is read back has the check values of the RFCs and none of the rest.
"""

import errno
from collections.abc import Sequence
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from struct import Struct

from wire.cursor import Cursor, DecodeError
from wire.lean import Final
from wire.open_enum import OpenEnum
from wire.record import Record
from wire.secret import Secret
from xfrm.algorithms import Kind, by_pfkey, row_of
from xfrm.model import (
    Address,
    Algorithm,
    Encapsulation,
    Lifetime,
    Malformed,
    Mode,
    Protocol,
    SecurityAssociation,
    Selector,
    Usage,
)

PF_KEY_V2: Final = 2
SADB_DUMP: Final = 10


class State(OpenEnum):
    """SADB_SASTATE_*."""

    LARVAL = 0
    MATURE = 1
    DYING = 2
    DEAD = 3


class Extension(IntEnum):
    """SADB_EXT_* and SADB_X_EXT_*, those of an SA."""

    SA = 1
    LIFETIME_CURRENT = 2
    LIFETIME_HARD = 3
    LIFETIME_SOFT = 4
    ADDRESS_SRC = 5
    ADDRESS_DST = 6
    ADDRESS_PROXY = 7
    KEY_AUTH = 8
    KEY_ENCRYPT = 9
    SA2 = 19
    NAT_T_TYPE = 20
    NAT_T_SPORT = 21
    NAT_T_DPORT = 22


_MSG: Final = Struct("=BBBBHHII")
_EXT: Final = Struct("=HH")
_SA: Final = Struct("=4sBBBBI")
_LIFETIME: Final = Struct("=IQQQ")
_ADDRESS: Final = Struct("=BBH")
_KEY: Final = Struct("=HH")
_SA2: Final = Struct("=BBHII")
_NAT_T_TYPE: Final = Struct("=B3x")
_NAT_T_PORT: Final = Struct("=2s2x")
_FAMILY: Final = Struct("=H")
_AF_INET, _AF_INET6 = 2, 10
_UDP_ENCAP_ESPINUDP: Final = 2
_ANY_UPPER: Final = 255  # IPSEC_PROTO_ANY

_SATYPES: Final = {Protocol.AH: 2, Protocol.ESP: 3, Protocol.IPCOMP: 9}
_PROTOCOLS: Final = {number: protocol for protocol, number in _SATYPES.items()}
# IPSEC_MODE_*: any, transport, tunnel
_MODES: Final = {Mode.TRANSPORT: 1, Mode.TUNNEL: 2}
_MODE_NUMBERS: Final = {number: mode for mode, number in _MODES.items()}
_UNKNOWN: Final = "pfkey-"  # the name of an algorithm that has a number and no row


class Dumped(Record):
    """One message of a dump. `pid` is who asked; the last message has sequence number 0."""

    sa: SecurityAssociation
    sequence: int
    pid: int


def state_of(sa: SecurityAssociation, now: int) -> State:
    """The state at `now` (Unix seconds): the kernel tells only that an SA is there."""
    if sa.larval:
        return State.LARVAL
    life, usage = sa.lifetime, sa.usage
    soft = (
        (life.soft_seconds, now - usage.added),
        (life.soft_octets, usage.octets),
        (life.soft_packets, usage.packets),
    )
    if any(limit is not None and used >= limit for limit, used in soft):
        return State.DYING
    return State.MATURE


def dump_reply(sas: Sequence[SecurityAssociation], *, pid: int, now: int) -> bytes:
    """The SADB_DUMP messages of `sas`, as a kernel numbers them: 1, 2, ... and the last one 0.

    `pid` is the process that asked, `now` Unix seconds. If there is no SA, the answer is the error
    ENOENT.
    """
    if not sas:
        return _MSG.pack(PF_KEY_V2, SADB_DUMP, errno.ENOENT, 0, _MSG.size // 8, 0, 0, pid)
    return b"".join(
        dump_message(sa, sequence=sequence, pid=pid, now=now)
        for sequence, sa in zip(sequence_numbers(len(sas)), sas, strict=True)
    )


def sequence_numbers(count: int) -> list[int]:
    """Of the messages of a dump: 1, 2, ... and the last one 0."""
    return [*range(1, count), 0][:count]


def dump_message(sa: SecurityAssociation, *, sequence: int, pid: int, now: int) -> bytes:
    usage, life = sa.usage, sa.lifetime
    extensions = [  # in the order of Linux' dumps
        _extension(Extension.SA, _sa(sa, now)),
        _lifetime(
            Extension.LIFETIME_HARD, life.hard_packets, life.hard_octets, life.hard_seconds, 0
        ),
        _lifetime(
            Extension.LIFETIME_SOFT, life.soft_packets, life.soft_octets, life.soft_seconds, 0
        ),
        _lifetime(Extension.LIFETIME_CURRENT, usage.packets, usage.octets, usage.added, usage.used),
        _address(Extension.ADDRESS_SRC, sa.src),
        _address(Extension.ADDRESS_DST, sa.dst),
        *_proxy(sa),
    ]
    if sa.authentication is not None:
        extensions.append(_key(Extension.KEY_AUTH, sa.authentication))
    cipher = sa.encryption or sa.aead
    if cipher is not None and len(cipher.key):
        extensions.append(_key(Extension.KEY_ENCRYPT, cipher))
    extensions.append(
        _extension(Extension.SA2, _SA2.pack(_MODES.get(sa.mode, 0), 0, 0, 0, sa.reqid))
    )
    if sa.encapsulation is not None:
        sport, dport = sa.encapsulation.src_port, sa.encapsulation.dst_port
        extensions += [
            _extension(Extension.NAT_T_TYPE, _NAT_T_TYPE.pack(_UDP_ENCAP_ESPINUDP)),
            _extension(Extension.NAT_T_SPORT, _NAT_T_PORT.pack(sport.to_bytes(2, "big"))),
            _extension(Extension.NAT_T_DPORT, _NAT_T_PORT.pack(dport.to_bytes(2, "big"))),
        ]
    body = b"".join(extensions)
    words = (_MSG.size + len(body)) // 8
    satype = _SATYPES.get(sa.protocol, 0)
    return _MSG.pack(PF_KEY_V2, SADB_DUMP, 0, satype, words, 0, sequence, pid) + body


def parse_dump(octets: bytes) -> list[Dumped]:
    """The SAs of a dump. Extensions that we do not know are skipped. Raises Malformed.

    No octets at all say, too, that there is no SA.
    """
    cursor = Cursor(octets)
    if len(octets) == _MSG.size and octets[2] == errno.ENOENT:
        return []
    dumped = []
    try:
        while len(cursor):
            dumped.append(_parse_message(cursor))
    except DecodeError as error:
        raise Malformed(error.what, error.offset) from None
    return dumped


# Writing


def _sa(sa: SecurityAssociation, now: int) -> bytes:
    auth = _number(Kind.AUTHENTICATION, sa.authentication)
    if sa.compression is not None:
        cipher = _number(Kind.COMPRESSION, sa.compression)
    elif sa.aead is not None:
        cipher = _number(Kind.AEAD, sa.aead)
    else:
        cipher = _number(Kind.ENCRYPTION, sa.encryption)
    replay = min(sa.replay_window, 255)  # the field has one octet
    return _SA.pack(sa.spi.to_bytes(4, "big"), replay, state_of(sa, now), auth, cipher, 0)


def _number(kind: Kind, algorithm: Algorithm | None) -> int:
    if algorithm is None:
        return 0
    row = row_of(kind, algorithm)
    if row is not None:
        return row.pfkey
    number = algorithm.name.removeprefix(_UNKNOWN)
    return int(number) & 0xFF if number.isdecimal() else 0


def _extension(kind: Extension, body: bytes) -> bytes:
    size = _EXT.size + len(body)
    return _EXT.pack(size + 7 >> 3, kind) + body + bytes(-size & 7)


def _lifetime(
    kind: Extension, packets: int | None, octets: int | None, added: int | None, used: int
) -> bytes:
    """Packets are counted in 32 bits and stay at the largest."""
    count = min(packets or 0, 0xFFFFFFFF)
    return _extension(kind, _LIFETIME.pack(count, octets or 0, added or 0, used))


def _address(kind: Extension, address: Address) -> bytes:
    header = _ADDRESS.pack(0, address.max_prefixlen, 0)
    return _extension(kind, header + _sockaddr(address))


def _proxy(sa: SecurityAssociation) -> list[bytes]:
    """The source that the SA's selector names, if that is not the SA's own."""
    nothing = ip_network("0.0.0.0/0") if sa.src.version == 4 else ip_network("::/0")
    selector = sa.selector or Selector(src=nothing, dst=nothing)
    network = selector.src.network_address
    if network == sa.src:
        return []
    header = _ADDRESS.pack(selector.protocol or _ANY_UPPER, selector.src.prefixlen, 0)
    sockaddr = _sockaddr(network, selector.src_port or 0)
    return [_extension(Extension.ADDRESS_PROXY, header + sockaddr)]


def _sockaddr(address: Address, port: int = 0) -> bytes:
    family = _AF_INET if address.version == 4 else _AF_INET6
    start = _FAMILY.pack(family) + port.to_bytes(2, "big")
    if address.version == 4:
        return start + address.packed + bytes(8)
    return start + bytes(4) + address.packed + bytes(4)


def _key(kind: Extension, algorithm: Algorithm) -> bytes:
    key = algorithm.key.reveal()
    return _extension(kind, _KEY.pack(len(key) * 8, 0) + key)


# Reading


def _parse_message(cursor: Cursor) -> Dumped:
    at = cursor.offset
    version, kind, code, satype, words, _, sequence, pid = cursor.unpack(_MSG)
    if version != PF_KEY_V2 or kind != SADB_DUMP:
        raise Malformed(f"PF_KEY version {version}, message {kind}, not a dump", at)
    if code:
        raise Malformed(f"a dump that failed with errno {code}", at)
    body = cursor.sub(words * 8 - _MSG.size)
    extensions: dict[int, Cursor] = {}
    while len(body):
        start = body.offset
        length, number = body.unpack(_EXT)
        if not length:
            raise Malformed("an extension of zero octets", start)
        extensions[number] = body.sub(length * 8 - _EXT.size)
    for needed in (Extension.SA, Extension.ADDRESS_SRC, Extension.ADDRESS_DST):
        if needed not in extensions:
            raise Malformed(f"no {needed.name} extension", at)
    protocol = _PROTOCOLS.get(satype, Protocol(0))
    return Dumped(_parse_sa(protocol, extensions), sequence, pid)


def _parse_sa(protocol: Protocol, extensions: dict[int, Cursor]) -> SecurityAssociation:
    spi, replay, state, auth, cipher, _ = extensions[Extension.SA].unpack(_SA)
    mode, reqid = 0, 0
    if Extension.SA2 in extensions:
        mode, _, _, _, reqid = extensions[Extension.SA2].unpack(_SA2)
    aead = by_pfkey(Kind.AEAD, cipher) is not None
    ciphered = _parse_key(
        Kind.AEAD if aead else Kind.ENCRYPTION, cipher, extensions.get(Extension.KEY_ENCRYPT)
    )
    compressed = protocol == Protocol.IPCOMP
    packets, octets, added, used = _parse_lifetime(extensions.get(Extension.LIFETIME_CURRENT))
    return SecurityAssociation(
        src=_parse_address(extensions[Extension.ADDRESS_SRC]),
        dst=_parse_address(extensions[Extension.ADDRESS_DST]),
        spi=int.from_bytes(spi, "big"),
        protocol=protocol,
        mode=_MODE_NUMBERS.get(mode, Mode.TRANSPORT),
        reqid=reqid,
        encryption=None if aead or compressed else ciphered,
        aead=ciphered if aead and not compressed else None,
        authentication=_parse_key(Kind.AUTHENTICATION, auth, extensions.get(Extension.KEY_AUTH)),
        compression=_parse_key(Kind.COMPRESSION, cipher, None) if compressed else None,
        encapsulation=_parse_encapsulation(extensions),
        replay_window=replay,
        lifetime=_parse_limits(extensions),
        usage=Usage(octets=octets, packets=packets, added=added, used=used),
        larval=state == State.LARVAL,
    )


def _parse_key(kind: Kind, number: int, cursor: Cursor | None) -> Algorithm | None:
    if not number:
        return None
    key = b""
    if cursor is not None:
        bits, _ = cursor.unpack(_KEY)
        key = cursor.take(bits + 7 >> 3)
    row = by_pfkey(kind, number)
    if row is None:
        return Algorithm(name=f"{_UNKNOWN}{number}", key=Secret(key))
    return Algorithm(name=row.linux, key=Secret(key), icv_bits=row.icv_bits)


def _parse_lifetime(cursor: Cursor | None) -> tuple[int, int, int, int]:
    """Packets, octets, seconds since it was added, seconds since it was used."""
    if cursor is None:
        return (0, 0, 0, 0)
    packets, octets, added, used = cursor.unpack(_LIFETIME)
    return packets, octets, added, used


def _parse_limits(extensions: dict[int, Cursor]) -> Lifetime:
    soft = _parse_lifetime(extensions.get(Extension.LIFETIME_SOFT))
    hard = _parse_lifetime(extensions.get(Extension.LIFETIME_HARD))
    return Lifetime(
        soft_packets=soft[0] or None,
        soft_octets=soft[1] or None,
        soft_seconds=soft[2] or None,
        hard_packets=hard[0] or None,
        hard_octets=hard[1] or None,
        hard_seconds=hard[2] or None,
    )


def _parse_address(cursor: Cursor) -> Address:
    cursor.unpack(_ADDRESS)
    at = cursor.offset
    (family,) = cursor.unpack(_FAMILY)
    cursor.take(2)  # the port
    if family == _AF_INET:
        return IPv4Address(cursor.take(4))
    if family == _AF_INET6:
        cursor.take(4)  # flow label
        return IPv6Address(cursor.take(16))
    raise Malformed(f"address family {family}", at)


def _parse_encapsulation(extensions: dict[int, Cursor]) -> Encapsulation | None:
    ports = (extensions.get(Extension.NAT_T_SPORT), extensions.get(Extension.NAT_T_DPORT))
    if ports[0] is None or ports[1] is None:
        return None
    src, dst = (int.from_bytes(port.unpack(_NAT_T_PORT)[0], "big") for port in ports if port)
    return Encapsulation(src_port=src, dst_port=dst)
