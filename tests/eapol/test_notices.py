"""What is told, word for word: wpa_supplicant 2.10's events, in its order, at its levels."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from eapol import control, intake, listeners, own, pae, peer, supplicant
from eapol.aio import inbox
from eapol.eap import EapCode, EapType, Packet
from eapol.events import LinkChanged, Tell, Terminate, UseNetwork
from eapol.frame import PacketType
from eapol.methods import fragments
from eapol.notices import (
    Connected,
    Disconnected,
    MethodSelected,
    Noted,
    Notice,
    PassphraseAsked,
    ProposedMethod,
    ServerSays,
    StateEntered,
    Terminating,
    Warned,
    printable,
)
from eapol.settings import Timers, TlsPolicy, TlsVersion
from eapol.status import (
    BackendState,
    Counters,
    Decision,
    EapState,
    MethodState,
    PaeState,
    PortControl,
    Review,
    WpaState,
)
from eapol.tls import ClientContext
from lab.eapol_pair import (
    NETWORK,
    Pair,
    client_context,
    credentials,
    frame,
    opened,
    pair,
    server_context,
    silent,
)
from lab.pki import SERVER_NAME, site

POLICY = TlsPolicy(max_version=TlsVersion.TLS_1_2, resume=False)
SITE = site(depth=2)
ROOT = "/O=Branch Office Lab/CN=Test Root"
SERVER = f"/O=Branch Office Lab/CN={SERVER_NAME}"
GROUP = "01:80:c2:00:00:03"
BEGUN = [
    "3 Associated with 01:80:c2:00:00:03",
    "3 CTRL-EVENT-SUBNET-STATUS-UPDATE status=0",
    "3 CTRL-EVENT-EAP-STARTED EAP authentication started",
    "3 CTRL-EVENT-EAP-STATUS status='started' parameter=''",
    "3 CTRL-EVENT-EAP-PROPOSED-METHOD vendor=0 method=13",
    "3 CTRL-EVENT-EAP-STATUS status='accept proposed method' parameter='TLS'",
    "3 CTRL-EVENT-EAP-METHOD EAP vendor 0 method 13 (TLS) selected",
]
FAILED = [
    "3 CTRL-EVENT-EAP-STATUS status='completion' parameter='failure'",
    "3 CTRL-EVENT-EAP-FAILURE EAP authentication failed",
]


def told(both: Pair) -> list[str]:
    return [f"{notice.level} {notice}" for notice in both.log]


def shown(certificate: x509.Certificate, depth: int, subject: str) -> list[str]:
    der = certificate.public_bytes(Encoding.DER)
    head = f"3 CTRL-EVENT-EAP-PEER-CERT depth={depth} subject='{subject}'"
    return [f"{head} hash={sha256(der).hexdigest()}", f"{head} cert={der.hex()}"]


CHAIN = [
    *shown(SITE.root.certificate, 1, ROOT),
    *shown(SITE.server.certificate, 0, SERVER),
    f"3 CTRL-EVENT-EAP-PEER-ALT depth=0 DNS:{SERVER_NAME}",
]


def attempt(policy: TlsPolicy = POLICY) -> Pair:
    client = ClientContext(policy, credentials(SITE.client, SITE.root.certificate_pem()))
    both = pair(client=client, server=server_context(replace(POLICY, resume=True)))
    both.plug_in()
    both.run_for(5.0)
    return both


def test_an_authentication_is_told_step_by_step() -> None:
    assert told(attempt()) == [
        *BEGUN,
        *CHAIN,
        "3 CTRL-EVENT-EAP-STATUS status='remote certificate verification' parameter='success'",
        "3 CTRL-EVENT-EAP-STATUS status='completion' parameter='success'",
        "3 CTRL-EVENT-EAP-SUCCESS EAP authentication completed successfully",
        "3 CTRL-EVENT-CONNECTED - Connection to 01:80:c2:00:00:03 completed [id=0 id_str=]",
    ]


@pytest.mark.parametrize(
    ("policy", "reason", "error"),
    [
        (replace(POLICY, domain_match=("x",)), 10, "Domain mismatch"),
        (replace(POLICY, server_sha256=bytes(32)), 0, "Server certificate mismatch"),
    ],
)
def test_a_refused_server_is_told_step_by_step(policy: TlsPolicy, reason: int, error: str) -> None:
    both = attempt(policy)
    lines = told(both)
    (words,) = [line for line in lines if line.startswith("4 ")]
    assert words == f"4 {both.supplicant.status().failure}"
    assert lines == [
        *BEGUN,
        *CHAIN,
        f"3 CTRL-EVENT-EAP-TLS-CERT-ERROR reason={reason} depth=0 subject='{SERVER}' err='{error}'",
        f"3 CTRL-EVENT-EAP-STATUS status='remote certificate verification' parameter='{error}'",
        words,
        *FAILED,
    ]


def test_a_root_that_is_not_ours_is_told_at_its_depth() -> None:
    other = site(name="Other Root").root.certificate_pem()
    client = ClientContext(POLICY, credentials(SITE.client, other))
    both = pair(client=client, server=server_context(POLICY))
    both.plug_in()
    both.run_for(5.0)
    assert told(both)[len(BEGUN) :][-5] == (
        f"3 CTRL-EVENT-EAP-TLS-CERT-ERROR reason=1 depth=1 subject='{ROOT}'"
        " err='self-signed certificate in certificate chain'"
    )


def test_a_refused_method_is_told() -> None:
    both = silent()
    both.plug_in()
    both.inject(frame(Packet(EapCode.REQUEST, 4, EapType.MD5, b"\x10" + bytes(16))))
    assert told(both)[4:] == [
        "3 CTRL-EVENT-EAP-PROPOSED-METHOD vendor=0 method=4 -> NAK",
        "3 CTRL-EVENT-EAP-STATUS status='refuse proposed method' parameter='MD5'",
    ]


def states(both: Pair) -> list[str]:
    return [
        str(command.notice)
        for command in both.commands
        if isinstance(command, Tell) and isinstance(command.notice, StateEntered)
    ]


def test_the_states_that_are_entered_are_told_to_who_wants_them() -> None:
    both = silent()
    both.plug_in()
    assert states(both)[-3:] == [
        "EAPOL: SUPP_PAE entering state CONNECTING",
        "EAPOL: EAP entering state INITIALIZE",
        "EAPOL: EAP entering state IDLE",
    ]
    end = [
        "EAPOL: SUPP_BE entering state REQUEST",
        "EAPOL: EAP entering state RECEIVED",
        "EAPOL: EAP entering state SUCCESS",
        "EAPOL: SUPP_BE entering state SUCCESS",
        "EAPOL: SUPP_BE entering state IDLE",
        "EAPOL: SUPP_PAE entering state AUTHENTICATED",
    ]
    both = opened(pair(client=client_context(POLICY), server=server_context(POLICY)))
    assert states(both)[-len(end) :] == end


def test_a_cable_that_is_pulled_is_no_disconnection_of_ours() -> None:
    both = opened()
    both.gateway(LinkChanged(up=False))
    assert told(both)[-1] == "3 CTRL-EVENT-DISCONNECTED bssid=01:80:c2:00:00:03 reason=3"
    both = opened(pair(network=replace(NETWORK, id_str="branch")))
    assert told(both)[-1].endswith(" completed [id=0 id_str=branch]")
    both.gateway(UseNetwork(network=NETWORK, tls=client_context()))
    assert "3 CTRL-EVENT-DISCONNECTED bssid=01:80:c2:00:00:03 reason=3 locally_generated=1" in told(
        both
    )
    both.gateway(Terminate())
    assert told(both)[-1] == "3 CTRL-EVENT-TERMINATING "


@pytest.mark.parametrize(
    ("notice", "line"),
    [
        (PassphraseAsked(), "3 CTRL-REQ-PASSPHRASE-0:Private key passphrase needed for SSID "),
        (ServerSays("at noon"), "3 CTRL-EVENT-EAP-NOTIFICATION at noon"),
        (Warned("careful"), "4 careful"),
        (Noted("news"), "3 news"),
        (StateEntered("SUPP_PAE", "HELD"), "2 EAPOL: SUPP_PAE entering state HELD"),
        (Terminating(), "3 CTRL-EVENT-TERMINATING "),
        (Connected(), f"3 CTRL-EVENT-CONNECTED - Connection to {GROUP} completed [id=0 id_str=]"),
        (Disconnected(), f"3 CTRL-EVENT-DISCONNECTED bssid={GROUP} reason=3 locally_generated=1"),
        (ProposedMethod(9, 1), "3 CTRL-EVENT-EAP-PROPOSED-METHOD vendor=9 method=1"),
        (MethodSelected(EapType.TLS), BEGUN[-1]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_each_notice_is_one_line(notice: Notice, line: str) -> None:
    assert f"{notice.level} {notice}" == line


def test_what_is_not_printable_is_escaped_and_all_else_stays() -> None:
    assert printable("a b/ü=ß") == "a b/ü=ß"
    assert printable("a\r\n\x1b[0m\x7f\u2028\udc80") == "a\\r\\n\\x1b[0m\\x7f\\u2028\\udc80"


# Numbers


def test_types_and_codes_of_eap_are_ianas() -> None:
    """https://www.iana.org/assignments/eap-numbers, and RFC 3748, 4."""
    names = "NONE IDENTITY NOTIFICATION NAK MD5 OTP GTC"
    assert [int(EapType[name]) for name in names.split()] == [*range(7)]
    others = {
        "TLS": 13, "LEAP": 17, "SIM": 18, "TTLS": 21, "AKA": 23, "PEAP": 25, "MSCHAPV2": 26,
        "FAST": 43, "PSK": 47, "PWD": 52, "EXPANDED": 254, "EXPERIMENTAL": 255,
    }  # fmt: skip
    assert {name: int(EapType[name]) for name in others} == others
    assert [code.name for code in map(EapCode, range(1, 5))] == [
        "REQUEST", "RESPONSE", "SUCCESS", "FAILURE",
    ]  # fmt: skip


def test_packet_types_and_states_have_the_standards_numbers() -> None:
    """IEEE Std 802.1X-2004, 7.5.4, 9.5.1."""
    assert [kind.name for kind in map(PacketType, range(6))] == [
        "EAP_PACKET", "START", "LOGOFF", "KEY", "ENCAPSULATED_ASF_ALERT", "MKA",
    ]  # fmt: skip
    assert {state.name: int(state) for state in PaeState} == {
        "DISCONNECTED": 1, "LOGOFF": 2, "CONNECTING": 3, "AUTHENTICATING": 4, "AUTHENTICATED": 5,
        "HELD": 7, "RESTART": 8, "S_FORCE_AUTH": 9, "S_FORCE_UNAUTH": 10,
    }  # fmt: skip
    assert [int(state) for state in BackendState] == [*range(1, 9)]


def test_a_cable_that_is_pulled_from_a_closed_port_is_told_too() -> None:
    both = silent()
    both.plug_in()
    both.gateway(LinkChanged(up=False))
    assert told(both)[-1] == "3 CTRL-EVENT-DISCONNECTED bssid=01:80:c2:00:00:03 reason=3"


def test_the_words_of_states_are_the_standards() -> None:
    """RFC 4137, figure 3 and 4.2: the control interface shows them as they are."""
    for kind in (EapState, MethodState, Decision):
        assert [state.value for state in kind] == [state.name for state in kind]


def test_a_switch_says_why_it_refused_somebody() -> None:
    stranger = site(name="Other Root").client
    client = ClientContext(POLICY, credentials(stranger, SITE.root.certificate_pem()))
    both = pair(client=client, server=server_context(POLICY))
    both.plug_in()
    both.run_for(5.0)
    said = [
        str(command.notice)
        for command in both.switch_commands
        if isinstance(command, Tell) and isinstance(command.notice, Warned)
    ]
    assert any("was refused: " in line and "it was issued by" in line for line in said)


def test_the_bounds_are_those_that_the_pages_name() -> None:
    """docs/supplicant.md, docs/wpa_cli.md, docs/conformance."""
    assert (peer.ROUNDS, peer.FUTILE, peer.CONVERSATION) == (100, 20, 180.0)
    assert (peer.SLOW, intake.PATIENCE) == (10.0, 10.0)
    assert pae.EARLY_STARTS == (1, 3, 6, 10)
    assert (supplicant.LOOK_CLOSED, supplicant.LOOK_OPEN, supplicant.STEP) == (1.0, 60.0, 1.0)
    assert supplicant.DAY == 24 * 3600
    assert (inbox.FRAMES, inbox.REQUESTS) == (256, 16)
    assert (listeners.MOST, listeners.PATIENCE, control.LONGEST) == (32, 10, 4096)
    assert fragments.MAX_MESSAGE == 128 * 1024
    assert timedelta(days=30) == own.SOON
    assert Timers() == Timers(
        startPeriod=30, maxStart=3, heldPeriod=60, authPeriod=30, ClientTimeout=60
    )


def test_a_supplicant_has_nothing_to_tell_before_anything_happened() -> None:
    status = supplicant.Supplicant(entropy=bytes).status()
    assert status.failure is None
    assert status.review == Review()
    assert status.counters == Counters()
    assert (status.tls, status.eap_session_id, status.selected_method) == (None, None, None)
    assert (status.req_method, status.method_state) == (0, MethodState.NONE)
    assert (status.decision, status.port_control) == (Decision.FAIL, PortControl.AUTO)
    assert (status.wpa_state, status.eap_state) == (WpaState.INACTIVE, EapState.DISABLED)
