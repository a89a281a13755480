"""The ISAKMP codec (RFC 2408, 3): known values round-trip, unknown numbers survive, and scapy
lays the same messages out in the same way.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.errors import (
    DoiNotSupported,
    InvalidFlags,
    InvalidMajorVersion,
    InvalidMinorVersion,
    PayloadMalformed,
    SituationNotSupported,
    UnequalPayloadLengths,
)
from ike.isakmp.attributes import Attribute, numeric, pack_attributes, parse_attributes
from ike.isakmp.header import Header
from ike.isakmp.message import MAX_PAYLOADS, Message, Payload, parse_chain
from ike.isakmp.payloads import (
    MAX_TRANSFORMS,
    Certificate,
    Delete,
    Fragment,
    Identification,
    Notification,
    OriginalAddress,
    Proposal,
    SaBody,
    Transform,
)
from ike.numbers.isakmp import ExchangeType, Flags, NotifyType, PayloadType, ProtocolId
from lab.scapy_isakmp import scapy_message
from wire.cursor import Cursor

cookies = st.binary(min_size=8, max_size=8).filter(any)
bodies = st.binary(max_size=60)
payload_types = st.integers(1, 255).map(PayloadType)
attribute_list = st.lists(
    st.builds(
        Attribute,
        st.integers(0, 0x7FFF),
        st.one_of(st.integers(0, 0xFFFF), st.binary(max_size=12)),
    ),
    max_size=6,
).map(tuple)
transforms = st.builds(Transform, st.integers(0, 255), st.integers(0, 255), attribute_list)
proposals = st.builds(
    Proposal,
    st.integers(0, 255),
    st.integers(0, 255).map(ProtocolId),
    st.binary(max_size=16),
    st.lists(transforms, min_size=1, max_size=5).map(tuple),
)
messages = st.builds(
    Message,
    initiator_cookie=cookies,
    responder_cookie=st.binary(min_size=8, max_size=8),
    exchange=st.integers(0, 255).map(ExchangeType),
    payloads=st.lists(st.builds(Payload, payload_types, bodies), max_size=8).map(tuple),
    message_id=st.integers(0, 0xFFFFFFFF),
    commit=st.booleans(),
    authentication_only=st.booleans(),
)


@given(messages)
def test_a_message_survives_the_wire(message: Message) -> None:
    octets = bytes(message)
    header = Header.parse(octets)
    assert bytes(header) == octets[:28]
    assert Message.parse(header, octets) == message


@given(attribute_list)
def test_attributes_keep_their_form(attributes: tuple[Attribute, ...]) -> None:
    assert parse_attributes(Cursor(pack_attributes(attributes))) == attributes


@given(st.lists(proposals, min_size=1, max_size=4).map(tuple))
def test_proposals_survive_the_wire(found: tuple[Proposal, ...]) -> None:
    sa = SaBody(found)
    assert SaBody.parse(bytes(sa)) == sa


@given(
    st.one_of(
        st.builds(Certificate, st.integers(0, 255), bodies),
        st.builds(
            Notification,
            st.integers(0, 0xFFFF).map(NotifyType),
            st.integers(0, 255).map(ProtocolId),
            st.binary(max_size=16),
            bodies,
            st.integers(0, 0xFFFFFFFF),
        ),
        st.builds(
            Delete,
            st.integers(0, 255).map(ProtocolId),
            st.integers(1, 16).flatmap(
                lambda size: st.lists(
                    st.binary(min_size=size, max_size=size), min_size=1, max_size=5
                ).map(tuple)
            ),
        ),
        st.builds(OriginalAddress, st.ip_addresses()),
        st.builds(
            Fragment,
            st.integers(0, 0xFFFF),
            st.integers(1, 255),
            st.booleans(),
            st.binary(min_size=1, max_size=60),
        ),
    )
)
def test_bodies_survive_the_wire(
    body: Certificate | Notification | Delete | OriginalAddress | Fragment,
) -> None:
    assert type(body).parse(bytes(body)) == body


def test_an_identification_survives_the_wire_with_an_unknown_type() -> None:
    body = bytes([99, 17, 0x01, 0xF4]) + b"who"
    identity = Identification.parse(body)
    assert (identity.type, identity.protocol, identity.port) == (99, 17, 500)
    assert bytes(identity) == body
    assert str(identity.type) == "99"


def test_a_number_takes_two_octets_if_it_fits_and_four_if_not() -> None:
    assert bytes(numeric(12, 28800)) == bytes.fromhex("800c7080")
    assert bytes(numeric(12, 86400)) == bytes.fromhex("000c000400015180")
    assert parse_attributes(Cursor(bytes.fromhex("000c000400015180")))[0].number == 86400


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, 7), (b"", None), (b"\1", 1), (b"\1\0", 256), (bytes(7) + b"\2", 2), (bytes(9), None)],
)
def test_an_attribute_of_one_to_eight_octets_is_a_number(
    value: int | bytes, number: int | None
) -> None:
    assert Attribute(1, value).number == number


def test_a_notification_is_about_isakmp_and_holds_nothing_unless_it_is_said() -> None:
    assert bytes(Notification(NotifyType.CONNECTED)) == bytes.fromhex("0000000101004000")


def test_main_modes_first_message_is_laid_out_as_scapy_does() -> None:
    suite = (
        numeric(1, 7),
        numeric(14, 128),
        numeric(2, 2),
        numeric(3, 1),
        numeric(4, 14),
        numeric(11, 1),
        numeric(12, 28800),
    )
    sa = SaBody((Proposal(1, ProtocolId.ISAKMP, b"", (Transform(1, 1, suite),)),))
    message = Message(
        initiator_cookie=b"initcook",
        responder_cookie=bytes(8),
        exchange=ExchangeType.MAIN,
        payloads=(
            Payload(PayloadType.SA, bytes(sa)),
            Payload(PayloadType.VENDOR, bytes(range(16))),
        ),
    )
    assert bytes(message) == scapy_message()


# --- what must be refused ---

GOOD = bytes(
    Message(
        initiator_cookie=b"initcook",
        responder_cookie=bytes(8),
        exchange=ExchangeType.MAIN,
        payloads=(Payload(PayloadType.VENDOR, b"x" * 8), Payload(PayloadType.NONCE, b"y" * 8)),
    )
)


def _changed(at: int, value: int) -> bytes:
    return GOOD[:at] + bytes([value]) + GOOD[at + 1 :]


@pytest.mark.parametrize(
    ("octets", "error", "text"),
    [
        (GOOD[:27], PayloadMalformed, "27 octets are not an ISAKMP header"),
        (
            _changed(19, Flags.ENCRYPTED) + b"\0",
            UnequalPayloadLengths,
            "gives 52 octets, the datagram has 53",
        ),
        (_changed(27, 27), UnequalPayloadLengths, "gives 27 octets, the datagram has 52"),
        (GOOD[:-1], UnequalPayloadLengths, "gives 52 octets, the datagram has 51"),
        (_changed(17, 0x20), InvalidMajorVersion, "version 2.0"),
        (_changed(17, 0x11), InvalidMinorVersion, "version 1.1"),
        (_changed(19, 0x08), InvalidFlags, "flags 0x08"),
        (bytes(8) + GOOD[8:], PayloadMalformed, "the initiator's cookie is zero"),
    ],
)
def test_a_bad_header_has_the_error_of_the_standard(
    octets: bytes, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Header.parse(octets)


@given(messages, st.binary(max_size=3))
def test_octets_behind_the_last_payload_are_padding(message: Message, filling: bytes) -> None:
    """libreswan fills its messages to four octets and counts that in the length (RFC 2408, 5.1)."""
    octets = bytes(message) + filling
    octets = octets[:24] + len(octets).to_bytes(4) + octets[28:]
    parsed = Message.parse(Header.parse(octets), octets)
    assert parsed == message
    assert parsed.padding == len(filling)


def test_octets_behind_a_message_in_the_clear_are_none_of_it() -> None:
    """Old Cisco clients send them, and racoon reads as much as the header says."""
    assert Header.parse(GOOD + bytes(5)) == Header.parse(GOOD)


@pytest.mark.parametrize(
    ("at", "value"),
    [(29, 1), (31, 3), (31, 255), (31, 13), (40, 13), (43, 13)],
)
def test_a_chain_with_a_wrong_length_or_reserved_octet_is_refused(at: int, value: int) -> None:
    octets = _changed(at, value)
    with pytest.raises(PayloadMalformed):
        Message.parse(Header.parse(octets), octets)


def test_no_message_holds_more_payloads_than_the_limit() -> None:
    many = b"".join(b"\x0d\0\0\4" for _ in range(MAX_PAYLOADS)) + b"\0\0\0\4"
    with pytest.raises(PayloadMalformed, match="more than"):
        parse_chain(PayloadType.VENDOR, many)


def test_no_sa_payload_holds_more_transforms_than_the_limit() -> None:
    many = tuple(Transform(n, 1) for n in range(MAX_TRANSFORMS // 2 + 1))
    half = Proposal(1, ProtocolId.ISAKMP, b"", many)
    assert SaBody.parse(bytes(SaBody((half,)))).proposals == (half,)
    with pytest.raises(PayloadMalformed, match="more than"):
        SaBody.parse(bytes(SaBody((half, half))))


def test_other_dois_and_situations_are_refused_by_name() -> None:
    with pytest.raises(DoiNotSupported):
        SaBody.parse(bytes.fromhex("0000000200000001"))
    with pytest.raises(SituationNotSupported):
        SaBody.parse(bytes.fromhex("0000000100000002"))


def test_a_wrong_number_of_transforms_is_refused() -> None:
    sa = bytearray(bytes(SaBody((Proposal(1, ProtocolId.ESP, b"1234", (Transform(1, 12),)),))))
    sa[15] = 2
    with pytest.raises(PayloadMalformed):
        SaBody.parse(bytes(sa))


def _bent(body: bytes, at: int, value: int) -> bytes:
    return body[:at] + bytes([value]) + body[at + 1 :]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (8, PayloadType.TRANSFORM),  # of the proposal: what follows is none
        (9, 1),  # reserved
        (11, 7),  # shorter than its own header
        (14, 17),  # an SPI longer than any
        (20, PayloadType.PROPOSAL),  # of the first transform
        (20, PayloadType.NONE),
        (21, 1),
        (23, 7),
        (28, PayloadType.TRANSFORM),  # of the last
    ],
)
def test_proposals_and_transforms_with_a_bad_header_are_refused(at: int, value: int) -> None:
    """At 8 the proposal begins, with an SPI of 4 octets; at 24 and 32 its transforms, without
    attributes.
    """
    transforms = (Transform(1, 12), Transform(2, 3))
    good = bytes(SaBody((Proposal(1, ProtocolId.ESP, b"spi!", transforms),)))
    assert SaBody.parse(good).proposals[0].transforms == transforms
    with pytest.raises(PayloadMalformed):
        SaBody.parse(_bent(good, at, value))


def test_the_doi_of_a_delete_is_kept() -> None:
    delete = Delete(ProtocolId.ISAKMP, (bytes(16),), doi=0)
    assert Delete.parse(bytes(delete)) == delete


def test_a_delete_must_hold_as_many_spis_as_it_says() -> None:
    body = bytes(Delete(ProtocolId.ESP, (b"1234", b"5678")))
    with pytest.raises(PayloadMalformed):
        Delete.parse(body[:-1])
    with pytest.raises(PayloadMalformed):
        Delete.parse(body + b"1234")


def test_flags_are_those_of_the_message() -> None:
    message = Message(
        initiator_cookie=b"initcook",
        responder_cookie=bytes(8),
        exchange=ExchangeType.QUICK,
        payloads=(),
        encrypted=True,
        commit=True,
    )
    assert message.header(0).flags == Flags.ENCRYPTED | Flags.COMMIT
