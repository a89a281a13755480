"""The supplicant of a port that is open: again, off and on; the commands that change it."""

from dataclasses import replace

from eapol import eap
from eapol.authenticator import AuthenticatorSettings
from eapol.eap import EapType
from eapol.events import (
    Disconnect,
    LinkChanged,
    Logoff,
    Logon,
    Look,
    PortAuthorized,
    Reauthenticate,
    Reconnect,
    SetPortControl,
    Terminate,
    Terminated,
    UseNetwork,
    UseTls,
)
from eapol.notices import (
    Connected,
    Disconnected,
    EapSuccess,
    Warned,
)
from eapol.settings import TlsPolicy, TlsVersion
from eapol.status import (
    BackendState,
    EapState,
    PaeState,
    PortControl,
    PortStatus,
    WpaState,
)
from lab.eapol_pair import (
    LOGOFF,
    NETWORK,
    START,
    client_context,
    frame,
    nothing,
    opened,
    pae,
    pair,
    silent,
)


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
    both.run_for(2.0)
    before = len(both.commands)
    both.run_for(9.0)
    checks = [command for command in both.commands[before:] if isinstance(command, Look)]
    assert len(checks) == len(both.said(EapSuccess)) - 1 == 2


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


def test_a_logoff_amid_a_conversation_ends_it_and_nothing_of_it_comes_later() -> None:
    both = silent()
    both.plug_in()
    both.inject(frame(eap.request(9, EapType.IDENTITY)))
    assert both.supplicant.status().backend_state is BackendState.RECEIVE
    both.gateway(Logoff())
    assert both.supplicant.status().backend_state is BackendState.IDLE
    both.run_for(100.0)
    assert both.said(Warned) == []
    assert pae(both) is PaeState.LOGOFF


def test_a_disconnect_amid_a_conversation_ends_it_too() -> None:
    both = silent()
    both.plug_in()
    both.inject(frame(eap.request(9, EapType.IDENTITY)))
    both.gateway(Disconnect())
    status = both.supplicant.status()
    assert (status.backend_state, status.eap_state) == (BackendState.IDLE, EapState.DISABLED)
    both.run_for(100.0)
    assert both.said(Warned) == []
