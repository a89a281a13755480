"""The supplicant on the wire: IEEE Std 802.1X-2004, 8.2.11 and 8.2.12; RFC 4137."""

from dataclasses import replace

import pytest

from eapol import eap
from eapol.authenticator import AuthenticatorSettings
from eapol.eap import EapCode, EapType, Packet
from eapol.events import (
    CheckFiles,
    Disconnect,
    LinkChanged,
    Logoff,
    Logon,
    PortAuthorized,
    PortUnauthorized,
    Reauthenticate,
    Reconnect,
    SetPortControl,
    SetTimer,
    Terminate,
    Terminated,
    TimerName,
    UseNetwork,
    UseTls,
)
from eapol.frame import Frame, PacketType
from eapol.notices import (
    Connected,
    Disconnected,
    EapFailure,
    EapSuccess,
    ProposedMethod,
    ServerSays,
)
from eapol.settings import Network, TlsPolicy, TlsVersion
from eapol.status import (
    Decision,
    EapState,
    MethodState,
    PaeState,
    PortControl,
    PortStatus,
    WpaState,
)
from lab.eapol_pair import NETWORK, Pair, client_context, pair, server_context

START = Frame(PacketType.START)
LOGOFF = Frame(PacketType.LOGOFF)


def frame(packet: Packet) -> bytes:
    return bytes(Frame(PacketType.EAP_PACKET, bytes(packet)))


def nothing(_sender: str, _octets: bytes) -> None:
    """A wire that carries nothing."""


def silent(network: Network = NETWORK) -> Pair:
    """A gateway whose switch hears nothing."""
    both = pair(network=network)
    both.tap = nothing
    return both


def opened(both: Pair | None = None) -> Pair:
    """Plugged in, and open at both ends."""
    both = both or pair()
    both.plug_in()
    assert both.opens()
    return both


def start_times(both: Pair, within: float) -> list[float]:
    """When the gateway sent EAPOL-Start, in seconds."""
    times = []

    def note(sender: str, octets: bytes) -> None:
        if Frame.parse(octets) == START:
            times.append(both.lab.now)

    both.tap = note
    both.gateway(LinkChanged(up=True))
    both.run_for(within)
    return times


def pae(both: Pair) -> PaeState:
    return both.supplicant.status().pae_state


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
    assert "nobody answers" in (both.supplicant.status().failure or "")


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
    assert "refused us (EAP-Failure) before TLS" in (both.supplicant.status().failure or "")
    both.authenticator.settings = replace(both.authenticator.settings, identities=None)
    assert both.opens(within=61.0)


# Again, off, on


def test_periodic_reauthentication_keeps_the_port_open_all_the_time() -> None:
    both = opened(pair(settings=AuthenticatorSettings(reAuthPeriod=5.0)))
    both.run_for(51.0)
    assert both.open
    assert len(both.said(EapSuccess)) == 11
    assert len(both.said(Connected)) == 1
    assert both.said(Disconnected) == []
    assert sum(isinstance(command, PortAuthorized) for command in both.commands) == 11


def test_each_authentication_has_the_files_looked_at() -> None:
    both = opened(pair(settings=AuthenticatorSettings(reAuthPeriod=5.0)))
    both.run_for(11.0)
    checks = [command for command in both.commands if isinstance(command, CheckFiles)]
    assert len(checks) == len(both.said(EapSuccess)) == 3


def test_renewed_certificates_are_used_from_the_next_authentication_on() -> None:
    both = opened()
    both.gateway(UseTls(tls=client_context(TlsPolicy(max_version=TlsVersion.TLS_1_2))))
    assert both.supplicant.status().tls is not None
    both.gateway(Reauthenticate())
    both.run_for(1.0)
    tls = both.supplicant.status().tls
    assert both.open
    assert tls is not None
    assert tls.version == "TLSv1.2"


def test_reauthenticate_asks_the_switch_and_does_nothing_when_not_authenticated() -> None:
    both = silent()
    both.gateway(Reauthenticate())
    assert both.frames == []
    both = opened()
    both.gateway(Reauthenticate())
    assert both.sent("gateway")[-1] == START
    both.run_for(1.0)
    assert both.open
    assert len(both.said(EapSuccess)) == 2


def test_reauthenticate_that_nobody_answers_leaves_the_port_open() -> None:
    both = opened()
    both.tap = nothing
    both.gateway(Reauthenticate())
    both.run_for(300.0)
    status = both.supplicant.status()
    assert (status.pae_state, status.port_status) == (
        PaeState.AUTHENTICATED,
        PortStatus.AUTHORIZED,
    )
    assert both.sent("gateway").count(START) == 1 + 7


def test_logoff_closes_the_port_at_both_ends_and_logon_opens_it_at_once() -> None:
    both = opened()
    both.gateway(Logoff())
    assert both.sent("gateway")[-1] == LOGOFF
    assert pae(both) is PaeState.LOGOFF
    both.run_for(100.0)
    assert not both.authenticator.authorized
    assert both.sent("gateway").count(LOGOFF) == 1
    both.gateway(Logon())
    assert both.sent("gateway")[-1] == START
    assert both.opens(within=0.1)


def test_logon_survives_a_switch_that_swallows_the_first_start() -> None:
    both = opened()
    both.gateway(Logoff())
    both.run_for(1.0)
    swallowed: list[bytes] = []

    def swallow(sender: str, octets: bytes) -> bytes | None:
        first = sender == "gateway" and not swallowed
        swallowed.extend([octets] * first)
        return None if first else octets

    both.tap = swallow
    both.gateway(Logon())
    assert both.opens(within=1.2)


def test_pulling_the_plug_closes_the_port_and_putting_it_back_opens_it() -> None:
    both = opened()
    both.gateway(LinkChanged(up=False))
    both.switch(LinkChanged(up=False))
    status = both.supplicant.status()
    assert (status.port_status, status.wpa_state) == (
        PortStatus.UNAUTHORIZED,
        WpaState.DISCONNECTED,
    )
    assert status.eap_state is EapState.DISABLED
    both.plug_in()
    assert both.sent("gateway")[-1] == START
    assert both.opens(within=0.1)


def test_disconnect_says_nothing_to_the_switch_and_reconnect_starts_at_once() -> None:
    both = opened()
    count = len(both.frames)
    both.gateway(Disconnect())
    assert both.supplicant.status().wpa_state is WpaState.DISCONNECTED
    assert len(both.frames) == count
    both.gateway(Reconnect())
    assert both.sent("gateway")[-1] == START
    assert both.opens(within=0.1)


def test_reconnect_ends_a_logoff() -> None:
    both = opened()
    both.gateway(Logoff())
    both.run_for(1.0)
    both.gateway(Reconnect())
    assert both.opens(within=0.1)


def test_terminate_logs_off_and_ends() -> None:
    both = opened()
    both.gateway(Terminate())
    assert both.sent("gateway")[-1] == LOGOFF
    assert both.commands[-1] == Terminated()
    both.run_for(1.0)
    assert not both.authenticator.authorized


def test_terminate_can_leave_the_port_open() -> None:
    both = opened()
    both.gateway(Terminate(logoff=False))
    assert LOGOFF not in both.sent("gateway")
    assert both.commands[-1] == Terminated()


def test_a_forced_port_is_as_told_whatever_the_switch_says() -> None:
    both = silent()
    both.gateway(LinkChanged(up=True))
    both.gateway(SetPortControl(control=PortControl.FORCE_AUTHORIZED))
    assert both.supplicant.status().port_status is PortStatus.AUTHORIZED
    both.gateway(SetPortControl(control=PortControl.FORCE_UNAUTHORIZED))
    assert both.supplicant.status().port_status is PortStatus.UNAUTHORIZED
    assert both.sent("gateway")[-1] == LOGOFF
    both.gateway(SetPortControl(control=PortControl.AUTO))
    assert both.sent("gateway")[-1] == START


def test_another_network_begins_anew() -> None:
    both = opened()
    changed = replace(NETWORK, identity=b"gw-0002")
    both.gateway(UseNetwork(network=changed, tls=client_context()))
    assert both.opens(within=0.1)
    assert both.authenticator.identity == b"gw-0002"


def test_a_disabled_network_sends_nothing() -> None:
    both = silent(replace(NETWORK, disabled=True))
    both.gateway(LinkChanged(up=True))
    both.run_for(100.0)
    assert both.frames == []
    assert both.supplicant.status().wpa_state is WpaState.INACTIVE
