"""Fuzz targets of `ike`: each takes octets and lets only other errors than the package's out."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import count

from ike.commands import AllocateSpi, Command, InstallSa, SendDatagram
from ike.config import Config, PreSharedKeys, ProposalCheck, Remote, Sainfo, Switch
from ike.crypto.names import parse_name, print_name
from ike.crypto.signatures import check_signature, load
from ike.doi.identity import describe, network_of
from ike.doi.proposals import Phase1Suite, Phase2Suite, read_lifetime
from ike.doi.select import choose_phase2, phase2_suites
from ike.doi.select_phase1 import choose_phase1, phase1_suites
from ike.engine import Engine
from ike.errors import IkeError
from ike.events import (
    Acquire,
    DatagramReceived,
    Event,
    SaInstalled,
    SpiAllocated,
)
from ike.isakmp.attributes import parse_attributes
from ike.isakmp.fragment import Reassembler, Standing
from ike.isakmp.header import Header
from ike.isakmp.message import Message, parse_chain
from ike.isakmp.payloads import (
    Certificate,
    Delete,
    Fragment,
    Identification,
    Notification,
    OriginalAddress,
    SaBody,
)
from ike.isakmp.vendor import known
from ike.numbers.isakmp import ExchangeType, PayloadType
from ike.values import Endpoint, PolicyEntry, Protection, Selector
from wire.cursor import Cursor, DecodeError
from wire.secret import Secret
from wire.timer import TimerFired

HERE, THERE = ip_address("10.0.0.1"), ip_address("10.0.0.2")
LOCAL, PEER = Endpoint(HERE, 500), Endpoint(THERE, 500)
REMOTE = Remote(
    name="fuzz",
    address=None,
    exchange_modes=(ExchangeType.MAIN, ExchangeType.AGGRESSIVE),
    nat_traversal=Switch.ON,
    ike_frag=Switch.ON,
    dpd_delay=5.0,
)
CONFIG = Config(
    remotes=(REMOTE,),
    sainfos=(Sainfo(),),
    keys=PreSharedKeys((("*", Secret(b"fuzz")),)),
    export_keys=True,
)
POLICY = PolicyEntry(
    selector=Selector(local=ip_network(HERE), remote=ip_network(THERE)),
    local=HERE,
    remote=THERE,
    protections=(Protection(),),
)


def header(octets: bytes) -> None:
    with suppress(IkeError):
        Header.parse(octets)


def message(octets: bytes) -> None:
    with suppress(IkeError):
        parsed = Message.parse(Header.parse(octets), octets)
        assert bytes(parsed) == octets


def chain(octets: bytes) -> None:
    with suppress(IkeError):
        parse_chain(PayloadType.SA, octets)


def attributes(octets: bytes) -> None:
    with suppress(IkeError, DecodeError):
        read_lifetime(parse_attributes(Cursor(octets)))


def security_association(octets: bytes) -> None:
    """Also chooses from it, for both phases."""
    for body in (octets, bytes.fromhex("0000000100000001") + octets):
        with suppress(IkeError):
            _choose(SaBody.parse(body))


def _choose(offered: SaBody) -> None:
    assert SaBody.parse(bytes(offered)) == offered
    for proposal in offered.proposals:
        for transform in proposal.transforms:
            with suppress(IkeError):
                str(Phase1Suite.read(transform))
            with suppress(IkeError):
                str(Phase2Suite.read(proposal.protocol, transform))
    for check in ProposalCheck:
        with suppress(IkeError):
            choose_phase1(offered, phase1_suites(REMOTE), check)
        with suppress(IkeError):
            choose_phase2(offered, [phase2_suites(Sainfo(), Protection())], check, pfs=False)


def identification(octets: bytes) -> None:
    with suppress(IkeError):
        identity = Identification.parse(octets)
        describe(identity)
        network_of(identity)


def name(octets: bytes) -> None:
    with suppress(DecodeError):
        print_name(parse_name(octets))


def certificate(octets: bytes) -> None:
    with suppress(IkeError):
        check_signature(load(octets), bytes(128), bytes(20))


def payloads(octets: bytes) -> None:
    for kind in (Certificate, Notification, Delete, OriginalAddress, Fragment):
        with suppress(IkeError):
            kind.parse(octets)
    known(octets)


def fragments(octets: bytes) -> None:
    """The octets are cut into pieces, each put into a message of one fragment payload."""
    reassembler = Reassembler(message=1000, source=2000, total=4000)
    for at, piece in enumerate(octets[i : i + 20] for i in range(0, len(octets), 20)):
        body = len(piece).to_bytes(2) + piece
        length = 28 + 4 + len(piece)
        head = bytes(8 * [1]) + bytes(8) + bytes([132, 16, 2, 0]) + bytes(4) + length.to_bytes(4)
        data = head + b"\0\0" + (4 + len(piece)).to_bytes(2) + body[2:]
        with suppress(IkeError):
            reassembler.add(Header.parse(data), data, PEER, float(at), Standing(at % 3))


def _entropy() -> Callable[[int], bytes]:
    numbers: Iterator[int] = count()
    return lambda size: hashlib.shake_128(str(next(numbers)).encode()).digest(size)


def responder(octets: bytes) -> None:
    """Anybody's datagrams: as they are, and as bodies of well-formed headers."""
    engine = Engine(CONFIG, entropy=_entropy())
    T = ExchangeType
    kinds = (T.MAIN, T.AGGRESSIVE, T.QUICK, T.INFORMATIONAL)
    for at, part in enumerate(octets[i : i + 64] for i in range(0, len(octets), 64)):
        bodies = [part]
        for kind in kinds:
            head = bytes(8 * [2]) + bytes(8) + bytes([1, 16, kind, 0]) + bytes(4)
            bodies.append(head + (28 + len(part)).to_bytes(4) + part)
        for body in bodies:
            engine.handle(DatagramReceived(octets=body, source=PEER, local=LOCAL), float(at))


def initiator(octets: bytes) -> None:
    """A peer that answers our first message with anything, cookies put right."""
    engine = Engine(CONFIG, entropy=_entropy())
    commands = engine.handle(Acquire(policy=POLICY), 0.0)
    cookie = _sent(commands)[0][:8]
    for at, part in enumerate(octets[i : i + 96] for i in range(0, len(octets), 96)):
        for first in (PayloadType.SA, PayloadType.KE, PayloadType.NOTIFY):
            head = cookie + bytes(8 * [3]) + bytes([first, 16, 2, 0]) + bytes(4)
            data = head + (28 + len(part)).to_bytes(4) + part
            engine.handle(DatagramReceived(octets=data, source=PEER, local=LOCAL), float(at))
    engine.handle(TimerFired(), 1000.0)


def main_conversation(octets: bytes) -> None:
    """Two engines talk up to IPsec SAs; the octets say which messages are bent, and how."""
    _conversation(octets, CONFIG)


def aggressive_conversation(octets: bytes) -> None:
    """The same in Aggressive Mode."""
    remote = replace(REMOTE, exchange_modes=(ExchangeType.AGGRESSIVE,))
    _conversation(octets, replace(CONFIG, remotes=(remote,)))


def _conversation(octets: bytes, config: Config) -> None:
    engines = (Engine(config, entropy=_entropy()), Engine(config, entropy=_entropy()))
    queue: list[tuple[int, Event]] = [(0, _acquire())]
    bends = iter(octets)
    for step in range(120):
        if not queue:
            break
        side, event = queue.pop(0)
        for command in engines[side].handle(event, step / 100):
            if not isinstance(command, SendDatagram):
                queue += [(side, answer) for answer in _answers(command)]
                continue
            bent = bytearray(command.octets)
            bent[next(bends, 0) % len(bent)] ^= next(bends, 0)
            for version in dict.fromkeys((bytes(bent), command.octets)):
                arrived = DatagramReceived(octets=version, source=command.local, local=command.to)
                queue.append((1 - side, arrived))


def _answers(command: Command) -> list[Event]:
    """What a data plane says that likes everything, and knows the policy from either side."""
    match command:
        case AllocateSpi():
            return [SpiAllocated(ask=command.ask, spi=4096 + command.ask)]
        case InstallSa():
            return [SaInstalled(ask=command.ask)]
        case _:
            return []


def _acquire() -> Acquire:
    return Acquire(policy=POLICY)


def _sent(commands: list[Command]) -> list[bytes]:
    return [c.octets for c in commands if isinstance(c, SendDatagram)]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "header": header,
    "message": message,
    "chain": chain,
    "attributes": attributes,
    "security_association": security_association,
    "identification": identification,
    "name": name,
    "certificate": certificate,
    "payloads": payloads,
    "fragments": fragments,
    "responder": responder,
    "initiator": initiator,
    "main_conversation": main_conversation,
    "aggressive_conversation": aggressive_conversation,
}
