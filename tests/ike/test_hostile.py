"""What strangers and misbehaving peers can do to an engine: little, and nothing for ever."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ike.commands import EventKind, Level, SendDatagram
from ike.config import Limits, Phase1Proposal, PreSharedKeys, Switch
from ike.doi.identity import describe
from ike.events import DatagramReceived, Reload
from ike.isakmp.fragment import split
from ike.isakmp.header import Header
from ike.isakmp.message import Message, Payload, pack_chain
from ike.isakmp.payloads import Delete, Identification, Notification
from ike.numbers.doi import Group, IdType
from ike.numbers.isakmp import ExchangeType, Flags, NotifyType, PayloadType, ProtocolId
from ike.sa import informational
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import Address, Endpoint
from lab.ike_world import LEFT, PSK, RIGHT, Node, World, config, connect, mirrored, pair
from wire.timer import TimerFired

GREETING = bytes(
    Message(
        initiator_cookie=b"stranger",
        responder_cookie=bytes(8),
        exchange=ExchangeType.MAIN,
        payloads=(Payload(PayloadType.VENDOR, bytes(8)),),
    )
)
HERE, THERE = Endpoint(LEFT, 500), Endpoint(RIGHT, 500)


def _give(world: World, node: Node, octets: bytes, source: Endpoint = THERE) -> list[bytes]:
    """What the node answers at once to a datagram from outside."""
    local = Endpoint(node.address, 500)
    event = DatagramReceived(octets=octets, source=source, local=local)
    commands = node.engine.handle(event, world.now)
    node.logs += [c for c in commands if hasattr(c, "level")]  # type: ignore[misc]
    return [c.octets for c in commands if isinstance(c, SendDatagram)]


def _notify_in(octets: bytes) -> NotifyType:
    message = Message.parse(Header.parse(octets), octets)
    return Notification.parse(message.first(PayloadType.NOTIFY)).type


def _opening(world: World, node: Node) -> bytes:
    """A first message as `node` sends it."""
    world.rewrite = lambda _: None
    connect(world, node, 0.001)
    return world.datagrams[0].octets


@pytest.mark.parametrize(
    ("at", "value", "answer"),
    [
        (17, 0x20, None),  # no header could be read
        (18, ExchangeType.AGGRESSIVE, NotifyType.UNSUPPORTED_EXCHANGE_TYPE),
        (18, ExchangeType.QUICK, NotifyType.UNSUPPORTED_EXCHANGE_TYPE),
        (20, 1, NotifyType.INVALID_MESSAGE_ID),
        (16, PayloadType.KE, NotifyType.PAYLOAD_MALFORMED),
        (29, 1, NotifyType.PAYLOAD_MALFORMED),
        (35, 9, NotifyType.DOI_NOT_SUPPORTED),
        (39, 9, NotifyType.SITUATION_NOT_SUPPORTED),
        (8, 1, NotifyType.INVALID_COOKIE),
    ],
)
def test_a_wrong_first_message_is_answered_as_the_standard_says(
    at: int, value: int, answer: NotifyType | None
) -> None:
    world = World()
    left, right = pair(world)
    first = bytearray(_opening(world, left))
    first[at] = value
    answers = _give(world, right, bytes(first), HERE)
    assert [_notify_in(octets) for octets in answers] == ([answer] if answer else [])
    errors = [log for log in right.logs if log.level == Level.ERROR]
    assert [log.peer for log in errors] == [LEFT]
    assert not right.engine.isakmp_sas()


def test_answers_to_strangers_are_few() -> None:
    world = World()
    _, right = pair(world)
    noise = bytes(8 * [1]) + bytes(8 * [2]) + bytes([5, 16, 2, 0]) + bytes(4) + (28).to_bytes(4)
    answers = [octets for _ in range(1000) for octets in _give(world, right, noise)]
    assert 1 <= len(answers) <= 5
    assert len([log for log in right.logs if log.level == Level.ERROR]) <= 5


def test_a_flood_of_forged_first_messages_costs_few_lines_and_little_work() -> None:
    world = World()
    left, right = pair(world)
    first = _opening(world, left)
    answers = []
    for number in range(1, 5000):
        answers += _give(world, right, number.to_bytes(8) + first[8:], HERE)
    assert len(answers) <= 50  # of one second
    assert len([log for log in right.logs if log.level > Level.DEBUG]) <= 5
    world = World()
    _, right = pair(world, right=config(LEFT, keys=PreSharedKeys()))
    for number in range(1, 1000):
        _give(world, right, number.to_bytes(8) + first[8:], HERE)
    errors = [log.text for log in right.logs if log.level == Level.ERROR]
    assert 1 <= errors.count("couldn't find the pskey.") <= 5


def test_a_message_in_the_clear_may_not_be_huge() -> None:
    world = World()
    _, right = pair(world)
    vendors = tuple(Payload(PayloadType.VENDOR, bytes(900)) for _ in range(55))
    huge = Message(
        initiator_cookie=b"stranger",
        responder_cookie=bytes(8),
        exchange=ExchangeType.MAIN,
        payloads=vendors,
    )
    assert not _give(world, right, bytes(huge), HERE)
    assert not [log for log in right.logs if log.level > Level.DEBUG]


@pytest.mark.parametrize("exchange", [ExchangeType.MAIN, ExchangeType.AGGRESSIVE])
@pytest.mark.parametrize("counted", [True, False])
def test_padding_in_the_clear_is_taken_and_counted(exchange: ExchangeType, counted: bool) -> None:
    """Each message of the left is filled: within its length as by libreswan, or behind it."""

    def fill(datagram: SendDatagram) -> SendDatagram:
        octets = datagram.octets
        if datagram.local.address != LEFT or octets[19] & Flags.ENCRYPTED:
            return datagram
        if counted:
            octets = octets[:24] + (len(octets) + 3).to_bytes(4) + octets[28:]
        return replace(datagram, octets=octets + b"\1\2\3")

    modes = {"exchange_modes": (exchange,)}
    world = World()
    world.rewrite = fill
    left, right = pair(world, left=config(RIGHT, **modes), right=config(LEFT, **modes))
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    assert right.engine.padded >= 1
    assert not left.engine.padded


def test_our_own_messages_sent_back_to_us_lead_nowhere() -> None:
    world = World()
    left, right = pair(world)
    world.remove(right)

    def mirror(datagram: SendDatagram) -> None:
        octets = bytearray(datagram.octets)
        octets[8:16] = octets[:8]
        event = DatagramReceived(octets=bytes(octets), source=datagram.to, local=HERE)
        world.tell(left, event, 0.01)

    world.rewrite = mirror
    assert not connect(world, left, 100)
    assert EventKind.PHASE1_UP not in left.kinds()
    assert any("was reflected" in text for text in left.texts())


@given(st.text(max_size=40).map(lambda text: text.encode()))
def test_what_a_peer_calls_itself_cannot_break_the_log(name: bytes) -> None:
    shown = describe(Identification(IdType.FQDN, b"gw\r\n\x1b[2J" + name))
    assert shown.isprintable()


def test_an_informational_message_of_nobody_is_never_answered() -> None:
    world = World()
    _, right = pair(world)
    for kind in range(1, 31):
        message = Message(
            initiator_cookie=b"stranger",
            responder_cookie=b"somebody",
            exchange=ExchangeType.INFORMATIONAL,
            payloads=(Payload(PayloadType.NOTIFY, bytes(Notification(NotifyType(kind)))),),
        )
        assert not _give(world, right, bytes(message))


def test_half_open_negotiations_are_bounded_and_an_honest_peer_still_gets_in() -> None:
    limits = Limits(half_open=20, half_open_per_address=3)
    world = World()
    left, right = pair(world, right=config(LEFT, limits=limits))
    anybody = replace(right.engine.config.remotes[0], address=None, name="anonymous")
    keys = right.engine.config.keys
    everybody = replace(right.engine.config, remotes=(anybody,), keys=keys)
    everybody = replace(everybody, keys=type(keys)((("*", keys.entries[0][1]),)))
    right.engine._context.config = everybody
    first = _opening(world, left)
    for number in range(500):
        forged = number.to_bytes(8) + first[8:]
        if number:
            source = Endpoint(ip_address(0x0A010000 + number // 2), 500)
            _give(world, right, forged, source)
    assert len(right.engine.isakmp_sas()) == 20
    world.rewrite = lambda datagram: datagram
    world.run(2, lambda: EventKind.PHASE2_UP in left.kinds())
    assert mirrored(left, right)
    world.run(120)
    assert len(right.engine.isakmp_sas()) == 1


def test_first_messages_forged_in_a_peers_name_keep_neither_side_from_beginning() -> None:
    world = World()
    left, right = pair(world)
    first = _opening(world, left)
    world.rewrite = lambda datagram: datagram
    for number in range(1, 40):
        forged = number.to_bytes(8) + first[8:]
        world.tell(right, DatagramReceived(octets=forged, source=HERE, local=THERE))
    world.run(0.5)
    assert connect(world, right, 5)
    world.run(2)
    assert mirrored(left, right)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_forged_and_bent_messages_on_the_path_do_not_stop_a_negotiation(
    data: st.DataObject,
) -> None:
    """Every datagram is preceded by a bent copy of itself. The real one still counts."""
    world = World(install_delay=0.0)
    left, right = pair(world)

    def bend(datagram: SendDatagram) -> SendDatagram:
        bent = bytearray(datagram.octets)
        for _ in range(data.draw(st.integers(1, 3))):
            bent[data.draw(st.integers(16, len(bent) - 1))] ^= data.draw(st.integers(1, 255))
        node = world.nodes[datagram.to.address]
        event = DatagramReceived(octets=bytes(bent), source=datagram.local, local=datagram.to)
        world.tell(node, event, 0.0)
        return datagram

    world.rewrite = bend
    connect(world, left, 60)
    world.run(5)
    failed = {EventKind.PHASE1_AUTH_FAILED, EventKind.PHASE1_NO_PROPOSAL}
    broken = failed & {EventKind(kind) for kind in left.kinds()}
    assert broken or mirrored(left, right)


def test_replayed_messages_change_nothing() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1)
    before = (dict(left.sas), dict(right.sas), len(right.engine.isakmp_sas()))
    heard = list(world.datagrams)
    for datagram in heard * 3:
        node = world.nodes[datagram.to.address]
        event = DatagramReceived(octets=datagram.octets, source=datagram.local, local=datagram.to)
        world.tell(node, event)
    world.run(200)
    assert (left.sas, right.sas) == before[:2]
    assert len([v for v in right.engine.isakmp_sas() if v.created]) == 1
    assert left.kinds().count(EventKind.PHASE2_UP) == 1
    assert len(world.datagrams) < 3 * len(heard) + 40


def test_an_unauthenticated_delete_or_error_does_nothing_to_an_established_sa() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    (view,) = right.engine.isakmp_sas()
    cookies = view.initiator_cookie + view.responder_cookie
    contents = [
        Payload(PayloadType.DELETE, bytes(Delete(ProtocolId.ISAKMP, (cookies,)))),
        Payload(PayloadType.NOTIFY, bytes(Notification(NotifyType.NO_PROPOSAL_CHOSEN))),
        Payload(PayloadType.NOTIFY, bytes(Notification(NotifyType.INITIAL_CONTACT))),
    ]
    for content in contents * 4:
        message = Message(
            initiator_cookie=view.initiator_cookie,
            responder_cookie=view.responder_cookie,
            exchange=ExchangeType.INFORMATIONAL,
            payloads=(content,),
        )
        assert not _give(world, right, bytes(message), HERE)
    world.run(1)
    assert len(right.engine.isakmp_sas()) == 1
    assert len(right.sas) == 2


# --- a peer that has the key, and no manners ---


def _sa_of(node: Node) -> IsakmpSa:
    (sa,) = [sa for peer in node.engine._pad for sa in peer.isakmp_sas]
    return sa


def _flush(world: World, node: Node) -> None:
    """Carry out what was put into the node's context from outside."""
    for command in node.engine.handle(TimerFired(), world.now):
        world._perform(node, command)


payload = st.builds(
    Payload,
    st.one_of(st.sampled_from([t for t in PayloadType if t]), st.integers(1, 255).map(PayloadType)),
    st.binary(max_size=80),
)


@given(st.lists(payload, max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_authenticated_informational_message_is_survived(content: list[Payload]) -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    sa = _sa_of(left)
    exchange = sa.exchanges.fresh()
    payloads = informational.protect(sa.keys, exchange.message_id, content)
    sa._sender.send(exchange.sealed(ExchangeType.INFORMATIONAL, payloads))
    _flush(world, left)
    world.run(60)
    assert right.station is not None


@given(st.lists(payload, max_size=7), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_authenticated_quick_mode_message_is_survived(
    content: list[Payload], bent: bool
) -> None:
    """The peer opens Quick Mode with a right HASH(1) and anything behind it."""
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1)
    sa = _sa_of(left)
    if bent:  # a well-formed message with something strange in addition
        first = bytes.fromhex(
            "000000010000000100000028010304010000123400000001c0c00000"
        )  # not quite an SA
        content = [Payload(PayloadType.SA, first), Payload(PayloadType.NONCE, bytes(16)), *content]
    exchange = sa.exchanges.fresh()
    digest = sa.keys.phase2_hash(exchange.message_id.to_bytes(4), pack_chain(content))
    payloads = (Payload(PayloadType.HASH, digest), *content)
    sa._sender.send(exchange.sealed(ExchangeType.QUICK, payloads))
    _flush(world, left)
    world.run(60)
    assert len(right.sas) == 2
    assert not right.reserved


def test_quick_mode_messages_that_do_not_authenticate_leave_nothing_behind() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1)
    before = len(right.engine.schedule())
    (quick, *_) = [d.octets for d in world.datagrams if d.octets[18] == ExchangeType.QUICK]
    for number in range(1, 200):
        forged = quick[:20] + number.to_bytes(4) + quick[24:]
        _give(world, right, forged, HERE)
    assert len(right.engine.schedule()) == before
    assert len(_sa_of(right).exchanges) <= 1


def test_an_informational_message_is_taken_once() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    sa = _sa_of(left)
    content = [Payload(PayloadType.NOTIFY, bytes(Notification(NotifyType.CONNECTED)))]
    exchange = sa.exchanges.fresh()
    octets = exchange.sealed(
        ExchangeType.INFORMATIONAL,
        informational.protect(sa.keys, exchange.message_id, content),
    )
    for _ in range(2):
        _give(world, right, octets, HERE)
    taken = [log for log in right.logs if log.text == "notification CONNECTED received."]
    assert len(taken) == 1


# --- fragments ---


@given(st.binary(max_size=2000))
@settings(max_examples=50, deadline=None)
def test_any_fragments_are_survived(octets: bytes) -> None:
    world = World()
    _, right = pair(world, right=config(LEFT, ike_frag=Switch.ON))
    for at in range(0, len(octets), 100):
        body = octets[at : at + 100]
        length = 28 + 4 + len(body)
        head = bytes(8 * [1]) + bytes(8) + bytes([132, 16, 2, 0]) + bytes(4)
        data = head + length.to_bytes(4) + b"\0\0" + (4 + len(body)).to_bytes(2) + body
        _give(world, right, data, HERE)
    assert not right.engine.isakmp_sas()


def test_strangers_fragments_between_those_of_an_honest_peer_do_no_harm() -> None:
    """The peer is one of `remote anonymous`, known by its cookies only; so are the strangers."""
    group = Phase1Proposal(group=Group.MODP8192)
    big = {"ike_frag": Switch.ON, "nonce_size": 256, "proposals": (group,)}
    world = World()
    named = config(LEFT, limits=Limits(fragment_octets=100_000), **big)
    anonymous = replace(named, remotes=(replace(named.remotes[0], address=None),))
    left, right = pair(world, left=config(RIGHT, **big), right=anonymous)
    stranger = GREETING + bytes(3000)
    flooded: list[SendDatagram] = []

    def flood(datagram: SendDatagram) -> SendDatagram | None:
        """Each fragment comes a tenth of a second after the one before, with a flood in between."""
        if datagram.local.address == RIGHT or datagram.octets[16] != PayloadType.FRAGMENT:
            return datagram
        wait = 0.01 + 0.1 * len(flooded)
        flooded.append(datagram)
        honest = DatagramReceived(octets=datagram.octets, source=HERE, local=THERE)
        world.tell(right, honest, wait)
        for number in range(1, 300):
            octets = number.to_bytes(8) + stranger[8:]
            piece = split(Header.parse(octets), octets, number)[0]
            source = Endpoint(ip_address(0xC0000000 + number), 500)
            event = DatagramReceived(octets=piece, source=source, local=THERE)
            world.tell(right, event, wait + 0.05)
        return None

    world.rewrite = flood
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    assert len(flooded) == 2


def test_fragments_are_refused_where_they_are_not_configured() -> None:
    world = World()
    left, right = pair(world)
    first = _opening(world, left)
    pieces = split(Header.parse(first), first * 30, 1)
    assert not [a for piece in pieces for a in _give(world, right, piece, HERE)]


def test_addresses_are_those_of_the_peer() -> None:
    """A message with the cookies of an SA, from elsewhere, does not move an SA without NAT."""
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    elsewhere: Address = ip_address("10.9.9.9")
    heard = world.datagrams[0].octets
    _give(world, right, heard, Endpoint(elsewhere, 500))
    assert {view.remote for view in right.engine.isakmp_sas() if view.created} == {HERE}


def test_a_reload_changes_the_limits_that_strangers_meet() -> None:
    world = World()
    anybody = config(LEFT, address=None, keys=PreSharedKeys((("*", PSK),)))
    left, right = pair(world, right=anybody)
    first = _opening(world, left)
    same = replace(right.engine.config, remotes=right.engine.config.remotes)
    fewer = replace(same, limits=Limits(opened_per_second=3))

    def opened(after: int) -> int:
        for number in range(after, after + 20):
            source = Endpoint(ip_address(f"10.7.{number}.1"), 500)
            _give(world, right, number.to_bytes(8) + first[8:], source)
        return len(right.engine.isakmp_sas())

    assert opened(1) == 20
    right.engine.handle(Reload(config=same), world.now)
    assert opened(21) == 40
    right.engine.handle(Reload(config=fewer), world.now)
    assert opened(41) == 43
    right.engine.handle(Reload(config=fewer), world.now)  # which gives nobody another chance
    assert opened(61) == 43


def test_what_does_not_authenticate_under_an_established_sa_is_not_answered() -> None:
    """A protected answer would use up message IDs, and say that the SA is there."""
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1)
    taped = next(d.octets for d in world.datagrams if d.octets[18] == ExchangeType.QUICK)
    for number in range(1, 40):
        junk = taped[:20] + number.to_bytes(4) + taped[24:-16] + bytes([number]) * 16
        assert not _give(world, right, junk)
        world.run(1)
