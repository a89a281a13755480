"""Whole authentications in memory: the supplicant, RADIUS, the server; what is said of failures."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eapol.eap import EapCode
from eapol.settings import TlsPolicy, TlsVersion
from eapol.tls import ClientContext, ServerContext
from lab.eapol_pair import NETWORK, credentials
from lab.pki import site
from lab.radius_pair import Office, server_value
from lab.radius_station import Testers, radius_server
from lab.virtual import Weather
from mgu.eapoltest.session import Outcome
from radius.numbers import AttributeType as A
from radius.numbers import Code
from radius.packet import Packet


def station(**more: object) -> Testers:
    return Testers(Office([radius_server()]), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [TlsVersion.TLS_1_2, TlsVersion.TLS_1_3])
def test_eap_tls_is_accepted_and_the_keys_agree(version: TlsVersion) -> None:
    result = station(network=replace(NETWORK, tls=TlsPolicy(max_version=version))).result()
    assert (result.outcome, result.keys, result.method) == (Outcome.ACCEPTED, True, "TLS")
    assert result.tls is not None
    assert result.tls.version == version.value
    assert len(result.certificates) == 2


def test_the_state_goes_back_and_the_user_name_goes_along() -> None:
    here = station(attributes=((A.NAS_PORT, b"\0\0\0\1"),))
    here.result()
    requests = [Packet.parse(octets) for *_, octets in here.office.sent]
    assert all(packet.first(A.USER_NAME) == NETWORK.identity for packet in requests)
    assert all(packet.first(A.NAS_PORT) == b"\0\0\0\1" for packet in requests)
    states = [packet.first(A.STATE) for packet in requests]
    assert states == [None, *(n.to_bytes(8, "big") for n in range(1, len(states)))]


def test_an_eap_packet_longer_than_an_attribute_goes_in_several_that_stand_together() -> None:
    here = station()
    here.result()
    packets = [Packet.parse(octets) for *_, octets in here.office.sent]
    longest = max(packets, key=lambda packet: len(packet.octets))
    kinds = [kind for kind, _ in longest.attributes]
    parts = kinds.count(A.EAP_MESSAGE)
    assert parts >= 5
    first = kinds.index(A.EAP_MESSAGE)
    assert kinds[first : first + parts] == [A.EAP_MESSAGE] * parts


def test_sessions_are_resumed() -> None:
    here_pki = site()
    own = credentials(here_pki.client, here_pki.root.certificate_pem())
    policy = TlsPolicy(max_version=TlsVersion.TLS_1_2, session_ticket=True)
    server = radius_server()
    server.tls = ServerContext(
        TlsPolicy(max_version=TlsVersion.TLS_1_2),
        credentials(here_pki.server, here_pki.root.certificate_pem(), "server"),
    )
    here = Testers(
        Office([server]), network=replace(NETWORK, tls=policy), tls=ClientContext(policy, own)
    )
    seen = [here.result() for _ in range(3)]
    assert [each.outcome for each in seen] == [Outcome.ACCEPTED] * 3
    assert [each.tls.resumed for each in seen if each.tls is not None] == [False, True, True]
    assert [each.keys for each in seen] == [True] * 3


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 16))
def test_a_bad_line_costs_time_only(seed: int) -> None:
    weather = Weather(loss=0.05, duplication=0.3, delay=0.02, jitter=0.1)
    here = Testers(Office([radius_server()], weather=weather, seed=seed), timeout=300.0)
    assert here.result(within=300.0).outcome is Outcome.ACCEPTED


def test_three_hundred_at_once_are_all_accepted() -> None:
    here = station(sessions=300)
    for number in range(300):
        here.begin(number)
    assert here.office.lab.run(lambda: len(here.results) == 300, 60.0)
    assert all(each.outcome is Outcome.ACCEPTED for each in here.results.values())
    assert len(here.office.ports) == 2


# Failures, each with its cause in one sentence


def test_a_rejection_comes_with_the_servers_words() -> None:
    server = radius_server(refuse=frozenset({NETWORK.identity}), words="no \x1bcontract")
    result = Testers(Office([server])).result()
    assert result.outcome is Outcome.REJECTED
    assert r'says "no \x1bcontract"' in result.reason
    assert result.message == r"no \x1bcontract"
    assert station().result().message == ""
    assert "is the identity known to the server" in result.reason


def test_a_rogue_server_is_not_believed() -> None:
    other = site(name="Other Root")
    own = credentials(site().client, other.root.certificate_pem())
    result = station(tls=ClientContext(NETWORK.tls, own)).result()
    assert result.outcome is Outcome.REJECTED
    assert "self-signed certificate in certificate chain" in result.reason


def test_a_silent_server() -> None:
    result = Testers(Office([radius_server(silent=True)]), timeout=5.0).result()
    assert result.outcome is Outcome.NO_ANSWER
    assert result.reason.startswith("no answer from 192.0.2.1:1812/UDP within 5 s")
    assert result.seconds == pytest.approx(5.0)


def test_a_server_with_another_secret_is_silent() -> None:
    office = Office([radius_server()], values=[server_value(secret=b"other")])
    result = Testers(office, timeout=5.0).result()
    assert result.outcome is Outcome.NO_ANSWER
    assert "is the secret the same" in result.reason


def test_keys_of_something_else_are_wrong_keys() -> None:
    result = Testers(Office([radius_server(wrong_keys=True)])).result()
    assert (result.outcome, result.keys) == (Outcome.WRONG_KEYS, False)
    assert "not the halves of our MSK" in result.reason


def test_missing_keys_are_wrong_unless_none_are_expected() -> None:
    office = Office([radius_server(keys=False)])
    assert Testers(office).result().outcome is Outcome.WRONG_KEYS
    result = Testers(Office([radius_server(keys=False)]), keys_expected=False).result()
    assert (result.outcome, result.keys) == (Outcome.ACCEPTED, None)


def test_wrong_keys_are_wrong_even_where_none_are_expected() -> None:
    office = Office([radius_server(wrong_keys=True)])
    assert Testers(office, keys_expected=False).result().outcome is Outcome.WRONG_KEYS


VLAN = {"Tunnel-Private-Group-ID:1": "42"}


def test_an_expected_attribute_is_found() -> None:
    here = Testers(Office([radius_server(reply=VLAN)]), expect=(("tunnel-private-group-id", "42"),))
    result = here.result()
    assert result.outcome is Outcome.ACCEPTED
    assert ("Tunnel-Private-Group-ID", "42") in result.attributes


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Tunnel-Private-Group-ID", "but it has Tunnel-Private-Group-ID=42"),
        ("Filter-Id", "but it has no Filter-Id"),
    ],
)
def test_an_unexpected_attribute_is_named(name: str, reason: str) -> None:
    here = Testers(Office([radius_server(reply=VLAN)]), expect=((name, "7"),))
    result = here.result()
    assert result.outcome is Outcome.UNEXPECTED
    assert reason in result.reason


# Liars


def lying(wanted: Code, *, instead_of: Code) -> Testers:
    """A server, with the secret, that says what it does not mean."""

    def lie(code: Code, message: bytes) -> tuple[Code, bytes]:
        if code != instead_of:
            return code, message
        return wanted, bytes((EapCode.SUCCESS, message[1], 0, 4))

    return Testers(Office([radius_server(lie=lie)]))


def test_an_access_reject_with_eap_success_lets_nobody_in() -> None:
    result = lying(Code.ACCESS_REJECT, instead_of=Code.ACCESS_ACCEPT).result()
    assert result.outcome is Outcome.REJECTED
    assert result.keys is None


def test_an_access_challenge_with_eap_success_lets_nobody_in() -> None:
    result = lying(Code.ACCESS_CHALLENGE, instead_of=Code.ACCESS_ACCEPT).result()
    assert result.outcome is Outcome.NOT_ACCEPTED_BY_US
    assert "Access-Challenge without an EAP request" in result.reason


def test_an_acceptance_in_the_middle_is_not_accepted_by_us() -> None:
    result = lying(Code.ACCESS_ACCEPT, instead_of=Code.ACCESS_CHALLENGE).result()
    assert result.outcome is Outcome.NOT_ACCEPTED_BY_US
    assert "we do not accept" in result.reason


def test_failures_in_a_row_do_not_end_a_station() -> None:
    server = radius_server(silent=True)
    here = Testers(Office([server]), timeout=1.0)
    assert all("no answer" in here.result().reason for _ in range(30))
    server.silent = False
    assert here.result().outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("lie", [Code.ACCESS_ACCEPT, Code.ACCESS_REJECT])
def test_after_a_contradiction_the_next_authentication_is_as_good_as_the_first(lie: Code) -> None:
    here = lying(lie, instead_of=Code.ACCESS_CHALLENGE)
    assert here.result().outcome is not Outcome.ACCEPTED
    here.office.servers[0].lie = lambda code, message: (code, message)
    assert here.result().outcome is Outcome.ACCEPTED
