"""A conversation has bounds: rounds, rounds without progress, time; and one partner."""

from dataclasses import replace

import pytest

from eapol import eap
from eapol.authenticator import AuthenticatorSettings
from eapol.eap import EapCode, EapType, Packet
from eapol.frame import Frame
from eapol.methods.fragments import TlsPacket
from eapol.notices import EapFailure, Warned
from eapol.peer import CONVERSATION, FUTILE, ROUNDS
from eapol.settings import Network, TlsPolicy, TlsVersion
from eapol.status import PaeState, PortStatus
from lab.eapol_pair import (
    NETWORK,
    STRANGER,
    SWITCH,
    Pair,
    frame,
    nothing,
    opened,
    pae,
    pair,
    silent,
)

IDENTITY = frame(eap.request(5, EapType.IDENTITY))
BEGIN = frame(eap.request(6, EapType.TLS, b"\x20"))


def talking(network: Network = NETWORK) -> Pair:
    """A gateway that answered Identity and the Start of EAP-TLS."""
    both = silent(network)
    both.plug_in()
    both.inject(IDENTITY)
    both.inject(BEGIN)
    return both


def ask(both: Pair, number: int, data: bytes, source: bytes = SWITCH) -> None:
    both.inject(frame(eap.request(number & 0xFF, EapType.TLS, data)), source)


def answers(both: Pair) -> int:
    return len([sent for sent in both.sent("gateway") if sent.body])


def failure(both: Pair) -> str:
    return both.supplicant.status().failure or ""


@pytest.mark.parametrize("more", [True, False])
def test_a_server_of_empty_fragments_is_given_up_after_twenty_rounds(more: bool) -> None:
    both = talking()
    before, empty = answers(both), bytes(TlsPacket(more=more))
    for number in range(200):
        ask(both, 7 + number, empty)
        if pae(both) is not PaeState.AUTHENTICATING:
            break
    assert answers(both) - before == FUTILE
    assert pae(both) is PaeState.HELD
    assert failure(both).startswith(f"gave up after {FUTILE + 2} EAP requests, the last {FUTILE} ")
    assert "fragment_size" in failure(both)
    assert len(both.said(EapFailure)) == 1


def test_a_server_that_sends_one_octet_at_a_time_is_given_up_after_a_hundred_rounds() -> None:
    both = talking()
    for number in range(300):
        ask(both, 7 + number, bytes(TlsPacket(b"\x16", more=True)))
        if pae(both) is not PaeState.AUTHENTICATING:
            break
    assert answers(both) == ROUNDS
    assert failure(both).startswith(f"gave up after {ROUNDS} EAP requests")


@pytest.mark.parametrize("method", [EapType.IDENTITY, EapType.NOTIFICATION, EapType.MD5])
def test_requests_without_a_method_are_not_answered_for_ever(method: EapType) -> None:
    both = silent()
    both.plug_in()
    for number in range(60):
        both.inject(frame(eap.request(number, method)))
        if failure(both):
            break
    assert answers(both) == FUTILE


def test_a_request_repeated_for_ever_is_not_answered_for_ever() -> None:
    both = silent()
    both.plug_in()
    for _ in range(60):
        both.inject(IDENTITY)
        if failure(both):
            break
    assert answers(both) == FUTILE


def test_a_server_that_takes_its_time_for_ever_is_given_up_after_three_minutes() -> None:
    both = talking()
    for number in range(7, 7 + int(CONVERSATION / 15.0)):
        assert pae(both) is PaeState.AUTHENTICATING
        ask(both, number, bytes(TlsPacket(b"\x16", more=True)))
        both.run_for(15.0)
    assert pae(both) is PaeState.HELD
    assert failure(both).startswith("gave up after 180 s of one authentication, ")


def test_a_new_conversation_after_one_that_was_given_up_has_its_own_bounds() -> None:
    both = talking()
    for number in range(FUTILE + 1):
        ask(both, 7 + number, bytes(TlsPacket(more=True)))
    assert pae(both) is PaeState.HELD
    both.tap = lambda _, octets: octets
    assert both.opens(within=61.0)
    assert both.supplicant.status().failure is None


def test_a_hundred_reauthentications_are_a_hundred_conversations() -> None:
    both = opened(pair(settings=AuthenticatorSettings(reAuthPeriod=2.0)))
    both.run_for(201.0)
    assert both.open
    assert both.said(EapFailure) == []


# One partner


@pytest.mark.parametrize("code", [EapCode.FAILURE, EapCode.SUCCESS])
def test_a_strangers_end_of_the_conversation_ends_nothing(code: EapCode) -> None:
    """At every frame of a handshake; its identifier is the right one."""
    both = pair()

    def forging(sender: str, octets: bytes) -> bytes:
        body = Frame.parse(octets).body
        if sender == "switch" and body[:1] == bytes((EapCode.REQUEST,)):
            both.lab.tell(both.station, both.received(frame(Packet(code, body[1])), STRANGER))
        return octets

    both.tap = forging
    both.plug_in()
    assert both.opens(within=1.0)
    assert both.said(EapFailure) == []
    (warning,) = both.said(Warned)
    assert "02:00:00:00:0b:ad are ignored while we authenticate with" in warning
    assert "02:00:00:00:00:fe" in warning


def test_a_strangers_requests_amid_a_method_are_not_answered() -> None:
    both = talking()
    before = answers(both)
    both.inject(IDENTITY, STRANGER)
    ask(both, 7, b"\x20", STRANGER)
    ask(both, 7, bytes(TlsPacket(more=True)), STRANGER)
    assert answers(both) == before
    ask(both, 7, bytes(TlsPacket(more=True)))
    assert answers(both) == before + 1


def test_before_a_method_whoever_asks_for_the_identity_is_answered() -> None:
    """Or the first stranger to ask would keep the switch out."""
    both = silent()
    both.plug_in()
    both.inject(IDENTITY, STRANGER)
    both.inject(frame(eap.request(9, EapType.IDENTITY)))
    assert answers(both) == 2
    both.inject(BEGIN, STRANGER)
    assert answers(both) == 2
    both.inject(frame(eap.request(10, EapType.TLS, b"\x20")))
    assert answers(both) == 3


def test_a_partner_who_falls_silent_amid_a_method_keeps_nobody_out_for_long() -> None:
    both = pair()
    both.tap = nothing
    both.plug_in()
    both.inject(IDENTITY, STRANGER)
    both.inject(BEGIN, STRANGER)
    both.tap = lambda _, octets: octets
    assert both.opens(within=25.0)


def test_the_conversation_after_the_next_start_may_be_with_another_switch() -> None:
    both = opened()
    both.inject(frame(eap.request(77, EapType.IDENTITY)), STRANGER)
    assert both.sent("gateway")[-1].body == bytes(eap.response(77, EapType.IDENTITY, b"gw-0001"))


# What a refusal means


def test_a_failure_right_after_our_hello_speaks_of_versions_and_ciphers() -> None:
    both = talking()
    both.inject(frame(Packet(EapCode.FAILURE, 6)))
    assert failure(both) == (
        "the switch refused us (EAP-Failure) in answer to our ClientHello, which offers TLSv1.2 to"
        " TLSv1.3: the server may allow other versions of TLS or other cipher suites only; compare"
        " phase1 (tls_disable_...) and openssl_ciphers here with its configuration"
    )


def test_a_canned_success_is_called_by_its_name() -> None:
    both = silent()
    both.plug_in()
    both.inject(IDENTITY)
    both.inject(frame(Packet(EapCode.SUCCESS, 5)))
    assert "without an authentication" in failure(both)
    assert 'phase1="allow_canned_success=1"' in failure(both)
    assert "RFC 9190" not in failure(both)


def test_a_success_amid_the_handshake_is_not_blamed_on_rfc_9190() -> None:
    both = talking()
    both.inject(frame(Packet(EapCode.SUCCESS, 6)))
    assert failure(both).startswith("the switch sent EAP-Success before TLS was complete")
    assert both.supplicant.status().port_status is PortStatus.UNAUTHORIZED


def test_the_missing_protected_success_names_its_clause_and_the_way_round() -> None:
    both = pair(settings=AuthenticatorSettings(promise=False))
    both.plug_in()
    both.run_for(1.0)
    assert "protected success (RFC 9190, 2.1.1)" in failure(both)
    assert 'phase1="tls_disable_tlsv1_3=1"' in failure(both)


def test_the_silence_of_a_radius_server_is_said_when_the_switch_asks_for_the_identity_again() -> (
    None
):
    """hostapd does so every 30 s, which is our authPeriod: no timeout of ours would ever tell."""
    both = silent()
    both.plug_in()
    both.inject(IDENTITY)
    both.run_for(29.5)
    both.inject(frame(eap.request(6, EapType.IDENTITY)))
    assert failure(both).startswith("no EAP request for 30 s: the switch or its RADIUS server does")
    assert any("RADIUS server does not answer" in said for said in both.said(Warned))
    both.run_for(29.5)
    both.inject(frame(eap.request(7, EapType.IDENTITY)))
    assert len([said for said in both.said(Warned) if "RADIUS" in said]) == 1


def test_two_identity_requests_that_cross_on_the_wire_mean_nothing() -> None:
    both = silent()
    both.plug_in()
    both.inject(IDENTITY)
    both.run_for(0.1)
    both.inject(frame(eap.request(6, EapType.IDENTITY)))
    assert both.supplicant.status().failure is None


def test_the_last_failure_is_kept_until_the_port_opens() -> None:
    both = talking()
    both.inject(frame(Packet(EapCode.FAILURE, 6)))
    said = failure(both)
    both.inject(IDENTITY)
    assert pae(both) is PaeState.AUTHENTICATING
    assert failure(both) == said
    both.tap = lambda _, octets: octets
    assert both.opens(within=120.0)
    assert both.supplicant.status().failure is None


def test_versions_that_are_offered_are_named_as_configured() -> None:
    policy = TlsPolicy(max_version=TlsVersion.TLS_1_2)
    both = talking(replace(NETWORK, tls=policy))
    both.inject(frame(Packet(EapCode.FAILURE, 6)))
    assert "which offers TLSv1.2: the server" in failure(both)


def test_the_method_that_is_asked_for_is_in_the_status() -> None:
    both = silent()
    both.plug_in()
    assert both.supplicant.status().req_method == 0
    both.inject(IDENTITY)
    assert both.supplicant.status().req_method == EapType.IDENTITY
    both.inject(BEGIN)
    assert both.supplicant.status().req_method == EapType.TLS
    assert both.supplicant.status().selected_method == EapType.TLS
