"""The small authenticator: IEEE Std 802.1X-2004, 8.2.4; RFC 3748, 4.3."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eapol import eap
from eapol.authenticator import (
    Authenticator,
    AuthenticatorSettings,
    PortState,
    ServerAbandoned,
    ServerAsked,
    ServerReplied,
    ServerVerdict,
)
from eapol.authenticator.eap import MAX_ROUNDS
from eapol.authenticator.port import PortEvent
from eapol.authenticator.server import Answer
from eapol.eap import EapCode, EapType, Packet
from eapol.events import (
    FrameReceived,
    LinkChanged,
    Logoff,
    Logon,
    PortUnauthorized,
    Reauthenticate,
    SendFrame,
    Tell,
)
from eapol.frame import Frame, PacketType
from eapol.methods.fragments import TlsPacket
from eapol.notices import Warned
from lab.eapol_pair import pair, server_context
from wire.secret import Secret
from wire.timer import TimerFired

DATE = datetime.now(UTC)


def received(packet: Packet | bytes, kind: PacketType = PacketType.EAP_PACKET) -> FrameReceived:
    octets = bytes(Frame(kind, bytes(packet)))
    return FrameReceived(octets=octets, source=bytes(6), date=DATE)


Happening = FrameReceived | LinkChanged | TimerFired


def port() -> Authenticator:
    return Authenticator(server_context())


def requests(
    made: Authenticator, event: FrameReceived | LinkChanged | TimerFired, now: float
) -> list[Packet]:
    sent = [c.octets for c in made.handle(event, now) if isinstance(c, SendFrame)]
    return [Packet.parse(Frame.parse(octets).body) for octets in sent]


def test_a_silent_port_is_polled_for_ever_with_growing_pauses() -> None:
    switch, now = port(), 0.0
    times: list[float] = []
    assert requests(switch, LinkChanged(up=True), now)[0].method == EapType.IDENTITY
    while len(times) < 6:
        assert switch.deadline is not None
        now = switch.deadline
        if requests(switch, TimerFired(), now):
            times.append(now)
    assert times == [3.0, 9.0, 21.0, 51.0, 81.0, 111.0]


def test_a_repetition_is_octet_for_octet_the_same_until_it_is_given_up() -> None:
    switch = port()
    first = requests(switch, LinkChanged(up=True), 0.0)
    assert requests(switch, TimerFired(), 3.0) == first
    assert requests(switch, TimerFired(), 9.0) == first
    (later,) = requests(switch, TimerFired(), 21.0)
    assert later.identifier != first[0].identifier


def test_a_response_to_another_request_is_ignored() -> None:
    switch = port()
    (asked,) = requests(switch, LinkChanged(up=True), 0.0)
    stray = eap.response(asked.identifier + 1, EapType.IDENTITY, b"gw")
    assert requests(switch, received(stray), 0.1) == []
    assert requests(switch, received(eap.request(asked.identifier, EapType.IDENTITY)), 0.1) == []
    right = eap.response(asked.identifier, EapType.IDENTITY, b"gw")
    (start,) = requests(switch, received(right), 0.2)
    assert TlsPacket.parse(start.data).start


def test_a_peer_that_wants_no_eap_tls_is_refused() -> None:
    switch = port()
    (asked,) = requests(switch, LinkChanged(up=True), 0.0)
    (start,) = requests(switch, received(eap.response(asked.identifier, EapType.IDENTITY)), 0.0)
    (end,) = requests(switch, received(eap.nak(start.identifier, ())), 0.0)
    assert end.code == EapCode.FAILURE
    assert switch.state is PortState.HELD


def test_a_start_is_not_looked_at_while_held() -> None:
    both = pair(settings=AuthenticatorSettings(identities=frozenset(), quietPeriod=10.0))
    both.plug_in()
    both.run_for(1.0)
    assert both.authenticator.state is PortState.HELD
    asked = len(both.sent("switch"))
    both.switch(received(b"", PacketType.START))
    assert len(both.sent("switch")) == asked
    both.run_for(10.0)
    assert len(both.sent("switch")) > asked


def test_a_supplicant_that_falls_silent_at_reauthentication_loses_the_port() -> None:
    both = pair(settings=AuthenticatorSettings(reAuthPeriod=5.0))
    both.plug_in()
    assert both.opens()
    both.tap = lambda _, octets: None  # noqa: ARG005
    both.run_for(60.0)
    assert not both.authenticator.authorized
    assert any(isinstance(command, PortUnauthorized) for command in both.switch_commands)


def test_a_logoff_closes_the_port() -> None:
    both = pair()
    both.plug_in()
    assert both.opens()
    both.gateway(Logoff())
    both.run_for(0.1)
    assert not both.authenticator.authorized


def test_a_peer_that_only_acknowledges_is_given_up() -> None:
    switch = port()
    (asked,) = requests(switch, LinkChanged(up=True), 0.0)
    for _ in range(MAX_ROUNDS + 2):
        data = b"gw" if asked.method == EapType.IDENTITY else b"\x00"
        answer = eap.response(asked.identifier, asked.method or EapType.TLS, data)
        found = requests(switch, received(answer), 0.0)
        if found[0].code == EapCode.FAILURE:
            break
        asked = found[0]
    assert switch.state is PortState.HELD


@pytest.mark.parametrize("authorized_first", [False, True])
@given(bodies=st.lists(st.binary(max_size=60), max_size=15))
@settings(max_examples=60, deadline=None)
def test_no_stranger_opens_a_port_or_raises_anything(
    authorized_first: bool, bodies: list[bytes]
) -> None:
    both = pair()
    if authorized_first:
        both.plug_in()
        assert both.opens()
    else:
        both.switch(LinkChanged(up=True))
    switch = both.authenticator
    for number, body in enumerate(bodies):
        kind = PacketType(number % 4)
        identifier = switch.identifier
        answer = bytes((2, identifier, 0, 4 + len(body))) + body
        switch.handle(received(answer, kind), 0.1 * number)
    assert switch.authorized <= authorized_first


def test_reauthenticate_asks_again_without_closing_the_port() -> None:
    both = pair()
    both.plug_in()
    assert both.opens()
    before = both.authenticator.keys
    commands = both.authenticator.handle(Reauthenticate(), both.lab.now)
    assert any(isinstance(command, SendFrame) for command in commands)
    assert both.authenticator.authorized
    assert both.authenticator.keys is before


class Asked:
    """A port whose server is elsewhere: what it asked, and what it told."""

    def __init__(self) -> None:
        self.port = Authenticator(None)
        self.asked: list[ServerAsked] = []
        self.told: list[str] = []
        self.out: list[object] = []
        self.give(LinkChanged(up=True), 0.0)
        self.answer_identity(0.0)

    def give(self, event: PortEvent | TimerFired, now: float) -> None:
        for command in self.port.handle(event, now):
            self.out.append(command)
            if isinstance(command, ServerAsked):
                self.asked.append(command)
            elif isinstance(command, Tell) and isinstance(command.notice, Warned):
                self.told.append(command.notice.text)

    def answer_identity(self, now: float) -> None:
        packet = eap.response(self.port.identifier, EapType.IDENTITY, b"me")
        self.give(received(packet), now)

    def reply(self, now: float, **answer: Any) -> None:
        event = ServerReplied(ask=self.asked[-1].ask, answer=Answer(**answer))
        self.give(event, now)

    def accept(self, now: float, **more: Any) -> None:
        msk = Secret(bytes(64))
        self.reply(now, verdict=ServerVerdict.SUCCESS, msk=msk, session_id=b"id", **more)


def test_a_server_elsewhere_is_asked_with_the_peers_words() -> None:
    here = Asked()
    (asked,) = here.asked
    assert (asked.ask, asked.identity, asked.first) == (1, b"me", True)
    assert Packet.parse(asked.eap).data == b"me"
    here.reply(1.0, verdict=ServerVerdict.REQUEST, eap=bytes(eap.request(9, EapType.TLS, b"\x20")))
    here.give(received(eap.response(9, EapType.TLS, b"\0")), 2.0)
    assert (here.asked[-1].ask, here.asked[-1].first) == (2, False)
    here.accept(3.0, attributes=(("VLAN", "7"),))
    assert here.port.state is PortState.AUTHENTICATED
    assert here.port.attributes == (("VLAN", "7"),)
    assert here.port.keys is not None
    assert here.port.keys.session_id == b"id"


def test_a_server_that_does_not_answer_is_named_after_30_s() -> None:
    here = Asked()
    assert here.port.deadline == 30.0
    here.give(TimerFired(), 30.0)
    assert here.told == ["the authentication server did not answer within 30 s"]
    assert any(isinstance(each, ServerAbandoned) for each in here.out)
    here.accept(31.0)  # too late
    assert not here.port.authorized


def test_what_is_no_eap_request_is_not_passed_on() -> None:
    here = Asked()
    here.reply(1.0, verdict=ServerVerdict.REQUEST, eap=b"\1\2\0\4")
    assert here.port.state is PortState.HELD


def test_a_session_ends_or_is_repeated_as_the_server_says() -> None:
    """RFC 3580, 3.17"""
    repeated, ended, endless = Asked(), Asked(), Asked()
    repeated.accept(1.0, session_timeout=10.0, reauthenticate=True)
    ended.accept(1.0, session_timeout=10.0, reauthenticate=False)
    endless.accept(1.0)
    for here in (repeated, ended, endless):
        here.give(TimerFired(), 11.0)
    assert repeated.port.authorized
    assert not ended.port.authorized
    assert endless.port.authorized
    assert any(isinstance(each, PortUnauthorized) for each in ended.out)


def test_each_logoff_is_said_to_the_switch_once() -> None:
    both = pair()
    both.plug_in()
    assert both.opens()
    for number in (1, 2):
        both.gateway(Logoff())
        both.gateway(Logoff())
        logoffs = [each for each in both.sent("gateway") if each.packet_type == PacketType.LOGOFF]
        assert len(logoffs) == number
        both.gateway(Logon())
        assert both.opens(60.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_time_between_authentications_is_above_zero(seconds: float) -> None:
    with pytest.raises(ValueError, match="reAuthPeriod must be above 0 s"):
        AuthenticatorSettings(reAuthPeriod=seconds)
