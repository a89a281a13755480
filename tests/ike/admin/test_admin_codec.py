"""racoon's admin protocol: sizes of its C structures, round trips, and hostile octets."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.admin.errors import AdminError
from ike.admin.framing import (
    HEADER,
    Command,
    Reply,
    Request,
    Subject,
    reply_length,
    request_length,
)
from ike.admin.records import (
    Credentials,
    Endpoint,
    EventRecord,
    EventType,
    Index,
    IsakmpSaRecord,
    Phase1Status,
    ScheduleRecord,
    Side,
    isakmp_sas,
    schedule,
)
from ike.admin.show import event_line, isakmp_table
from ike.values import Phase1State
from wire.secret import Secret

PORTS = st.integers(0, 65535)
ADDRESSES = st.ip_addresses()
ENDPOINTS = st.builds(Endpoint, ADDRESSES, PORTS) | st.just(Endpoint(None))
U8 = st.integers(0, 255)
TIMES = st.integers(-(1 << 62), 1 << 62)
COMMANDS = st.integers(0, 0x7FFF).map(Command)

INDEXES = st.builds(Index, src=ENDPOINTS, dst=ENDPOINTS, src_prefix=U8, dst_prefix=U8, protocol=U8)
ISAKMP_SAS = st.builds(
    IsakmpSaRecord,
    cookies=st.binary(min_size=16, max_size=16),
    status=st.integers(0, 0x7FFFFFFF).map(Phase1Status),
    side=st.integers(0, 0x7FFFFFFF).map(Side),
    remote=ENDPOINTS,
    local=ENDPOINTS,
    version=U8,
    exchange=U8,
    created=TIMES,
    phase2_count=st.integers(0, 0x7FFFFFFF),
)
EVENTS = st.builds(
    EventRecord,
    type=st.integers(0, 0xFFFFFFFF).map(EventType),
    when=TIMES,
    src=ENDPOINTS,
    dst=ENDPOINTS,
    message_id=st.integers(0, 0xFFFFFFFF),
    attributes=st.binary(max_size=32),
)


def test_the_structures_have_the_sizes_of_racoons_on_x86_64() -> None:
    nobody = Endpoint(None)
    sa = IsakmpSaRecord(
        cookies=bytes(16),
        status=Phase1Status.ESTABLISHED,
        side=Side.INITIATOR,
        remote=nobody,
        local=nobody,
        exchange=2,
        created=0,
        phase2_count=0,
    )
    event = EventRecord(type=EventType.QUIT, when=0, src=nobody, dst=nobody)
    timer = ScheduleRecord(due=0, number=0, created=0, tick=0)
    credentials = Credentials(id_type=0, identity=b"", password=Secret(b""))
    assert len(bytes(Index(src=nobody, dst=nobody))) == 264
    assert len(bytes(sa)) == 304
    assert len(bytes(event)) == 280
    assert len(bytes(timer)) == 32
    assert len(bytes(credentials)) == 24 + 2


def test_racoonctls_own_request_for_isakmp_sas_is_understood() -> None:
    octets = bytes.fromhex("0800 0181 0100 ff01")  # little-endian, as racoonctl 0.9.1 sends it
    assert Request.parse(octets) == Request(command=Command.SHOW_SA, subject=Subject.ISAKMP)


@given(COMMANDS, st.integers(0, 0xFFFF), st.binary(max_size=300), st.integers(1, 0xFFFF))
def test_a_request_survives_the_socket(
    command: Command, subject: int, body: bytes, version: int
) -> None:
    request = Request(command=command, subject=subject, body=body, version=version)
    octets = bytes(request)
    assert request_length(octets[: HEADER.size]) == len(octets)
    assert Request.parse(octets) == request


def test_a_request_of_before_there_were_versions_has_none() -> None:
    """Bit 0x8000 of the command says that a version follows."""
    octets = bytes.fromhex("0800 0101 0000 ff01")
    request = Request(command=Command.SHOW_SA, subject=Subject.ISAKMP, version=0)
    assert bytes(request) == octets
    assert Request.parse(octets) == request


def test_a_request_that_no_length_can_say_is_refused() -> None:
    longest = Request(command=Command.SHOW_SA, body=bytes(0xFFFF - HEADER.size))
    assert Request.parse(bytes(longest)) == longest
    with pytest.raises(AdminError, match="65536 octets"):
        bytes(Request(command=Command.SHOW_SA, body=bytes(0x10000 - HEADER.size)))


def test_a_reply_without_a_body_is_its_header() -> None:
    assert bytes(Reply(command=Command.FLUSH_SA)) == bytes.fromhex("0800 0201 0000 0000")


def test_the_numbers_of_phase_1s_states_are_racoons() -> None:
    assert [state.name for state in Phase1Status] == [
        "SPAWN",
        "START",
        "MESSAGE_1_RECEIVED",
        "MESSAGE_1_SENT",
        "MESSAGE_2_RECEIVED",
        "MESSAGE_2_SENT",
        "MESSAGE_3_RECEIVED",
        "MESSAGE_3_SENT",
        "MESSAGE_4_RECEIVED",
        "ESTABLISHED",
        "DYING",
        "EXPIRED",
    ]
    assert [int(state) for state in Phase1Status] == list(range(12))
    assert [int(state) for state in Phase1State] == list(range(12))


def test_an_event_without_a_name_is_shown_by_its_number_and_nobody_as_anonymous() -> None:
    nobody = Endpoint(None)
    event = EventRecord(type=EventType(0x0777), when=0, src=nobody, dst=Endpoint(None))
    assert event_line(event) == "event 0x0777 : anonymous -> anonymous"
    record = IsakmpSaRecord(
        cookies=bytes(16),
        status=Phase1Status.START,
        side=Side.RESPONDER,
        remote=nobody,
        local=nobody,
        exchange=9,
        created=0,
        phase2_count=0,
    )
    assert isakmp_table([record], 1).splitlines()[1].startswith("anonymous.0            0000")
    assert isakmp_table([record], 1).splitlines()[1].split()[2:6] == ["1", "R", "10", "?"]
    letters = {2: "M", 4: "A", 1: "B"}
    for exchange, letter in letters.items():
        row = isakmp_table([replace(record, exchange=exchange)], 1).splitlines()[1]
        assert row.split()[5] == letter


@pytest.mark.parametrize(
    ("decode", "what"),
    [
        (EventRecord.parse, "event"),
        (Index.parse, "address pair"),
        (Credentials.parse, "identity and password"),
        (isakmp_sas, "list of ISAKMP SAs"),
        (Request.parse, "request"),
        (Reply.parse, "reply"),
    ],
)
def test_octets_that_end_early_are_named_as_what_they_should_be(
    decode: Callable[[bytes], object], what: str
) -> None:
    with pytest.raises(AdminError, match=rf"\b{what}\b"):
        decode(b"\x01\x00")


@given(COMMANDS, st.integers(0, 0xFFFF), st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_a_reply_survives_the_socket(
    command: Command, subject: int, body: bytes, errno: int
) -> None:
    reply = Reply(command=command, subject=subject, body=body, errno=errno)
    assert reply_length(bytes(reply)[: HEADER.size]) == len(bytes(reply))
    assert Reply.parse(bytes(reply)) == reply


@pytest.mark.parametrize("size", [65527, 65528, 200_000])
def test_a_long_reply_spells_its_length_in_two_halves(size: int) -> None:
    reply = Reply(command=Command.SHOW_SA, subject=Subject.IPSEC, body=b"x" * size)
    octets = bytes(reply)
    assert reply_length(octets) == size + HEADER.size
    assert Reply.parse(octets) == reply


@given(INDEXES, st.binary(max_size=40))
def test_an_address_pair_and_what_follows_it_survive(index: Index, rest: bytes) -> None:
    assert Index.parse(bytes(index) + rest) == (index, rest)


@given(st.lists(ISAKMP_SAS, max_size=4))
def test_isakmp_sas_survive_with_numbers_that_have_no_name(sas: list[IsakmpSaRecord]) -> None:
    assert isakmp_sas(b"".join(map(bytes, sas))) == sas


@given(EVENTS)
def test_an_event_survives(event: EventRecord) -> None:
    assert EventRecord.parse(bytes(event)) == event


@given(st.lists(st.builds(ScheduleRecord, due=TIMES, number=TIMES, created=TIMES, tick=TIMES)))
def test_a_schedule_survives(timers: list[ScheduleRecord]) -> None:
    assert schedule(b"".join(map(bytes, timers))) == timers


def test_identity_and_password_survive_and_the_password_stays_hidden() -> None:
    credentials = Credentials(id_type=2, identity=b"joe", password=Secret(b"hunter2"))
    assert Credentials.parse(bytes(credentials)) == credentials
    assert "hunter2" not in repr(credentials)


@pytest.mark.parametrize(
    "decode",
    [
        Request.parse,
        Reply.parse,
        Index.parse,
        isakmp_sas,
        schedule,
        EventRecord.parse,
        Credentials.parse,
    ],
)
@given(data=st.binary(max_size=700))
def test_hostile_octets_raise_only_admin_errors(decode: object, data: bytes) -> None:
    assert callable(decode)
    try:
        decode(data)
    except AdminError as error:
        assert str(error)


def test_an_endpoint_prints_as_racoon_writes_it() -> None:
    assert str(Endpoint(IPv4Address("10.99.0.1"), 500)) == "10.99.0.1[500]"
    assert str(Endpoint(IPv6Address("fe80::1"), 4500)) == "fe80::1[4500]"
