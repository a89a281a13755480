"""A switch's port with RADIUS behind it: the figures of 802.1X-2004, 8.2.4 to 8.2.9, at work."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eapol.authenticator import AuthenticatorSettings, PortState, ServerReplied, ServerVerdict
from eapol.authenticator.server import Answer, ServerAsked
from eapol.eap import EapCode, EapType, request
from eapol.events import LinkChanged, Logoff, SetPortControl
from eapol.status import PortControl
from eapol.tls import ClientContext
from lab.eapol_pair import NETWORK, credentials
from lab.pki import site
from lab.radius_pair import Office
from lab.radius_port import Port
from lab.radius_server import RadiusServer
from lab.radius_station import radius_server
from lab.virtual import Weather
from mgu.switch import PortConversation, parser
from radius.events import Answered
from radius.numbers import AttributeType as A
from radius.numbers import Code
from radius.packet import Packet

VLAN = {"Tunnel-Type:1": "VLAN", "Tunnel-Private-Group-ID:1": "42"}


def port(
    *servers: RadiusServer, settings: AuthenticatorSettings | None = None, **more: object
) -> Port:
    return Port(Office(servers or [radius_server()], **more), settings)  # type: ignore[arg-type]


def opened(*servers: RadiusServer, settings: AuthenticatorSettings | None = None) -> Port:
    here = port(*servers, settings=settings)
    here.plug_in()
    assert here.opens()
    return here


def test_radius_opens_the_port_and_both_ends_have_the_same_msk() -> None:
    here = opened(radius_server(reply=VLAN))
    assert here.lab.run(lambda: bool(here.supplicant_keys), 1.0)
    assert here.switch.state is PortState.AUTHENTICATED
    assert here.switch.identity == NETWORK.identity
    assert here.opened[0].msk == here.supplicant_keys[0].msk
    assert ("Tunnel-Private-Group-ID", "42") in here.switch.attributes


def test_a_port_says_of_itself_what_rfc_3580_wants() -> None:
    here = opened()
    request = Packet.parse(here.office.sent[0][3])
    assert request.first(A.USER_NAME) == NETWORK.identity
    assert request.first(A.NAS_PORT_TYPE) == b"\0\0\0\x0f"
    assert request.first(A.NAS_PORT_ID) == b"port1"
    assert request.first(A.NAS_IP_ADDRESS) == bytes([192, 0, 2, 99])


def test_a_rejection_holds_the_port_for_the_quiet_period_and_says_why() -> None:
    server = radius_server(refuse=frozenset({NETWORK.identity}), words="not here")
    here = port(server, settings=AuthenticatorSettings(quietPeriod=5.0))
    here.plug_in()
    assert here.lab.run(lambda: here.switch.state is PortState.HELD, 5.0)
    assert here.told == ['the server sent Access-Reject: "not here"']
    server.refuse = frozenset()
    assert here.opens(within=70.0)


def test_a_silent_server_is_said_and_the_port_tries_again() -> None:
    server = radius_server(silent=True)
    here = port(server)
    here.plug_in()
    assert not here.opens(within=40.0)
    assert any("the authentication server did not answer within 30 s" in t for t in here.told)
    server.silent = False
    assert here.opens(within=120.0)


def test_the_next_server_is_asked_where_the_first_is_silent() -> None:
    here = port(radius_server(silent=True), radius_server())
    here.plug_in()
    assert here.opens(within=30.0)


def test_a_supplicant_that_falls_silent_in_the_middle_is_given_up() -> None:
    here = port()
    here.plug_in()
    assert here.lab.run(lambda: len(here.office.answers) >= 2, 5.0)
    here.deaf = True
    here.lab.run(lambda: False, 60.0)
    assert "the supplicant stopped answering" in here.told
    here.deaf = False
    assert here.opens(within=60.0)


def test_a_reauthentication_keeps_the_port_open_and_brings_new_keys() -> None:
    here = opened(settings=AuthenticatorSettings(reAuthPeriod=10.0))
    assert here.lab.run(lambda: len(here.opened) == 3, 25.0)
    assert not here.closes(within=5.0)
    assert here.opened[1].msk != here.opened[0].msk


def test_a_session_that_the_server_limits_ends() -> None:
    here = opened(radius_server(reply={"Session-Timeout": 7}))
    begun = here.lab.now
    assert here.closes(within=20.0)
    assert here.lab.now - begun == pytest.approx(7.0, abs=0.1)
    assert here.opens()


@pytest.mark.parametrize("action", [{}, {"Termination-Action": "RADIUS-Request"}])
def test_a_session_of_no_time_ends_or_begins_again_after_a_second(
    action: dict[str, object],
) -> None:
    here = opened(radius_server(reply={"Session-Timeout": 0, **action}))
    before = len(here.office.sent)
    here.lab.run(lambda: False, 10.0)
    again = len(here.office.sent) - before
    assert 1 <= again / before <= 12


@pytest.mark.parametrize("size", [0, 3, 5, 253])
def test_a_session_timeout_that_is_no_integer_is_none(size: int) -> None:
    packet = Packet(
        Code.ACCESS_ACCEPT, 1, bytes(16), ((A.SESSION_TIMEOUT, b"\xff" * size),), bytes(20)
    )
    assert packet.integer(A.SESSION_TIMEOUT) is None


def test_a_session_that_the_server_wants_authenticated_again_stays_open() -> None:
    reply = {"Session-Timeout": 7, "Termination-Action": "RADIUS-Request"}
    here = opened(radius_server(reply=reply))
    assert here.lab.run(lambda: len(here.opened) == 3, 20.0)
    assert not here.closes(within=5.0)


def test_a_logoff_and_a_pulled_plug_close_the_port() -> None:
    here = opened()
    here.lab.give(here.station, Logoff())
    assert here.closes(within=1.0)
    here = opened()
    here.lab.give(here.port, LinkChanged(up=False))
    assert not here.switch.authorized


def test_a_start_in_the_middle_begins_anew_and_the_late_answer_counts_for_nothing() -> None:
    here = port()
    here.plug_in()
    assert here.lab.run(lambda: len(here.office.answers) >= 3, 5.0)
    here.start()
    assert here.opens()
    assert len(here.opened) == 1


def test_a_forced_port_is_as_told() -> None:
    here = port()
    here.plug_in()
    here.lab.give(here.port, SetPortControl(control=PortControl.FORCE_AUTHORIZED))
    assert here.switch.authorized
    here.lab.give(here.port, SetPortControl(control=PortControl.FORCE_UNAUTHORIZED))
    assert not here.switch.authorized
    here.lab.give(here.port, SetPortControl(control=PortControl.AUTO))
    assert here.opens(within=70.0)
    assert here.opened[-1].msk is not None


def test_a_rogue_server_is_refused_by_the_supplicant_and_the_port_stays_closed() -> None:
    own = credentials(site().client, site(name="Other Root").root.certificate_pem())
    here = Port(Office([radius_server()]), None, ClientContext(NETWORK.tls, own))
    here.plug_in()
    assert here.lab.run(lambda: here.switch.state is PortState.HELD, 5.0)
    assert not here.opened


# Liars


@pytest.mark.parametrize(
    ("wanted", "instead_of", "eap_code"),
    [
        (Code.ACCESS_ACCEPT, Code.ACCESS_ACCEPT, EapCode.FAILURE),
        (Code.ACCESS_REJECT, Code.ACCESS_ACCEPT, EapCode.SUCCESS),
        (Code.ACCESS_CHALLENGE, Code.ACCESS_ACCEPT, EapCode.SUCCESS),
    ],
)
def test_a_server_that_contradicts_itself_lets_nobody_in(
    wanted: Code, instead_of: Code, eap_code: EapCode
) -> None:
    def lie(code: Code, message: bytes) -> tuple[Code, bytes]:
        return (wanted, bytes((eap_code, *message[1:]))) if code == instead_of else (code, message)

    here = port(radius_server(lie=lie))
    here.plug_in()
    assert not here.opens(within=50.0)
    assert here.told


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 16))
def test_over_bad_lines_the_port_opens(seed: int) -> None:
    weather = Weather(loss=0.05, duplication=0.2, delay=0.02, jitter=0.1)
    here = port(weather=weather, seed=seed)
    here.plug_in()
    assert here.opens(within=300.0)


answers = st.builds(
    Answer,
    verdict=st.sampled_from([v for v in ServerVerdict if v is not ServerVerdict.SUCCESS]),
    eap=st.binary(max_size=20),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), answers), max_size=12))
def test_nothing_but_a_success_of_the_server_opens_a_port(
    said: list[tuple[int, Answer]],
) -> None:
    here = port(radius_server(silent=True))
    here.plug_in()
    for number, answer in said:
        here.lab.give(here.port, ServerReplied(ask=number, answer=answer))
        here.lab.run(lambda: False, 1.0)
    assert not here.switch.authorized
    late = replace(said[0][1], verdict=ServerVerdict.SUCCESS) if said else None
    if late is not None:
        here.lab.give(here.port, ServerReplied(ask=99, answer=late))
        assert not here.switch.authorized


def test_what_is_no_eap_message_lets_nobody_in_and_is_named() -> None:
    conversation = PortConversation([], ())
    eap = bytes(request(1, EapType.IDENTITY))
    conversation.request(ServerAsked(ask=1, eap=eap, identity=b"me", first=True))
    message = bytes((A.EAP_MESSAGE, 5, 1, 1, 0))  # EAP is 4 octets at least
    head = bytes((Code.ACCESS_CHALLENGE, 1)) + (20 + len(message)).to_bytes(2, "big")
    packet = Packet.parse(head + bytes(16) + message)
    found = Answered(ask=1, server=0, packet=packet, authenticator=bytes(16))
    answer = conversation.answer(1, found)
    assert answer.verdict is ServerVerdict.FAIL
    assert answer.reason.startswith("the server's EAP-Message: ")


def test_the_state_of_an_earlier_conversation_never_gets_into_this_one() -> None:
    conversation = PortConversation([], ())
    eap = bytes(request(1, EapType.IDENTITY))
    for ask in (1, 2):
        conversation.request(ServerAsked(ask=ask, eap=eap, identity=b"me", first=True))
    message = bytes((A.EAP_MESSAGE, 2 + len(eap))) + eap
    for ask, state in ((2, b"ours"), (1, b"late")):
        held = message + bytes((A.STATE, 2 + len(state))) + state
        head = bytes((Code.ACCESS_CHALLENGE, 1)) + (20 + len(held)).to_bytes(2, "big")
        packet = Packet.parse(head + bytes(16) + held)
        found = Answered(ask=ask, server=ask, packet=packet, authenticator=bytes(16))
        conversation.answer(ask, found)
    sent = conversation.request(ServerAsked(ask=3, eap=eap, identity=b"me", first=False))
    assert dict(sent)[A.STATE] == b"ours"
    assert conversation.server == 2


def test_without_options_the_port_is_of_a_server_on_port_1812_and_never_asks_again() -> None:
    words = ["-i", "sw0", "--radius", "192.0.2.5", "--secret-file", "secret"]
    options = vars(parser().parse_args(words))
    assert (options["port"], options["reauth"], options["radius"]) == (1812, None, ["192.0.2.5"])
    assert (options["own_address"], options["nas_identifier"]) == ("127.0.0.1", "mgu-switch")


@pytest.mark.parametrize("missing", ["-i", "--radius", "--secret-file"])
def test_interface_server_and_secret_have_to_be_named(
    missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"-i": "sw0", "--radius": "192.0.2.5", "--secret-file": "secret"}
    del words[missing]
    with pytest.raises(SystemExit) as exit_:
        parser().parse_args([word for pair in words.items() for word in pair])
    assert exit_.value.code == 2
    assert missing in capsys.readouterr().err
