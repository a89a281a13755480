"""Quick Mode as initiator."""

from dataclasses import replace
from typing import Final

from ike.context import Context
from ike.doi.proposals import Lifetime, Phase2Suite, read_lifetime
from ike.doi.select import encapsulation
from ike.errors import AttributesNotSupported, NoProposalChosen
from ike.isakmp.attributes import parse_attributes
from ike.isakmp.message import Message
from ike.isakmp.payloads import Notification
from ike.numbers.isakmp import NotifyType
from ike.phase2.negotiation import Negotiation
from ike.phase2.owner import Entry, NegotiationOwner
from ike.phase2.quick import build_first, build_third, take_second
from ike.sa.bundle import SaBundle
from ike.sa.isakmp_sa import IsakmpSa
from ike.timers import Timer
from ike.values import Mode, Role
from wire.cursor import Cursor, DecodeError

HANDOVER: Final = 1.0
"""Seconds from message 3 of a renewal to our first use of the new SA. The peer installs its inbound
SA when its daemon has read message 3; what its kernel gets before that under the new SPI is lost.
"""


class Initiator(Negotiation):
    role = Role.INITIATOR

    def __init__(
        self,
        context: Context,
        owner: NegotiationOwner,
        sa: IsakmpSa,
        entry: Entry,
        replaces: SaBundle | None,
    ) -> None:
        super().__init__(context, owner, sa)
        self.choose(entry)
        self.replaces = replaces
        self.facts.selector = entry.policy.selector
        self._offers: list[tuple[Phase2Suite, ...]] = []
        self._handover: Timer | None = None

    def start(self) -> None:
        """Ask for SPIs, then send message 1."""
        self.begin()
        self._context.info(f"initiate new phase 2 negotiation: {self.ends}")
        assert self.policy is not None
        try:
            self._offers = self._allowed(self.policy, self.policy.selector)
        except NoProposalChosen as error:
            self.fail(str(error))
            return
        nat = self.sa.facts.nat
        if nat.detected:
            mode = self.policy.protections[0].mode
            plain, udp = (
                encapsulation(mode, udp=False, draft=False),
                self._offers[0][0].encapsulation,
            )
            self._context.info(f"NAT detected -> UDP encapsulation (ENC_MODE {plain:d}->{udp:d}).")
        self._allocate(self._send_first)

    @property
    def is_unanswered(self) -> bool:
        """Whether message 2 has not come."""
        return self._row < 2

    def _send_first(self) -> None:
        assert self.policy is not None
        facts, nat = self.facts, self.sa.facts.nat
        self.exchange = self.sa.open_exchange(self)
        facts.message_id = self.exchange.message_id
        if nat.detected and self.policy.protections[0].mode is Mode.TRANSPORT:
            facts.original_addresses = (self.sa.local.address, self.sa.remote.address)
        nonce_size = self.sa.facts.nonce_size
        payloads = build_first(facts, self._offers, nat.original_address_type, nonce_size)
        self._row = 1
        self.exchange.send(payloads, awaited=True)

    def take(self, message: Message) -> None:
        """Message 2."""
        self._check(message)
        self._heard(lambda: self._heed(take_second(self.facts, message, self._offers)))
        self._row = 2

    def _heed(self, notifications: list[Notification]) -> None:
        """RESPONDER-LIFETIME (RFC 2407, 4.6.3.1): the shorter lifetime counts."""
        assert self.facts.chosen is not None
        for notification in notifications:
            if notification.type != NotifyType.RESPONDER_LIFETIME:
                continue
            try:
                told = read_lifetime(parse_attributes(Cursor(notification.data)))
            except (AttributesNotSupported, DecodeError) as error:
                self._context.warning(f"RESPONDER-LIFETIME: {error}", self.sa.remote.address)
                continue
            self._context.info("received RESPONDER-LIFETIME", self.sa.remote.address)
            self.facts.chosen = replace(
                self.facts.chosen,
                suites=tuple(_shortened(suite, told) for suite in self.facts.chosen.suites),
            )

    def proceed(self) -> None:
        if self._refusal is not None:
            self.fail(str(self._refusal), self._refusal.notify)
            return
        assert self.facts.chosen is not None
        for suite, offers in zip(self.facts.chosen.suites, self._offers, strict=True):
            if suite.lifetime != offers[0].lifetime:
                self._context.warning("attribute has been modified.")
        self._install_inbound(self._send_third)

    def _send_third(self) -> None:
        assert self.exchange is not None
        self._row = 3
        self._stop_waiting()
        self.exchange.send(build_third(self.facts), awaited=False)
        if self.replaces is not None and self.replaces.sends:
            wait = self.replaces.within_life(HANDOVER)
            self._handover = self._context.later("handover", wait, self._install_outbound)
        else:
            self._install_outbound()

    def hand_over(self) -> None:
        if self._handover is not None and self._handover.pending:
            self._handover.cancel()
            self._install_outbound()

    def _end(self) -> None:
        if self._handover is not None:
            self._handover.cancel()
        super()._end()


def _shortened(suite: Phase2Suite, told: Lifetime) -> Phase2Suite:
    lifetime = suite.lifetime
    seconds = min((n for n in (lifetime.seconds, told.seconds) if n), default=None)
    kilobytes = min((n for n in (lifetime.kilobytes, told.kilobytes) if n), default=None)
    return replace(suite, lifetime=Lifetime(seconds=seconds, kilobytes=kilobytes))
