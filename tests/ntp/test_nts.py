"""NTS without a clock: in memory, with everything that can go wrong."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.ntp_memory import DATE, FLOOR, Network, entropy, honest, peer, server
from lab.ntp_nts import NtsServer
from ntp.errors import NotAuthentic, NtpError
from ntp.messages import KeysRefused, Outcome, Verdict
from ntp.nts import records, session
from ntp.nts.records import KeyExchangeFailed, Record, RecordType, understand
from ntp.nts.session import COOKIE_PLACEHOLDER, Material, Session, authenticator, unseal
from ntp.packet import HEADER_LENGTH, ExtensionField, Packet
from ntp.peer import Peer
from ntp.timestamp import SECOND
from ntp.turn import Policy
from wire.secret import Secret

HOST = "10.0.0.1"
HOUR = 3600 * SECOND


def nts_source(host: str = HOST) -> Peer:
    return peer(host, nts=True)


def run(nts: NtsServer, *, local: int = 0, trusted: bool = False) -> Outcome:
    network = Network({HOST: nts.respond}, local=local, keys=nts.exchange)
    return network.run([nts_source()], trusted=trusted)


def test_a_clock_at_1970_is_set_by_nts_with_the_certificate_verified_at_the_candidate() -> None:
    nts = NtsServer()
    outcome = run(nts)
    assert outcome.verdict is Verdict.AGREED
    assert outcome.authenticated
    assert abs(outcome.offset - DATE) < 1000
    assert abs(nts.exchanges[0].at - DATE) < SECOND


def test_no_keys_are_exchanged_for_a_candidate_below_the_floor() -> None:
    nts = NtsServer(server(FLOOR - HOUR))
    assert run(nts).verdict is Verdict.REFUSED
    assert not nts.exchanges


def test_two_plain_liars_do_not_keep_a_server_under_nts_from_being_heard() -> None:
    nts = NtsServer()
    lie = honest(server(DATE + HOUR))
    network = Network(
        {HOST: nts.respond, "10.0.0.2": lie, "10.0.0.3": lie}, keys=nts.exchange, local=0
    )
    outcome = network.run([nts_source(), peer("10.0.0.2"), peer("10.0.0.3")])
    assert outcome.authenticated
    assert abs(outcome.offset - DATE) < 1000


def test_a_plain_server_of_the_same_machine_is_said_to_agree() -> None:
    nts = NtsServer()
    network = Network({HOST: nts.respond, "10.0.0.2": honest(server())}, keys=nts.exchange)
    outcome = network.run([nts_source(), peer("10.0.0.2")])
    assert outcome.authenticated
    why = "its answer is not authenticated and does not count; it agrees"
    assert outcome.servers[1].why == why


def test_plain_answers_without_a_majority_are_no_candidate() -> None:
    nts, other = NtsServer(), NtsServer(server(DATE + HOUR))
    network = Network({HOST: nts.respond, "10.0.0.2": other.respond}, keys=nts.exchange)
    outcome = network.run([nts_source(), nts_source("10.0.0.2")])
    assert outcome.verdict is Verdict.NO_MAJORITY
    assert not nts.exchanges


def test_a_forged_candidate_is_found_out_by_the_authenticated_answer() -> None:
    nts = NtsServer(server(DATE + HOUR), secured=server(DATE))
    outcome = run(nts)
    assert outcome.verdict is Verdict.REFUSED
    assert "contradicts" in outcome.why


def test_plain_answers_never_set_a_clock_that_nts_should() -> None:
    nts = NtsServer()
    network = Network({HOST: nts.respond}, keys=nts.exchange, delay=1.5)  # too slow for both phases
    outcome = network.run([nts_source()], Policy(timeout=2.0, retry=4.0))
    assert outcome.verdict is Verdict.NO_ANSWER


def test_a_certificate_that_is_not_valid_at_the_candidate_is_a_refusal() -> None:
    nts = NtsServer()
    nts.refusal = KeysRefused(server=HOST, why="certificate has expired", untrusted=True)
    assert run(nts).verdict is Verdict.REFUSED


def test_a_key_exchange_that_cannot_be_reached_is_no_answer() -> None:
    nts = NtsServer()
    nts.refusal = KeysRefused(server=HOST, why="connection refused", untrusted=False)
    assert run(nts).verdict is Verdict.NO_ANSWER


def test_a_right_clock_needs_no_plain_answer() -> None:
    nts = NtsServer()
    network = Network({HOST: nts.respond}, keys=nts.exchange)
    outcome = network.run([nts_source()], trusted=True)
    assert outcome.authenticated
    assert len(network.sent) == 1
    assert len(network.sent[0].octets) > HEADER_LENGTH


def flipped(at: int) -> NtsServer:
    return NtsServer(bend=lambda octets: octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :])


@pytest.mark.parametrize("at", [1, 33, 60, 90, 110, 150, -1], ids=str)
def test_an_answer_changed_on_its_way_is_refused(at: int) -> None:
    nts = flipped(at % 212) if at >= 0 else flipped(200)
    assert run(nts).verdict is Verdict.REFUSED


def test_an_answer_stripped_of_its_authenticator_is_refused() -> None:
    assert run(NtsServer(bend=lambda octets: octets[: HEADER_LENGTH + 36])).verdict is (
        Verdict.REFUSED
    )
    assert run(NtsServer(bend=lambda octets: octets[:HEADER_LENGTH])).verdict is Verdict.REFUSED


def test_a_nak_leads_to_new_keys_once() -> None:
    nts = NtsServer(naks=1)
    asked = nts_source()
    network = Network({HOST: nts.respond}, keys=nts.exchange)
    assert network.run([asked]).verdict is Verdict.REFUSED  # its own new keys, not known to it
    assert network.run([asked]).verdict is Verdict.AGREED
    assert len(nts.exchanges) == 2


def test_a_nak_in_a_later_round_leads_to_new_keys_at_once() -> None:
    nts = NtsServer()
    asked = nts_source()
    network = Network({HOST: nts.respond}, keys=nts.exchange)
    assert network.run([asked]).verdict is Verdict.AGREED
    nts._naks = 1
    assert network.run([asked], trusted=True).verdict is Verdict.AGREED
    assert len(nts.exchanges) == 2


def test_a_nak_for_another_identifier_is_passed_over() -> None:
    nts = NtsServer(naks=99, identify=lambda identifier: bytes(len(identifier)))
    outcome = run(nts)
    assert outcome.verdict is Verdict.REFUSED
    assert "the reply's NTS identifier is that of another request" in outcome.why
    assert len(nts.exchanges) == 1


def test_no_cookie_is_used_twice_and_eight_are_kept() -> None:
    nts = NtsServer()
    asked = nts_source()
    network = Network({HOST: nts.respond}, keys=nts.exchange, loss=0.3)
    for _ in range(10):
        network.run([asked], Policy(samples=4, timeout=60.0), trusted=True)
    assert len(nts.used) > 40
    assert len(set(nts.used)) == len(nts.used)
    authentication = asked.on_wire.authentication
    assert isinstance(authentication, Session)
    assert len(authentication.cookies) <= 8


def test_placeholders_ask_for_the_cookies_that_were_lost() -> None:
    material = Material(
        host=HOST, port=123, c2s=Secret(bytes(32)), s2c=Secret(bytes(32)), cookies=(bytes(100),) * 5
    )
    sealed = Session(material, entropy()).seal(bytes(HEADER_LENGTH))
    fields = Packet.parse(b"\x23" + sealed.octets[1:]).extensions
    placeholders = [field for field in fields if field.field_type == COOKIE_PLACEHOLDER]
    assert len(placeholders) == 3  # with the one that every answer brings: eight again
    assert {len(field.value) for field in placeholders} == {100}  # as long as a cookie


@given(st.binary(max_size=200), st.binary(max_size=64))
def test_what_was_sealed_is_opened_and_nothing_else(packet: bytes, rest: bytes) -> None:
    key = Secret(bytes(range(32)))
    inner = bytes(ExtensionField(0x204, rest))
    field = authenticator(key, packet, inner, entropy())
    assert b"".join(map(bytes, unseal(key, packet, field))) == inner
    with pytest.raises(NotAuthentic):
        unseal(key, packet + b"\0", field)


@given(st.binary(max_size=200))
def test_arbitrary_authenticators_raise_only_our_own_error(octets: bytes) -> None:
    with pytest.raises(NotAuthentic):
        unseal(Secret(bytes(32)), b"", ExtensionField(0x404, octets))


records_of_all_kinds = st.builds(
    Record,
    record_type=st.integers(0, 0x7FFF).map(RecordType),
    body=st.binary(max_size=40),
    critical=st.booleans(),
)
GOOD = (
    Record(RecordType.NEXT_PROTOCOL, b"\0\0"),
    Record(RecordType.AEAD_ALGORITHM, b"\0\x0f"),
    Record(RecordType.NEW_COOKIE, bytes(100), critical=False),
)
END = Record(RecordType.END_OF_MESSAGE)


@given(st.lists(records_of_all_kinds.filter(lambda record: record.record_type != 0), max_size=6))
def test_records_survive_the_wire_with_types_that_nobody_knows(kept: list[Record]) -> None:
    octets = b"".join(map(bytes, [*kept, END]))
    assert records.parse(octets) == (*kept, END)
    for end in range(len(octets)):
        assert records.parse(octets[:end]) is None


@given(st.binary(max_size=400))
def test_arbitrary_octets_raise_only_our_own_errors(octets: bytes) -> None:
    with suppress(NtpError):
        message = records.parse(octets + bytes(END))
        if message is not None:
            records.understand(message)


def test_a_sound_response_is_understood() -> None:
    more = (Record(RecordType.SERVER, b"ntp.example"), Record(RecordType.PORT, b"\x04\xd2"))
    response = records.understand((*GOOD, *more, END))
    assert (response.host, response.port) == ("ntp.example", 1234)
    assert response.cookies == (bytes(100),)


@pytest.mark.parametrize(
    "broken",
    [
        GOOD[1:],
        (GOOD[0], GOOD[2]),
        GOOD[:2],
        (*GOOD, Record(RecordType.ERROR, b"\0\1")),
        (*GOOD, Record(RecordType.WARNING, b"\0\0")),
        (*GOOD, Record(RecordType(99), b"")),
        (*GOOD, GOOD[0]),
        (*GOOD, Record(RecordType.SERVER, b"a b")),
        (*GOOD, Record(RecordType.SERVER, b"\xff")),
        (*GOOD, Record(RecordType.PORT, b"\0\0")),
        (*GOOD, Record(RecordType.PORT, b"\1")),
        (GOOD[0], Record(RecordType.AEAD_ALGORITHM, b"\0\x10"), GOOD[2]),
    ],
)
def test_a_response_that_does_not_serve_us_is_refused(broken: tuple[Record, ...]) -> None:
    with pytest.raises(KeyExchangeFailed):
        records.understand((*broken, END))


def test_a_record_that_nobody_knows_and_that_is_not_critical_is_passed_over() -> None:
    unknown = Record(RecordType(99), b"x", critical=False)
    assert records.understand((*GOOD, unknown, END)) == records.understand((*GOOD, END))


def test_the_request_is_the_published_one() -> None:
    # RFC 8915, 4.1.2, 4.1.5 and 4.1.1: each critical; NTPv4 is 0, AES-SIV-CMAC-256 is 15
    assert records.request() == bytes.fromhex("80010002000080040002000f80000000")


def test_extension_fields_have_the_numbers_of_rfc_8915_7_5() -> None:
    assert [
        session.UNIQUE_IDENTIFIER,
        session.COOKIE,
        session.COOKIE_PLACEHOLDER,
        session.AUTHENTICATOR,
    ] == [0x0104, 0x0204, 0x0304, 0x0404]


NEXT = Record(RecordType.NEXT_PROTOCOL, b"\0\0", critical=True)
AEAD = Record(RecordType.AEAD_ALGORITHM, b"\0\x0f", critical=True)
COOKIE = Record(RecordType.NEW_COOKIE, b"cookie")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([AEAD, COOKIE], "it does not serve NTP version 4"),
        ([NEXT, COOKIE], "it does not support AEAD_AES_SIV_CMAC_256"),
        ([NEXT, AEAD], "it gives no cookies"),
        ([NEXT, AEAD, Record(RecordType.NEW_COOKIE, b"")], "it gives no cookies"),
        ([NEXT, NEXT, AEAD, COOKIE], "it sends the record NEXT_PROTOCOL twice"),
        ([Record(RecordType.WARNING, b"\0\0")], "it sent an unknown warning"),
        ([Record(RecordType.ERROR, b"\x77\0")], "it reports error 30464"),
        (
            [Record(RecordType(99), b"", critical=True)],
            "its record type 99 is critical and unknown",
        ),
    ],
)
def test_a_response_that_is_none_is_refused_with_its_reason(wrong: list[Record], why: str) -> None:
    assert understand([NEXT, AEAD, COOKIE, Record(RecordType(99), critical=False)]).cookies == (
        b"cookie",
    )
    with pytest.raises(KeyExchangeFailed) as refused:
        understand(wrong)
    assert str(refused.value) == why
