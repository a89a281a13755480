"""The supplicant on the wire: IEEE Std 802.1X-2004, 8.2.11 and 8.2.12; RFC 4137."""

from dataclasses import replace

import pytest

from eapol import eap
from eapol.authenticator import AuthenticatorSettings
from eapol.eap import EapCode, EapType, Packet
from eapol.events import (
    LinkChanged,
    PortAuthorized,
    PortUnauthorized,
    Reauthenticate,
    SetTimer,
    TimerName,
)
from eapol.frame import Frame, PacketType
from eapol.notices import (
    Disconnected,
    EapFailure,
    ProposedMethod,
    ServerSays,
)
from eapol.settings import Timers, TlsPolicy, TlsVersion
from eapol.status import (
    Decision,
    MethodState,
    PaeState,
    PortStatus,
    WpaState,
)
from lab.eapol_pair import (
    NETWORK,
    START,
    client_context,
    frame,
    opened,
    pae,
    pair,
    server_context,
    silent,
    start_times,
)

# Starting


def test_the_first_start_leaves_in_the_moment_the_carrier_comes() -> None:
    both = silent()
    both.run_for(100.0)
    assert both.frames == []
    both.gateway(LinkChanged(up=True))
    assert both.sent("gateway") == [START]


def test_unanswered_starts_come_quickly_then_slowly_then_not_until_held_period_is_over() -> None:
    once = [0.0, 1.0, 3.0, 6.0, 10.0, 30.0, 60.0]
    held = 90.0 + 60.0
    assert start_times(pair(), 200.0) == [*once, *(held + time for time in once[:6])]


def test_an_unanswered_port_is_held_with_a_reason_for_people() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    both.run_for(89.0)
    assert both.said(EapFailure) == []
    both.run_for(2.0)
    assert pae(both) is PaeState.HELD
    assert len(both.said(EapFailure)) == 1
    assert "no answer to EAPOL-Start" in (both.supplicant.status().failure or "")


def test_the_timers_of_the_control_interface_are_obeyed() -> None:
    both = pair()
    for name, value in {"startPeriod": 5, "maxStart": 2, "heldPeriod": 7}.items():
        both.gateway(SetTimer(name=TimerName(name), value=value))
    assert start_times(both, 19.0) == [0.0, 1.0, 3.0, 5.0, 17.0, 18.0]


def test_a_held_port_still_answers_a_request() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    both.run_for(91.0)
    assert pae(both) is PaeState.HELD
    both.inject(frame(eap.request(9, EapType.IDENTITY)))
    assert both.sent("gateway")[-1].body == bytes(eap.response(9, EapType.IDENTITY, b"gw-0001"))


def test_starts_end_when_the_switch_asks() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    both.inject(frame(eap.request(9, EapType.IDENTITY)))
    both.run_for(29.0)
    assert both.sent("gateway").count(START) == 1


def test_a_switch_that_falls_silent_is_asked_again_after_auth_period() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    both.inject(frame(eap.request(9, EapType.IDENTITY)))
    both.run_for(30.5)
    assert pae(both) is PaeState.CONNECTING
    assert both.sent("gateway").count(START) == 2
    assert "does not answer" in (both.supplicant.status().failure or "")


def test_the_client_timeout_ends_a_conversation_that_the_switch_left() -> None:
    both = silent(timers=Timers(authPeriod=100, ClientTimeout=20))
    both.gateway(LinkChanged(up=True))
    both.inject(frame(eap.request(9, EapType.IDENTITY)))
    both.run_for(19.5)
    assert pae(both) is PaeState.AUTHENTICATING
    both.run_for(1.0)
    assert pae(both) is PaeState.HELD
    assert both.supplicant.status().failure == (
        "no EAP request for 20 s: the switch or its RADIUS server does not answer; does the server"
        " run, and does it know this switch (address, secret)?"
    )


# Authenticating


@pytest.mark.parametrize("version", [TlsVersion.TLS_1_2, TlsVersion.TLS_1_3])
@pytest.mark.parametrize("depth", [2, 4])
def test_both_ends_open_the_port_and_have_the_same_keys(version: TlsVersion, depth: int) -> None:
    policy = TlsPolicy(max_version=version)
    both = opened(pair(client=client_context(policy, depth), server=server_context(policy, depth)))
    ours = next(c for c in both.commands if isinstance(c, PortAuthorized))
    theirs = next(c for c in both.switch_commands if isinstance(c, PortAuthorized))
    assert ours == theirs
    assert ours.msk is not None
    assert len(ours.msk) == 64
    assert ours.msk != ours.emsk
    status = both.supplicant.status()
    assert status.tls is not None
    assert status.tls.version == version.value
    assert status.eap_session_id == ours.session_id
    assert len(ours.session_id) == 65
    assert status.wpa_state is WpaState.COMPLETED
    assert status.selected_method == EapType.TLS
    assert status.method_state is MethodState.DONE
    assert status.decision is Decision.UNCOND_SUCC


def test_the_counters_are_those_of_the_frames() -> None:
    both = opened()
    counters = both.supplicant.status().counters
    assert counters.EapolFramesTx == len(both.sent("gateway"))
    assert counters.EapolFramesRx == len(both.sent("switch"))
    assert counters.EapolStartFramesTx == 1
    assert counters.EapolRespFramesTx == counters.EapolReqFramesRx + counters.EapolReqIdFramesRx
    assert counters.LastEapolFrameVersion == 2


def test_anonymous_identity_is_what_is_sent_in_the_clear() -> None:
    network = replace(NETWORK, anonymous_identity=b"anonymous@branch")
    assert opened(pair(network=network)).authenticator.identity == b"anonymous@branch"


def test_a_method_we_do_not_have_is_refused_and_ours_named() -> None:
    both = opened(pair(settings=AuthenticatorSettings(offers=(EapType.MD5, EapType.PEAP))))
    naks = [Packet.parse(f.body) for f in both.sent("gateway") if f.body[4:5] == b"\x03"]
    assert [packet.data for packet in naks] == [b"\x0d", b"\x0d"]
    assert any(line.endswith("method=4 -> NAK") for line in both.said(ProposedMethod))


def test_a_vendors_method_is_refused_with_an_expanded_nak() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    offered = Packet(EapCode.REQUEST, 5, EapType(1), b"", vendor=9, expanded=True)
    both.inject(frame(offered))
    answer = Packet.parse(both.sent("gateway")[-1].body)
    assert answer.expanded
    assert (answer.vendor, answer.method) == (0, EapType.NAK)
    assert answer.data == bytes.fromhex("fe0000000000000d")


def test_eap_tls_in_the_expanded_form_is_eap_tls() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    both.inject(frame(Packet(EapCode.REQUEST, 5, EapType.TLS, b"\x20", expanded=True)))
    answer = Packet.parse(both.sent("gateway")[-1].body)
    assert answer.method == EapType.TLS
    assert len(answer.data) > 100


def test_a_notification_is_shown_and_acknowledged() -> None:
    both = opened(pair(settings=AuthenticatorSettings(notification="maintenance\nat noon")))
    assert both.said(ServerSays) == ["CTRL-EVENT-EAP-NOTIFICATION maintenance\\nat noon"]


def test_a_repeated_request_gets_the_same_response_octet_for_octet() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    both.inject(frame(eap.request(5, EapType.TLS, b"\x20")))
    both.inject(frame(eap.request(5, EapType.TLS, b"\x20")))
    first, second = both.sent("gateway")[-2:]
    assert first == second


def test_a_known_identifier_with_new_octets_is_a_new_request_unless_told_otherwise() -> None:
    for workaround, method in ((True, EapType.NOTIFICATION), (False, EapType.IDENTITY)):
        both = silent(replace(NETWORK, eap_workaround=workaround))
        both.gateway(LinkChanged(up=True))
        both.inject(frame(eap.request(5, EapType.IDENTITY)))
        both.inject(frame(eap.request(5, EapType.NOTIFICATION, b"hello")))
        assert Packet.parse(both.sent("gateway")[-1].body).method == method


def test_an_identity_request_amid_a_method_begins_anew() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    both.inject(frame(eap.request(5, EapType.IDENTITY)))
    both.inject(frame(eap.request(6, EapType.TLS, b"\x20")))
    both.inject(frame(eap.request(7, EapType.IDENTITY)))
    assert both.sent("gateway")[-1].body == bytes(eap.response(7, EapType.IDENTITY, b"gw-0001"))


def test_ethernet_padding_and_another_version_do_not_matter() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    asked = bytes(eap.request(5, EapType.IDENTITY)) + bytes(3)
    both.inject(bytes(Frame(PacketType.EAP_PACKET, asked, version=3)) + bytes(37))
    assert both.sent("gateway")[-1].body == bytes(eap.response(5, EapType.IDENTITY, b"gw-0001"))
    assert both.sent("gateway")[-1].version == 2


def test_frames_of_other_kinds_are_counted_and_ignored() -> None:
    both = opened()
    before = both.supplicant.status().counters
    both.inject(bytes(Frame.parse(bytes.fromhex("0203000101"))))
    both.inject(bytes.fromhex("02ee0000"))
    both.inject(b"\x02")
    both.inject(bytes.fromhex("0200000401010009"))
    after = both.supplicant.status().counters
    assert after.EapolFramesRx == before.EapolFramesRx + 4
    assert after.InvalidEapolFramesRx == 2
    assert after.EapLengthErrorFramesRx == 1
    assert both.open


# Success and failure


def test_success_without_the_protected_success_of_tls_1_3_is_not_accepted() -> None:
    both = pair(settings=AuthenticatorSettings(promise=False))
    both.plug_in()
    both.run_for(5.0)
    status = both.supplicant.status()
    assert both.authenticator.authorized
    assert status.port_status is PortStatus.UNAUTHORIZED
    assert status.pae_state is PaeState.HELD
    assert "RFC 9190" in (status.failure or "")


@pytest.mark.parametrize("code", [EapCode.SUCCESS, EapCode.FAILURE])
@pytest.mark.parametrize("ahead", [0, 1, 100])
def test_a_stray_end_after_authentication_disturbs_nothing(code: EapCode, ahead: int) -> None:
    both = opened()
    before = replace(both.supplicant.status(), counters=replace(both.supplicant.status().counters))
    last = Packet.parse(both.sent("gateway")[-1].body).identifier
    both.inject(frame(Packet(code, (last + ahead) & 0xFF)))
    both.run_for(300.0)
    after = both.supplicant.status()
    assert replace(after, counters=before.counters) == before


def test_a_forged_request_after_authentication_does_not_close_the_port() -> None:
    both = opened()
    both.inject(frame(eap.request(200, EapType.IDENTITY)))
    both.run_for(300.0)
    assert both.open
    assert both.said(Disconnected) == []


def test_a_canned_success_counts_only_where_it_is_allowed() -> None:
    for allowed in (False, True):
        both = silent(replace(NETWORK, allow_canned_success=allowed))
        both.gateway(LinkChanged(up=True))
        both.inject(frame(Packet(EapCode.SUCCESS, 77)))
        authorized = both.supplicant.status().port_status is PortStatus.AUTHORIZED
        assert authorized == allowed
        assert len(both.sent("gateway")) == 1


@pytest.mark.parametrize(
    ("workaround", "ahead", "accepted"),
    [(True, 1, True), (True, 2, True), (True, 9, False), (False, 1, False), (False, 0, True)],
)
def test_the_identifier_of_the_success_may_be_late_by_two_at_most(
    workaround: bool, ahead: int, accepted: bool
) -> None:
    policy = TlsPolicy(max_version=TlsVersion.TLS_1_2)
    network = replace(NETWORK, tls=policy, eap_workaround=workaround)
    both = pair(network=network)

    def shifted(_: str, octets: bytes) -> bytes:
        body = Frame.parse(octets).body
        if body[:1] != bytes((EapCode.SUCCESS,)):
            return octets
        return frame(Packet(EapCode.SUCCESS, (body[1] + ahead) & 0xFF))

    both.tap = shifted
    both.plug_in()
    assert both.opens() == accepted


def test_a_server_may_refuse_after_tls_1_2_has_succeeded() -> None:
    """As RADIUS servers do for reasons of their own: a VLAN, a time of the day."""
    both = pair(network=replace(NETWORK, tls=TlsPolicy(max_version=TlsVersion.TLS_1_2)))

    def refuse(_: str, octets: bytes) -> bytes:
        body = Frame.parse(octets).body
        ended = body[:1] == bytes((EapCode.SUCCESS,))
        return frame(Packet(EapCode.FAILURE, body[1])) if ended else octets

    both.tap = refuse
    both.plug_in()
    both.run_for(1.0)
    status = both.supplicant.status()
    assert (status.pae_state, status.port_status) == (PaeState.HELD, PortStatus.UNAUTHORIZED)
    assert "refused us (EAP-Failure) after TLS began" in (status.failure or "")


def test_a_failure_closes_the_port_and_is_tried_again_after_held_period() -> None:
    both = opened(pair(settings=AuthenticatorSettings(quietPeriod=1.0)))
    both.authenticator.settings = replace(
        both.authenticator.settings, identities=frozenset({b"somebody else"})
    )
    both.gateway(Reauthenticate())
    both.run_for(0.5)
    assert pae(both) is PaeState.HELD
    assert both.said(Disconnected)
    assert any(isinstance(command, PortUnauthorized) for command in both.commands)
    assert "refused us (EAP-Failure) before a method" in (both.supplicant.status().failure or "")
    both.authenticator.settings = replace(both.authenticator.settings, identities=None)
    assert both.opens(within=61.0)
