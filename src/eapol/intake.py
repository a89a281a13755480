"""Frames as they come in: decoded, counted, and passed on if they move the machines.

Differs: IEEE Std 802.1X-2004 takes a wire to have one authenticator. A shared one has strangers,
too, so a conversation is held with one of them: the source of the Request that was answered first.
What others send meanwhile is counted and named. One of them is listened to, with an
EAP-Request/Identity, when no method was begun yet or the first has been silent for PATIENCE. A
stranger who sends with the switch's own address cannot be told from it.
"""

from dataclasses import replace
from typing import Final

from eapol.eap import EapCode, EapType, Packet
from eapol.errors import MalformedFrame
from eapol.events import FrameReceived
from eapol.frame import Frame, PacketType
from eapol.notices import Warned
from eapol.status import Counters, PaeState
from eapol.variables import Variables

PATIENCE: Final = 10.0
"""Seconds: more than the first retransmissions of an authenticator (RFC 3748, 4.3)."""


class Intake:
    """The frames of one port. `counters` returns a copy."""

    def __init__(self, v: Variables) -> None:
        self._v = v
        self._counters = Counters()
        self._named = False

    @property
    def counters(self) -> Counters:
        return replace(self._counters)

    def sent(self, packet_type: PacketType) -> None:
        counters = self._counters
        counters.EapolFramesTx += 1
        counters.EapolStartFramesTx += packet_type == PacketType.START
        counters.EapolLogoffFramesTx += packet_type == PacketType.LOGOFF
        counters.EapolRespFramesTx += packet_type == PacketType.EAP_PACKET

    def take(self, event: FrameReceived, state: PaeState) -> bool:
        """Whether the frame is for the machines, which find it in `eapolEap` then."""
        found = self._decoded(event)
        if found is None:
            return False
        packet, body = found
        if not self._moves(packet, state) or not self._is_heard(packet, event.source, state):
            return False
        v = self._v
        v.req, v.eapReqData, v.eapolEap = packet, body, True
        return True

    def _decoded(self, event: FrameReceived) -> tuple[Packet, bytes] | None:
        counters = self._counters
        counters.EapolFramesRx += 1
        counters.LastEapolFrameSource = event.source
        try:
            frame = Frame.parse(event.octets)
        except MalformedFrame:
            counters.InvalidEapolFramesRx += 1
            return None
        counters.LastEapolFrameVersion = frame.version
        if frame.packet_type != PacketType.EAP_PACKET:
            counters.InvalidEapolFramesRx += not frame.packet_type.known
            return None
        try:
            packet = Packet.parse(frame.body)
        except MalformedFrame:
            counters.EapLengthErrorFramesRx += 1
            return None
        if packet.code == EapCode.REQUEST:
            counters.EapolReqIdFramesRx += packet.method == EapType.IDENTITY
            counters.EapolReqFramesRx += packet.method != EapType.IDENTITY
        return packet, frame.body

    def _moves(self, packet: Packet, state: PaeState) -> bool:
        """Differs: a Success or Failure that ends nothing moves nothing (see pae.py)."""
        if state is PaeState.LOGOFF or not self._v.portEnabled:
            return False
        if packet.code == EapCode.REQUEST:
            return True
        if packet.code not in (EapCode.SUCCESS, EapCode.FAILURE):
            return False
        canned = packet.code == EapCode.SUCCESS and self._v.allowCanned
        waiting = state in (PaeState.CONNECTING, PaeState.HELD)
        return state is PaeState.AUTHENTICATING or (canned and waiting)

    def _is_heard(self, packet: Packet, source: bytes, state: PaeState) -> bool:
        v = self._v
        if state is not PaeState.AUTHENTICATING:  # a conversation begins, with whom it may
            self._named = False
        elif source != v.partner and not self._may_take_over(packet):
            self._name(source)
            return False
        v.partner = source
        v.partnerWhile.set(PATIENCE)
        return True

    def _may_take_over(self, packet: Packet) -> bool:
        begins = packet.code == EapCode.REQUEST and packet.method == EapType.IDENTITY
        return begins and (self._v.selectedMethod == EapType.NONE or self._v.partnerWhile.zero)

    def _name(self, source: bytes) -> None:
        if self._named:
            return
        self._named = True
        self._v.procedures.tell(
            Warned(
                f"EAP packets of {source.hex(':')} are ignored while we authenticate with"
                f" {self._v.partner.hex(':')}; find out what device that is"
            )
        )
