"""Several sets of proposals in a Quick Mode (RFC 2408, 4.2): the first acceptable one is taken."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ike.commands import SendDatagram
from ike.config import Sainfo
from ike.doi.proposals import Phase2Suite
from ike.doi.select import phase2_suites
from ike.events import DatagramReceived
from ike.isakmp.attributes import Attribute, numeric
from ike.isakmp.header import Header
from ike.isakmp.message import Payload, pack_chain
from ike.isakmp.payloads import Notification, Proposal, SaBody, Transform
from ike.numbers.isakmp import ExchangeType, NotifyType, PayloadType, ProtocolId
from ike.sa import informational
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import Address, Endpoint, Mode, PolicyEntry, Protection
from lab.ike_world import LEFT, RIGHT, Node, World, connect, pair, transport

Policies = Callable[[Address, Address], PolicyEntry]
AH = phase2_suites(Sainfo(), Protection(protocol=ProtocolId.AH))[0]
ESP = phase2_suites(Sainfo(), Protection())[0]
TUNNEL = phase2_suites(Sainfo(), Protection(mode=Mode.TUNNEL))[0]
IPCOMP = Transform(1, 2)  # DEFLATE
ESN = numeric(11, 1)  # Extended (64-bit) Sequence Number: an attribute that is not known here


def _proposal(number: int, suite: Phase2Suite, at: int = 0, *more: Attribute) -> Proposal:
    transform = suite.transform(1)
    transform = replace(transform, attributes=(*transform.attributes, *more))
    return Proposal(number, suite.protocol, bytes([9, number, 0, at]), (transform,))


def _compressed(number: int) -> Proposal:
    return Proposal(number, ProtocolId.IPCOMP, b"\x12\x34", (IPCOMP,))


def _policies(*protocols: ProtocolId, mode: Mode = Mode.TRANSPORT) -> Policies:
    def made(here: Address, there: Address) -> PolicyEntry:
        protections = tuple(Protection(protocol=protocol, mode=mode) for protocol in protocols)
        return replace(transport(here, there), protections=protections)

    return made


class Offer:
    """The left offers `proposals` by hand, under an ISAKMP SA that is there; what is answered."""

    def __init__(self, policies: Policies, *proposals: Proposal) -> None:
        self.world = World()
        left, self.right = pair(self.world, policies)
        assert connect(self.world, left)
        self.world.run(1)
        self.before = set(self.right.sas)
        self._sa = _sa_of(left)
        rest = [
            Payload(PayloadType.SA, bytes(SaBody(proposals))),
            Payload(PayloadType.NONCE, bytes(16)),
        ]
        self._exchange = self._sa.exchanges.fresh()
        digest = self._sa.keys.phase2_hash(self._exchange.message_id.to_bytes(4), pack_chain(rest))
        octets = self._exchange.sealed(
            ExchangeType.QUICK, (Payload(PayloadType.HASH, digest), *rest)
        )
        sent = len(self.world.datagrams)
        event = DatagramReceived(
            octets=octets, source=Endpoint(LEFT, 500), local=Endpoint(RIGHT, 500)
        )
        assert self.right.station is not None
        self.world.rewrite = lambda _: None
        self.world.tell(self.right, event)
        self.world.run(0.5)
        self._answers = self.world.datagrams[sent:]

    @property
    def answer(self) -> SaBody:
        """Message 2's SA payload."""
        quick = self._of(ExchangeType.QUICK).octets
        message = self._exchange.channel.open(Header.parse(quick), quick)
        return SaBody.parse(message.first(PayloadType.SA))

    @property
    def refusal(self) -> NotifyType:
        octets = self._of(ExchangeType.INFORMATIONAL).octets
        last = self._sa.handshake.last_block
        message = informational.read(self._sa.keys, last, Header.parse(octets), octets)
        return Notification.parse(message.first(PayloadType.NOTIFY)).type

    @property
    def protocols(self) -> list[ProtocolId]:
        """Of the inbound SAs that the right has installed for it."""
        return [sa.protocol for key, sa in self.right.sas.items() if key not in self.before]

    def _of(self, exchange: ExchangeType) -> SendDatagram:
        return next(d for d in self._answers if d.octets[18] == exchange)


def _sa_of(node: Node) -> IsakmpSa:
    (sa,) = [sa for peer in node.engine._pad for sa in peer.isakmp_sas]
    return sa


@pytest.mark.parametrize(
    "first",
    [
        (_proposal(1, AH), _proposal(1, ESP, 1)),
        (_proposal(1, AH),),
        (_proposal(1, TUNNEL),),
        (_compressed(1), _proposal(1, ESP)),
        (_proposal(1, ESP, 0, ESN),),
    ],
    ids=["AH and ESP", "AH", "tunnel mode", "IPCOMP and ESP", "an unknown attribute"],
)
def test_esp_is_taken_where_the_first_set_is_for_none_of_our_policies(
    first: tuple[Proposal, ...],
) -> None:
    second = _proposal(2, ESP)
    offer = Offer(_policies(ProtocolId.ESP), *first, second)
    (answer,) = offer.answer.proposals
    assert (answer.number, answer.transforms) == (2, second.transforms)
    assert offer.protocols == [ProtocolId.ESP]


def test_tunnel_mode_is_taken_behind_transport_mode() -> None:
    offer = Offer(
        _policies(ProtocolId.ESP, mode=Mode.TUNNEL), _proposal(1, ESP), _proposal(2, TUNNEL)
    )
    assert [proposal.number for proposal in offer.answer.proposals] == [2]


@pytest.mark.parametrize(
    "offered", [(ProtocolId.AH, ProtocolId.ESP), (ProtocolId.ESP, ProtocolId.AH)]
)
def test_a_bundle_is_answered_in_the_order_of_the_offer(
    offered: tuple[ProtocolId, ProtocolId],
) -> None:
    """racoon as initiator says "proto_id mismatched" of another order."""
    suites = {ProtocolId.AH: AH, ProtocolId.ESP: ESP}
    proposals = [_proposal(1, suites[protocol], at) for at, protocol in enumerate(offered)]
    offer = Offer(_policies(ProtocolId.ESP, ProtocolId.AH), *proposals)
    assert tuple(proposal.protocol for proposal in offer.answer.proposals) == offered
    ours = {sa.spi: sa.protocol for key, sa in offer.right.sas.items() if key not in offer.before}
    for proposal in offer.answer.proposals:
        assert ours[int.from_bytes(proposal.spi)] == proposal.protocol


def test_the_refusal_of_compression_names_what_both_sides_have() -> None:
    offer = Offer(_policies(ProtocolId.ESP), _compressed(1), _proposal(1, ESP))
    assert offer.refusal == NotifyType.NO_PROPOSAL_CHOSEN
    (line,) = [t for t in offer.right.texts() if "the peer has: " in t]
    assert f"the peer has: ipcomp deflate + {ESP} -- configured here: {ESP}" in line
