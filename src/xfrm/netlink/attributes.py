"""The attributes that follow a fixed structure (enum xfrm_attr_type_t, linux/netlink.h).

A message's attributes are a dict of type to octets: XFRM never repeats one, and a type without a
name here (kernels keep adding some) stays in it as it came. The functions below read and write
the octets of the types that we use. All raise Malformed on octets that do not fit.
"""

from collections.abc import Mapping as MappingOf
from struct import Struct
from typing import Final, NamedTuple

from wire.open_enum import OpenEnum
from wire.secret import Secret
from xfrm.model import Algorithm, Malformed, Mark
from xfrm.netlink.wire import Id


class Attribute(OpenEnum):
    """XFRMA_*. Kernels since 6.1 add some: NAT_KEEPALIVE_INTERVAL, SA_DIR, SA_PCPU."""

    ALG_AUTH = 1
    ALG_CRYPT = 2
    ALG_COMP = 3
    ENCAP = 4
    TMPL = 5
    SA = 6
    POLICY = 7
    SEC_CTX = 8
    LTIME_VAL = 9
    REPLAY_VAL = 10
    REPLAY_THRESH = 11
    ETIMER_THRESH = 12
    SRCADDR = 13
    COADDR = 14
    LASTUSED = 15
    POLICY_TYPE = 16
    MIGRATE = 17
    ALG_AEAD = 18
    KMADDRESS = 19
    ALG_AUTH_TRUNC = 20
    MARK = 21
    TFCPAD = 22
    REPLAY_ESN_VAL = 23
    SA_EXTRA_FLAGS = 24
    PROTO = 25
    ADDRESS_FILTER = 26
    PAD = 27
    OFFLOAD_DEV = 28
    SET_MARK = 29
    SET_MARK_MASK = 30
    IF_ID = 31
    MTIMER_THRESH = 32
    SA_DIR = 33
    NAT_KEEPALIVE_INTERVAL = 34


Attributes = MappingOf[int, bytes]

_HEADER: Final = Struct("=HH")  # struct nlattr: length with this header, type
_TYPE_MASK: Final = 0x3FFF  # NLA_TYPE_MASK: the two upper bits are flags
_NAME: Final = 64
_ALGO: Final = Struct("=64sI")
_ALGO_ICV: Final = Struct("=64sII")
_TMPL: Final = Struct("=16sIB3xH2x16sIBBBxIII")
_ENCAP: Final = Struct("=HHH2x16s")
_ESN: Final = Struct("=IIIIII")
_MARK: Final = Struct("=II")
_U32: Final = Struct("=I")
_U64: Final = Struct("=Q")


def parse(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """All attributes from `offset` to the end of `data`."""
    attributes: dict[int, bytes] = {}
    end = len(data)
    while offset + 4 <= end:
        length, number = _HEADER.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            raise Malformed(f"an attribute of {length} octets, {end - offset} left", offset)
        attributes[number & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return attributes


def pack(attributes: Attributes) -> bytes:
    parts: list[bytes] = []
    for number, value in attributes.items():
        parts += (_HEADER.pack(len(value) + 4, number), value, bytes(-len(value) & 3))
    return b"".join(parts)


class Template(NamedTuple):
    """struct xfrm_user_tmpl."""

    id: Id
    family: int
    saddr: bytes
    reqid: int
    mode: int
    share: int = 0
    optional: int = 0
    aalgos: int = 0xFFFFFFFF  # any; only PF_KEY's numbers have bits here
    ealgos: int = 0xFFFFFFFF
    calgos: int = 0xFFFFFFFF


class Encap(NamedTuple):
    """struct xfrm_encap_tmpl; the ports are in network byte order."""

    type: int
    sport: int
    dport: int
    oa: bytes = bytes(16)


class ReplayEsn(NamedTuple):
    """struct xfrm_replay_state_esn; the bitmap is as long as the window needs."""

    oseq: int = 0
    seq: int = 0
    oseq_hi: int = 0
    seq_hi: int = 0
    replay_window: int = 0
    bitmap: bytes = b""


def pack_algorithm(algorithm: Algorithm) -> bytes:
    """struct xfrm_algo: ALG_CRYPT, ALG_COMP."""
    key = algorithm.key.reveal()
    return _ALGO.pack(_name(algorithm), len(key) * 8) + key


def pack_algorithm_icv(algorithm: Algorithm) -> bytes:
    """struct xfrm_algo_auth or xfrm_algo_aead: ALG_AUTH_TRUNC, ALG_AEAD."""
    key = algorithm.key.reveal()
    return _ALGO_ICV.pack(_name(algorithm), len(key) * 8, algorithm.icv_bits) + key


def algorithm(value: bytes) -> Algorithm:
    if len(value) < _ALGO.size:
        raise Malformed(f"an algorithm of {len(value)} octets", 0)
    name, bits = _ALGO.unpack_from(value)
    return _algorithm(name, bits, 0, value[_ALGO.size :])


def algorithm_icv(value: bytes) -> Algorithm:
    if len(value) < _ALGO_ICV.size:
        raise Malformed(f"an algorithm of {len(value)} octets", 0)
    name, bits, icv_bits = _ALGO_ICV.unpack_from(value)
    return _algorithm(name, bits, icv_bits, value[_ALGO_ICV.size :])


def pack_templates(templates: tuple[Template, ...]) -> bytes:
    return b"".join(_TMPL.pack(*t.id, t.family, t.saddr, *t[3:]) for t in templates)


def templates(value: bytes) -> tuple[Template, ...]:
    if len(value) % _TMPL.size:
        raise Malformed(f"templates of {len(value)} octets", 0)
    return tuple(
        Template(Id(daddr, spi, proto), *rest)
        for daddr, spi, proto, *rest in _TMPL.iter_unpack(value)
    )


def pack_encap(encap: Encap) -> bytes:
    return _ENCAP.pack(*encap)


def encap(value: bytes) -> Encap:
    return Encap._make(_unpack(_ENCAP, value))


def pack_replay_esn(state: ReplayEsn) -> bytes:
    *numbers, bitmap = state
    return _ESN.pack(len(bitmap) // 4, *numbers) + bitmap


def replay_esn(value: bytes) -> ReplayEsn:
    words, oseq, seq, oseq_hi, seq_hi, window = _unpack(_ESN, value)
    if len(value) < _ESN.size + 4 * words:
        raise Malformed(f"a replay bitmap of {words} words in {len(value)} octets", _ESN.size)
    bitmap = value[_ESN.size : _ESN.size + 4 * words]
    return ReplayEsn(oseq, seq, oseq_hi, seq_hi, window, bitmap)


def pack_mark(mark: Mark) -> bytes:
    return _MARK.pack(mark.value, mark.mask)


def mark(value: bytes) -> Mark:
    number, mask = _unpack(_MARK, value)
    return Mark(value=number, mask=mask)


def pack_u32(number: int) -> bytes:
    return _U32.pack(number)


def u32(value: bytes) -> int:
    return int(_unpack(_U32, value)[0])


def u64(value: bytes) -> int:
    return int(_unpack(_U64, value)[0])


def _unpack(layout: Struct, value: bytes) -> tuple[int, ...]:
    if len(value) < layout.size:
        raise Malformed(f"{layout.size} octets expected, {len(value)} found", 0)
    return layout.unpack_from(value)


def _name(algorithm: Algorithm) -> bytes:
    name = algorithm.name.encode()
    if len(name) >= _NAME:
        raise ValueError(f"an algorithm's name has at most {_NAME - 1} octets: {algorithm.name!r}")
    return name


def _algorithm(name: bytes, bits: int, icv_bits: int, key: bytes) -> Algorithm:
    octets = bits + 7 >> 3
    if len(key) < octets:
        raise Malformed(f"a key of {bits} bits in {len(key)} octets", _NAME)
    try:
        text = name.split(b"\0", 1)[0].decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("an algorithm name that is not text", 0) from None
    return Algorithm(name=text, key=Secret(key[:octets]), icv_bits=icv_bits)
