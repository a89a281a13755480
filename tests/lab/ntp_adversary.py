"""What a liar, a forger and a broken server answer: each an honest answer, bent in one way.

Built on the server core. An attack takes the request and what an honest server answers to it, and
gives the datagrams that arrive instead.
"""

from collections.abc import Callable, Iterable, Iterator

from lab.ntp_memory import DATE, Responder, honest, server
from ntp.packet import ExtensionField, Header, Mac, Packet
from ntp.server import Server
from ntp.timestamp import SECOND
from wire.record import replace

Attack = Callable[[Header, Header], bytes]


def bent(**fields: object) -> Attack:
    """The honest answer with other header fields."""
    return lambda _, answer: bytes(replace(answer, **fields))


def followed_by(rest: bytes) -> Attack:
    return lambda _, answer: bytes(answer) + rest


def cut_to(size: int) -> Attack:
    return lambda _, answer: bytes(answer)[:size]


def shifted(by: int) -> Attack:
    """All of the server's dates moved by `by` ns."""

    def attack(_: Header, answer: Header) -> bytes:
        reference, receive = _moved(answer.reference, by), _moved(answer.receive, by)
        transmit = _moved(answer.transmit, by)
        return bytes(replace(answer, reference=reference, receive=receive, transmit=transmit))

    return attack


def _moved(stamp: int, by: int) -> int:
    return (stamp + (by << 32) // SECOND) % (1 << 64)


def transmit_moved(by: int) -> Attack:
    return lambda _, a: bytes(replace(a, transmit=_moved(a.transmit, by)))


def origin_flipped(bit: int) -> Attack:
    return lambda _, answer: bytes(replace(answer, origin=answer.origin ^ 1 << bit))


# Anybody can send these: each must be passed over as if it had not come
FORGERIES: dict[str, Attack] = {
    "another origin": bent(origin=0x0123456789ABCDEF),
    "zero origin": bent(origin=0),
    "origin one bit off": origin_flipped(0),
    "origin one high bit off": origin_flipped(63),
    "kiss code with another origin": bent(stratum=0, reference_id=b"DENY", origin=1),
    "request reflected": lambda request, _: bytes(request),
    "request reflected as an answer": lambda request, _: bytes(replace(request, mode=4)),
    **{f"mode {mode}": bent(mode=mode) for mode in (0, 1, 2, 3, 5, 6, 7)},
    **{f"version {version}": bent(version=version) for version in (0, 5, 6, 7)},
    **{f"cut to {size} octets": cut_to(size) for size in (0, 1, 12, 47)},
    "a MAC cut short": followed_by(bytes(8)),
    "junk of 1 octet": followed_by(b"\0"),
    "junk of 13 octets": followed_by(bytes(13)),
    "an extension field of length 0": followed_by(bytes(32)),
    "an extension field longer than the packet": followed_by(b"\1\4\xff\xfc" + bytes(28)),
    "an extension field of an odd length": followed_by(b"\1\4\0\x1d" + bytes(28)),
    "a last extension field too short": followed_by(bytes(ExtensionField(1, bytes(12)))),
    "64 KiB": followed_by(bytes(60_000)),
    "version 3 with extension fields": lambda _, answer: bytes(
        Packet(replace(answer, version=3), (ExtensionField(0x104, bytes(32)),))
    ),
}

# Only the server can send these (or who sits on the path): the answer is in, and no good
USELESS: dict[str, Attack] = {
    "stratum 16": bent(stratum=16),
    "stratum 255": bent(stratum=255),
    "leap indicator 3": bent(leap=3),
    "receive stamp zero": bent(receive=0),
    "transmit stamp zero": bent(transmit=0),
    "all stamps zero": bent(reference=0, receive=0, transmit=0),
    "transmit before receive": transmit_moved(-SECOND // 10),
    "negative delay": transmit_moved(SECOND // 2),
    "two seconds to answer": transmit_moved(2 * SECOND),
    "root delay of 32768 s": bent(root_delay=0x8000_0000),
    "root dispersion of 16 s": bent(root_dispersion=16 << 16),
    "root dispersion of 2 s": bent(root_dispersion=2 << 16),
    "precision of 2**127 s": bent(precision=127),
    "set in the future": lambda _, a: bytes(replace(a, reference=_moved(a.transmit, SECOND))),
    "synchronised to us": bent(stratum=2, reference_id=bytes((192, 0, 2, 99))),
}

KISSES = (
    *(b"ACST", b"AUTH", b"AUTO", b"BCST", b"CRYP", b"DENY", b"DROP", b"RSTR", b"INIT", b"MCST"),
    *(b"NKEY", b"NTSN", b"RATE", b"RMOT", b"STEP", b"XXXX", b"\0\0\0\0", b"\xff\xfe\0\n"),
)


def kiss(code: bytes) -> Attack:
    return bent(stratum=0, leap=3, reference_id=code)


def with_mac(mac: Mac) -> Attack:
    return lambda _, answer: bytes(Packet(answer, (), mac))


def in_place_of(attack: Attack, core: Server | None = None) -> Responder:
    """A server whose every answer is bent by `attack`."""
    respond = honest(core or server())

    def bend(request: bytes, now: float) -> Iterator[bytes]:
        for octets in respond(request, now):
            yield attack(Header.parse(request), Header.parse(octets))

    return bend


def before(attack: Attack, core: Server | None = None) -> Responder:
    """An honest server whose every answer is overtaken by a bent one."""
    respond = honest(core or server())

    def precede(request: bytes, now: float) -> Iterator[bytes]:
        for octets in respond(request, now):
            yield attack(Header.parse(request), Header.parse(octets))
            yield octets

    return precede


def replaying() -> Responder:
    """Sends the answer to the request before; to the first, nothing."""
    respond = honest(server())
    last: list[bytes] = []

    def replay(request: bytes, now: float) -> Iterable[bytes]:
        answers, last[:] = list(last), list(respond(request, now))
        return answers

    return replay


def dated(date: int) -> Responder:
    """An honest server with a date of its own, Unix ns; below zero: before 1970."""
    core = server(max(date, 0))
    return honest(core) if date >= 0 else in_place_of(shifted(date - DATE))
