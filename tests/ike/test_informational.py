"""Informational exchanges (RFC 2409, 5.7), and what else may come under an ISAKMP SA."""

from ike.commands import EventKind, Level, SendDatagram
from ike.config import Identifier
from ike.crypto.channel import Channel
from ike.events import DatagramReceived, Stop
from ike.isakmp.header import Header
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Notification
from ike.numbers.doi import IdType
from ike.numbers.isakmp import ExchangeType, Flags, NotifyType, PayloadType, ProtocolId
from ike.sa import informational
from ike.sa.exchanges import LINGER
from ike.sa.isakmp_sa import IsakmpSa
from ike.sa.protected import MAX_IDS, RENEW_IDS
from ike.values import Endpoint, Role
from lab.ike_world import LEFT, RIGHT, Node, World, config, connect, pair
from wire.timer import TimerFired

HERE, THERE = Endpoint(LEFT, 500), Endpoint(RIGHT, 500)


def _sa_of(node: Node) -> IsakmpSa:
    (sa,) = [sa for peer in node.engine._pad for sa in peer.isakmp_sas]
    return sa


def _hears(world: World, node: Node, octets: bytes, source: Endpoint) -> list[bytes]:
    """What the node answers at once."""
    event = DatagramReceived(octets=octets, source=source, local=Endpoint(node.address, 500))
    sent = []
    for command in node.engine.handle(event, world.now):
        if isinstance(command, SendDatagram):
            sent.append(command.octets)
        else:
            world._perform(node, command)
    return sent


def _sealed(
    sa: IsakmpSa,
    message_id: int,
    *payloads: Payload,
    kind: ExchangeType = ExchangeType.INFORMATIONAL,
) -> bytes:
    """A message as either side of `sa` would make it."""
    channel = Channel(sa.keys, sa.keys.phase2_iv(sa.handshake.last_block, message_id))
    return channel.seal(
        Message(
            initiator_cookie=sa.cookies.initiator,
            responder_cookie=sa.cookies.responder,
            exchange=kind,
            payloads=informational.protect(sa.keys, message_id, list(payloads)),
            message_id=message_id,
            encrypted=True,
        )
    )


def _notify(kind: NotifyType) -> Payload:
    return Payload(PayloadType.NOTIFY, bytes(Notification(kind)))


def _contents(sa: IsakmpSa, octets: bytes) -> list[PayloadType]:
    header = Header.parse(octets)
    channel = Channel(sa.keys, sa.keys.phase2_iv(sa.handshake.last_block, header.message_id))
    return [payload.type for payload in channel.open(header, octets).payloads]


def _established() -> tuple[World, Node, Node]:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1)
    return world, left, right


def test_each_informational_message_holds_one_notification_or_delete() -> None:
    """racoon hashes the first payload behind HASH only, and would keep SAs that are deleted."""
    world, left, right = _established()
    sa = _sa_of(left)
    before = len(world.datagrams)
    sa.say([_notify(NotifyType.CONNECTED), _notify(NotifyType.CONNECTED)])
    world.tell(left, Stop())
    world.run(1)
    sent = [d.octets for d in world.datagrams[before:] if d.local.address == LEFT]
    assert len(sent) >= 4  # two notifications, deletes of the IPsec SAs and of the ISAKMP SA
    for octets in sent:
        assert octets[18] == ExchangeType.INFORMATIONAL
        first, second = _contents(sa, octets)
        assert first == PayloadType.HASH
        assert second in (PayloadType.NOTIFY, PayloadType.DELETE)
    assert right.texts().count("notification CONNECTED received.") == 2
    assert not right.sas


def test_several_in_one_message_are_taken_all() -> None:
    world, left, right = _established()
    both = (_notify(NotifyType.CONNECTED), _notify(NotifyType.RESPONDER_LIFETIME))
    _hears(world, right, _sealed(_sa_of(left), 77, *both), HERE)
    assert "notification CONNECTED received." in right.texts()
    assert "notification RESPONDER-LIFETIME received." in right.texts()


# --- before phase 1 is over ---


def _refusing() -> tuple[World, Node, IsakmpSa]:
    """The left has sent its identity and proof; what the right answers in the clear is lost."""
    world = World()
    expected = (Identifier(IdType.FQDN, "somebody.else"),)
    refusing = config(LEFT, verify_identifier=True, peers_identifiers=expected)
    left, _ = pair(world, right=refusing)
    world.rewrite = lambda d: None if d.octets[18] == ExchangeType.INFORMATIONAL else d
    assert not connect(world, left, 0.5)
    assert world.datagrams[-2].octets[19] == Flags.ENCRYPTED
    return world, left, _sa_of(left)


def test_an_encrypted_refusal_in_phase_1_is_told_and_ends_it_at_once() -> None:
    """strongSwan encrypts AUTHENTICATION_FAILED, with a vector from our last block."""
    world, left, sa = _refusing()
    octets = _sealed(sa, 77, _notify(NotifyType.AUTHENTICATION_FAILED))
    assert not _hears(world, left, octets, THERE)
    (told,) = [t for t in left.texts() if "AUTHENTICATION-FAILED received, encrypted" in t]
    assert "compare my_identifier" in told
    assert "phase1 negotiation failed, the peer refuses it." in " ".join(left.texts())
    assert EventKind.PHASE1_AUTH_FAILED in left.kinds()
    assert not any("cannot be decrypted" in text for text in left.texts())


def test_a_refusal_that_the_keys_do_not_protect_does_not_end_phase_1() -> None:
    world, left, sa = _refusing()
    octets = _sealed(sa, 77, _notify(NotifyType.AUTHENTICATION_FAILED))
    forged = octets[:-1] + bytes([octets[-1] ^ 1])
    _hears(world, left, forged, THERE)
    assert not sa.closed
    _hears(world, left, octets, THERE)
    assert sa.closed


def test_what_is_no_error_does_not_end_phase_1() -> None:
    world, left, sa = _refusing()
    _hears(world, left, _sealed(sa, 77, _notify(NotifyType.INITIAL_CONTACT)), THERE)
    assert not sa.closed


# --- exchanges that are not spoken ---


def test_an_exchange_that_is_not_spoken_gets_one_answer_and_one_line() -> None:
    world, left, right = _established()
    sa = _sa_of(left)
    asks = [
        _sealed(sa, number, _notify(NotifyType.CONNECTED), kind=ExchangeType.TRANSACTION)
        for number in range(1, 6)
    ]
    answers = [answer for ask in asks for answer in _hears(world, right, ask, HERE)]
    (answer,) = answers
    header = Header.parse(answer)
    message = informational.read(sa.keys, sa.handshake.last_block, header, answer)
    (told,) = informational.content(message)
    assert isinstance(told, Notification)
    assert told.type == NotifyType.UNSUPPORTED_EXCHANGE_TYPE
    lines = [log.text for log in right.logs if log.level == Level.ERROR]
    assert lines == ["Transaction message refused: exchange type TRANSACTION is not supported"]


# --- message IDs ---


def _say(world: World, node: Node, number: int, *, heard_by: Node | None = None) -> bytes:
    """`number` notifications; the last one."""
    sa, octets = _sa_of(node), b""
    for _ in range(number):
        sa.notify(Notification(NotifyType.CONNECTED, ProtocolId.ISAKMP))
        for command in node.engine.handle(TimerFired(), world.now):
            if isinstance(command, SendDatagram) and heard_by is not None:
                octets = command.octets
                _hears(world, heard_by, octets, Endpoint(node.address, 500))
    return octets


def test_an_isakmp_sa_is_renewed_before_its_message_ids_are_used_up() -> None:
    world, left, right = _established()
    (before,) = left.engine.isakmp_sas()
    _say(world, left, RENEW_IDS[Role.INITIATOR] - 20)
    world.run(5)
    assert len(left.engine.isakmp_sas()) == 1
    _say(world, left, 20)
    world.run(5)
    assert {view.initiator_cookie for view in left.engine.isakmp_sas()} > {before.initiator_cookie}
    assert right.sas


def test_no_message_id_is_forgotten_while_its_isakmp_sa_lives() -> None:
    """A replay of the very first notification is refused after any number of others."""
    world, left, right = _established()
    world.rewrite = lambda _: None  # a renewal does not succeed
    old = _say(world, left, 1, heard_by=right)
    heard = right.texts().count("notification CONNECTED received.")
    sa = _sa_of(right)
    _say(world, left, MAX_IDS - 100, heard_by=right)
    assert not sa.closed
    before = right.texts().count("notification CONNECTED received.")
    _hears(world, right, old, HERE)
    assert right.texts().count("notification CONNECTED received.") == before > heard
    for number in range(1, 200):
        octets = _sealed(_sa_of(left), number, _notify(NotifyType.CONNECTED))
        _hears(world, right, octets, HERE)
    world.run(0.1)
    assert sa.closed


def test_the_message_id_of_a_quick_mode_is_not_forgotten_with_its_exchange() -> None:
    """Message 1 comes again when its exchange is long over, and nobody answers its repeats."""
    world, _, right = _established()
    (first, *_) = [d.octets for d in world.datagrams if d.octets[18] == ExchangeType.QUICK]
    world.run(2 * LINGER)
    begun = sum("respond new phase 2 negotiation" in text for text in right.texts())
    assert not _hears(world, right, first, HERE)
    world.run(1)
    assert sum("respond new phase 2 negotiation" in text for text in right.texts()) == begun == 1
    assert any("was used before" in text for text in right.texts())
    assert len(right.sas) == 2


def test_what_does_not_authenticate_uses_no_message_id() -> None:
    world, left, right = _established()
    octets = bytearray(_sealed(_sa_of(left), 77, _notify(NotifyType.CONNECTED)))
    good = bytes(octets)
    octets[-1] ^= 1
    _hears(world, right, bytes(octets), HERE)
    _hears(world, right, good, HERE)
    assert right.texts().count("notification CONNECTED received.") == 1
