"""The control interface as text: what wpa_supplicant 2.10 answers on a wired port."""

import logging
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eapol.aio.inbox import TooBusy
from eapol.control import LONGEST, Interpreter, name_of
from eapol.errors import CredentialError
from eapol.events import (
    Disconnect,
    Logoff,
    Logon,
    Reauthenticate,
    Reconnect,
    Request,
    SetPortControl,
    SetTimer,
    Terminate,
    TimerName,
)
from eapol.listeners import MOST, PATIENCE, Address, Listeners, datagram
from eapol.notices import Associated, EapSuccess, Warned
from eapol.status import (
    PortControl,
    Review,
    WpaState,
)
from lab.port import CONNECTING, SESSION, Port
from wire.secret import Secret


@pytest.fixture
def port() -> Port:
    return Port()


@pytest.fixture
def interface(port: Port) -> Interpreter:
    return Interpreter(port, lambda: "10.98.0.1")


def ask(interface: Interpreter, command: str, sender: Address = "/tmp/client") -> str:
    reply = interface.answer(command.encode(), sender)
    assert reply is not None
    return reply.decode()


# What wpa_supplicant 2.10 printed, authenticated by FreeRADIUS over TLS 1.2

STATUS = f"""\
bssid=01:80:c2:00:00:03
freq=0
ssid=
id=0
mode=station
pairwise_cipher=NONE
group_cipher=NONE
key_mgmt=IEEE 802.1X (no WPA)
wpa_state=COMPLETED
ip_address=10.98.0.1
address=02:00:00:00:00:01
Supplicant PAE state=AUTHENTICATED
suppPortStatus=Authorized
EAP state=SUCCESS
selectedMethod=13 (EAP-TLS)
eap_tls_version=TLSv1.2
EAP TLS cipher=ECDHE-RSA-AES256-GCM-SHA384
tls_session_reused=0
eap_session_id={SESSION.hex()}
uuid=d4c48495-1b46-5f88-9df0-25af35ca35f7
"""

TIMERS = """\
heldPeriod=60
authPeriod=30
startPeriod=30
maxStart=3
portControl=Auto
Supplicant Backend state=IDLE
"""

METHOD = """\
reqMethod=0
methodState=DONE
decision=UNCOND_SUCC
ClientTimeout=60
"""

DOT1X = """\
dot1xSuppPaeState=5
dot1xSuppHeldPeriod=60
dot1xSuppAuthPeriod=30
dot1xSuppStartPeriod=30
dot1xSuppMaxStart=3
dot1xSuppSuppControlledPortStatus=Authorized
dot1xSuppBackendPaeState=2
dot1xSuppEapolFramesRx=7
dot1xSuppEapolFramesTx=7
dot1xSuppEapolStartFramesTx=1
dot1xSuppEapolLogoffFramesTx=0
dot1xSuppEapolRespFramesTx=6
dot1xSuppEapolReqIdFramesRx=1
dot1xSuppEapolReqFramesRx=5
dot1xSuppInvalidEapolFramesRx=0
dot1xSuppEapLengthErrorFramesRx=0
dot1xSuppLastEapolFrameVersion=2
dot1xSuppLastEapolFrameSource=02:00:00:00:00:fe
"""


def test_status_prints_what_wpa_supplicant_prints(interface: Interpreter) -> None:
    assert ask(interface, "STATUS") == STATUS


def test_status_verbose_adds_timers_and_method(interface: Interpreter) -> None:
    expected = STATUS.replace("EAP state=", TIMERS + "EAP state=")
    expected = expected.replace("eap_session_id=", METHOD + "eap_session_id=")
    assert ask(interface, "STATUS-VERBOSE") == expected
    assert ask(interface, "STATUS verbose") == expected


def test_mib_prints_what_wpa_supplicant_prints(interface: Interpreter) -> None:
    reply = ask(interface, "MIB")
    assert reply.endswith(DOT1X)
    assert reply.splitlines()[0] == "dot11RSNAOptionImplemented=TRUE"
    assert len(reply.splitlines()) == 38


def test_status_while_connecting_has_no_method(port: Port, interface: Interpreter) -> None:
    port.now = CONNECTING
    lines = ask(interface, "STATUS").splitlines()
    assert "wpa_state=ASSOCIATED" in lines
    assert "suppPortStatus=Unauthorized" in lines
    assert not any(line.startswith(("selectedMethod", "eap_")) for line in lines)


def test_status_after_disconnect_is_short(port: Port) -> None:
    port.now = replace(CONNECTING, wpa_state=WpaState.DISCONNECTED)
    assert ask(Interpreter(port, lambda: None), "STATUS") == (
        "wpa_state=DISCONNECTED\n"
        "address=02:00:00:00:00:01\n"
        "uuid=d4c48495-1b46-5f88-9df0-25af35ca35f7\n"
    )


def test_the_last_failure_is_told_in_words(port: Port, interface: Interpreter) -> None:
    port.now = replace(CONNECTING, failure="the server's certificate has expired")
    line = "last_failure=the server's certificate has expired\n"
    assert line in ask(interface, "STATUS-VERBOSE")
    assert line not in ask(interface, "STATUS")


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("PING", "PONG\n"),
        ("LIST_NETWORKS", "network id / ssid / bssid / flags\n0\t\tany\t[CURRENT]\n"),
        ("IFNAME", "eth0"),
        ("INTERFACES", "eth0\n"),
        ("GET_CAPABILITY key_mgmt", "NONE IEEE8021X"),
        ("DRIVER_FLAGS", "0000000000000010:\nWIRED\n"),
        ("SIGNAL_POLL", "FAIL\n"),
        ("BSS RANGE=ALL MASK=0x2", ""),
        ("SCAN", "OK\n"),
        ("STA-FIRST", "FAIL\n"),
        ("SAVE_CONFIG", "FAIL\n"),
        ("LEVEL 1", "FAIL\n"),
        ("status", "UNKNOWN COMMAND\n"),
        ("", "UNKNOWN COMMAND\n"),
    ],
)
def test_the_other_questions_get_the_answers_of_a_wired_port(
    interface: Interpreter, command: str, reply: str
) -> None:
    assert ask(interface, command) == reply


@pytest.mark.parametrize(
    ("command", "request_"),
    [
        ("LOGOFF", Logoff()),
        ("LOGON", Logon()),
        ("REAUTHENTICATE", Reauthenticate()),
        ("DISCONNECT", Disconnect()),
        ("RECONNECT", Reconnect()),
        ("REASSOCIATE", Reconnect()),
        ("TERMINATE", Terminate()),
        ("SET EAPOL::startPeriod 5", SetTimer(name=TimerName.START_PERIOD, value=5)),
        ("SET EAPOL::maxStart 2", SetTimer(name=TimerName.MAX_START, value=2)),
        ("SET EAPOL::portControl Auto", SetPortControl(control=PortControl.AUTO)),
    ],
)
def test_a_command_becomes_a_request(
    port: Port, interface: Interpreter, command: str, request_: Request
) -> None:
    assert ask(interface, command) == "OK\n"
    assert port.requests == [request_]


@pytest.mark.parametrize(
    "command",
    [
        "SET EAPOL::startPeriod soon",
        "SET EAPOL::nothing 5",
        "SET EAPOL::portControl Open",
        "SET ap_scan 1",
        "SET",
        "SET_NETWORK 1 identity \"x\"",
        "SET_NETWORK 0 eap SIM",
        "SET_NETWORK",
        "GET_NETWORK 0 anonymous_identity",
        "GET_NETWORK 7 identity",
        "DISABLE_NETWORK 3",
        "LOG_LEVEL LOUD",
        "CTRL-RSP-PIN-0:1234",
        "CTRL-RSP-PASSPHRASE-4:x",
        "CTRL-RSP-",
        "DETACH",
    ],
)  # fmt: skip
def test_what_makes_no_sense_fails_and_changes_nothing(
    port: Port, interface: Interpreter, command: str
) -> None:
    before = port.network
    assert ask(interface, command) == "FAIL\n"
    assert (port.requests, port.network) == ([], before)


def test_a_changed_network_is_used_when_it_is_complete(port: Port, interface: Interpreter) -> None:
    before = port.network
    assert ask(interface, 'SET_NETWORK 0 identity "gw-0002"') == "OK\n"
    assert ask(interface, 'SET_NETWORK 0 private_key_passwd "open sesame"') == "OK\n"
    assert port.network == before
    assert ask(interface, "GET_NETWORK 0 identity") == '"gw-0002"'
    assert ask(interface, "GET_NETWORK 0 private_key_passwd") == "*"
    assert ask(interface, "REASSOCIATE") == "OK\n"
    assert port.network == replace(
        before, identity=b"gw-0002", private_key_passwd=Secret(b"open sesame")
    )
    assert port.requests == []
    assert ask(interface, "REASSOCIATE") == "OK\n"
    assert port.requests == [Reconnect()]


def test_a_network_is_disabled_and_enabled(port: Port, interface: Interpreter) -> None:
    assert ask(interface, "DISABLE_NETWORK 0") == "OK\n"
    assert port.network.disabled
    assert "[DISABLED]" in ask(interface, "LIST_NETWORKS")
    assert ask(interface, "SELECT_NETWORK 0") == "OK\n"
    assert not port.network.disabled


def test_a_network_that_cannot_be_used_is_refused_and_the_log_says_why(
    port: Port, interface: Interpreter, caplog: pytest.LogCaptureFixture
) -> None:
    port.fault = CredentialError("/etc/key.pem: the file is missing; put it there")
    with caplog.at_level(logging.ERROR, "eapol"):
        assert ask(interface, "RECONFIGURE") == "FAIL\n"
        assert ask(interface, "ENABLE_NETWORK all") == "FAIL\n"
    assert caplog.text.count("/etc/key.pem: the file is missing; put it there") == 2


def test_a_passphrase_that_was_asked_for_is_handed_on(port: Port, interface: Interpreter) -> None:
    assert ask(interface, "CTRL-RSP-PASSPHRASE-0:open: sesame") == "OK\n"
    assert port.secrets == [Secret(b"open: sesame")]


def test_an_identity_that_was_asked_for_is_used(port: Port, interface: Interpreter) -> None:
    assert ask(interface, "CTRL-RSP-IDENTITY-0:gw-0003") == "OK\n"
    assert port.network.identity == b"gw-0003"


def test_the_log_level_is_shown_and_changed(interface: Interpreter) -> None:
    log = logging.getLogger("eapol")
    before = log.level
    try:
        assert ask(interface, "LOG_LEVEL WARNING") == "OK\n"
        assert ask(interface, "LOG_LEVEL") == "Current level: WARNING\nTimestamp: 0\n"
    finally:
        log.setLevel(before)


def test_listeners_get_events_of_their_level_until_they_detach(interface: Interpreter) -> None:
    listeners = interface.listeners
    assert ask(interface, "ATTACH", "/tmp/a") == "OK\n"
    assert ask(interface, "ATTACH", b"\0abstract") == "OK\n"
    assert listeners.of(Associated()) == ["/tmp/a", b"\0abstract"]
    assert ask(interface, "LEVEL 4", "/tmp/a") == "OK\n"
    assert listeners.of(Associated()) == [b"\0abstract"]
    assert listeners.of(Warned(text="x")) == ["/tmp/a", b"\0abstract"]
    assert ask(interface, "DETACH", b"\0abstract") == "OK\n"
    assert listeners.of(Associated()) == []


def test_an_event_begins_with_its_level_and_a_reply_never_does() -> None:
    assert datagram(EapSuccess()) == (
        b"<3>CTRL-EVENT-EAP-SUCCESS EAP authentication completed successfully"
    )


def test_a_listener_is_forgotten_when_it_is_gone_or_deaf_for_long() -> None:
    listeners = Listeners()
    listeners.attach("gone")
    listeners.missed("gone", gone=True)
    assert listeners.of(Associated()) == []
    listeners.attach("slow")
    for _ in range(PATIENCE):
        listeners.missed("slow", gone=False)
    listeners.told("slow")
    for _ in range(PATIENCE):
        listeners.missed("slow", gone=False)
    assert listeners.of(Associated()) == ["slow"]
    listeners.missed("slow", gone=False)
    assert listeners.of(Associated()) == []


def test_a_command_that_is_too_long_gets_no_reply(interface: Interpreter) -> None:
    assert interface.answer(b"x" * (LONGEST + 1), "a") is None


WORDS = st.sampled_from(["SET_NETWORK", "GET_NETWORK", "SET", "LEVEL", "LOG_LEVEL", "GET", "0"])
MORE_WORDS = st.sampled_from(["CTRL-RSP-", "STATUS", "identity", "phase1", "NOTE"]) | st.text()
SENTENCES = st.lists(WORDS | MORE_WORDS).map(lambda words: " ".join(words).encode(errors="ignore"))


@given(st.binary() | SENTENCES)
def test_any_command_gets_a_reply_that_no_client_takes_for_an_event(command: bytes) -> None:
    reply = Interpreter(Port(), lambda: None).answer(command, "a")
    assert reply is not None
    assert not reply.startswith((b"<", b"IFNAME="))


def test_a_wrong_passphrase_is_fail_with_the_reason_in_the_log(
    interface: Interpreter, port: Port, caplog: pytest.LogCaptureFixture
) -> None:
    port.fault = CredentialError("key.pem: cannot be decrypted\rERROR: \x1b[2J")
    assert ask(interface, "CTRL-RSP-PASSPHRASE-0:wrong") == "FAIL\n"
    assert (
        "control interface: CTRL-RSP-PASSPHRASE-0: key.pem: cannot be decrypted\\rERROR: \\x1b[2J"
    ) in caplog.text
    assert "wrong" not in caplog.text


@pytest.mark.parametrize("command", ["LOGOFF", "REAUTHENTICATE", "SET EAPOL::heldPeriod 5"])
def test_a_request_that_cannot_be_taken_is_fail(
    interface: Interpreter, port: Port, command: str
) -> None:
    port.fault = TooBusy("16 requests wait already")
    assert ask(interface, command) == "FAIL\n"


def test_only_so_many_listen(interface: Interpreter) -> None:
    for number in range(MOST):
        assert ask(interface, "ATTACH", f"/tmp/{number}") == "OK\n"
    assert ask(interface, "ATTACH", "/tmp/one-more") == "FAIL\n"
    assert ask(interface, "ATTACH", "/tmp/3") == "OK\n"
    assert ask(interface, "DETACH", "/tmp/3") == "OK\n"
    assert ask(interface, "ATTACH", "/tmp/one-more") == "OK\n"


def test_no_text_of_others_makes_lines_or_colours_for_a_listener() -> None:
    assert datagram(Warned("a\r\n<3>b\x1b[1m")) == b"<4>a\\r\\n<3>b\\x1b[1m"


def test_our_own_certificate_and_the_last_failure_are_in_status_verbose(
    interface: Interpreter, port: Port
) -> None:
    review = Review(faults=("client.pem: expired",), warnings=("client.pem: weak", "chain: soon"))
    port.now = replace(port.now, review=review, failure="refused")
    lines = ask(interface, "STATUS-VERBOSE").splitlines()
    at = lines.index("certificate_fault=client.pem: expired")
    assert lines[at + 1 : at + 4] == [
        "certificate_warning=client.pem: weak",
        "certificate_warning=chain: soon",
        "last_failure=refused",
    ]
    assert "certificate_" not in ask(interface, "STATUS")


def test_an_end_of_line_or_a_zero_behind_a_command_does_not_matter(
    interface: Interpreter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for end in ("", "\n", "\0", "\n\0"):
        assert ask(interface, f"PING{end}") == "PONG\n"
    assert ask(interface, "NOTE XX") == "OK\n"
    assert "note: 'XX'" in caplog.text


def test_octets_that_are_no_text_pass_through(interface: Interpreter, port: Port) -> None:
    assert interface.answer(b"CTRL-RSP-IDENTITY-0:g\xffw", "/tmp/client") == b"OK\n"
    assert port.network.identity == b"g\xffw"
    assert interface.answer(b"CTRL-RSP-PASSPHRASE-0:\xfe", "/tmp/client") == b"OK\n"
    assert port.secrets == [Secret(b"\xfe")]
    assert name_of(b"\xff\xfe secret") == "\ufffd\ufffd"
    assert name_of(b"CTRL-RSP-PASSPHRASE-0:secret") == "CTRL-RSP-PASSPHRASE-0"
