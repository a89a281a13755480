"""Packets from the wire, and the proof that they answer a request."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad.packet import AuthPacket

from radius import codec
from radius.errors import BadAttribute, Fault, Malformed, NotAuthentic
from radius.numbers import MICROSOFT, MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY, AttributeType, Code
from radius.packet import Packet, Request, made, prove
from wire.secret import Secret

SECRET = Secret(b"xyzzy5461")
AUTHENTICATOR = bytes(range(16))
IDENTITY = ((AttributeType.USER_NAME, b"gw"), (AttributeType.EAP_MESSAGE, b"\2\1\0\7\1gw"))

# RFC 5997, 6.1
STATUS_REQUEST = bytes.fromhex(
    "0cda00268a54f4686fb394c52866e302185d062350125a665e2e1e8411f3e243822097c84fa3"
)
STATUS_ANSWER = bytes.fromhex("02da0014ef0d552a4bf2d693ec2b6fe8b5411d66")


def asked(identifier: int = 7, *more: tuple[int, bytes]) -> Request:
    attributes = (*IDENTITY, *more)
    return made(Code.ACCESS_REQUEST, identifier, AUTHENTICATOR, SECRET, attributes)


def reply_to(
    request: Request,
    code: Code = Code.ACCESS_ACCEPT,
    *,
    secret: Secret = SECRET,
    signed: bool = True,
    fill: Callable[[AuthPacket], None] = lambda _: None,
) -> bytes:
    """By pyrad, which is the second opinion here."""
    asked_for = AuthPacket(packet=request.octets, secret=secret.reveal(), dict=codec.dictionary())
    reply = asked_for.CreateReply(message_authenticator=signed)
    reply.code = int(code)
    fill(reply)
    return bytes(reply.ReplyPacket())


def fault_of(octets: bytes, request: Request, *, signed: bool = True) -> Fault | None:
    try:
        prove(Packet.parse(octets), request, SECRET, signed=signed)
    except NotAuthentic as error:
        return error.fault
    return None


def test_the_status_server_of_rfc_5997_is_made_and_its_answer_believed() -> None:
    request = made(Code.STATUS_SERVER, 0xDA, STATUS_REQUEST[4:20], SECRET, ())
    assert request.octets == STATUS_REQUEST
    prove(Packet.parse(STATUS_ANSWER), request, SECRET, signed=False)


def test_a_request_has_its_message_authenticator_first() -> None:
    first = Packet.parse(asked().octets).attributes[0]
    assert first[0] == AttributeType.MESSAGE_AUTHENTICATOR
    pyrads = AuthPacket(packet=asked().octets, secret=SECRET.reveal(), dict=codec.dictionary())
    assert pyrads.verify_message_authenticator()


@given(st.lists(st.tuples(st.integers(1, 79), st.binary(max_size=253)), max_size=12))
def test_pyrad_makes_the_same_request(attributes: list[tuple[int, bytes]]) -> None:
    attributes.sort(key=lambda each: each[0])  # pyrad puts those of one type together
    theirs = AuthPacket(1, 7, SECRET.reveal(), AUTHENTICATOR, message_authenticator=True)
    for kind, value in attributes:
        theirs.setdefault(kind, []).append(value)
    ours = made(Code.ACCESS_REQUEST, 7, AUTHENTICATOR, SECRET, tuple(attributes))
    assert ours.octets == bytes(theirs.RequestPacket())


def test_a_request_that_no_server_need_take_is_not_made() -> None:
    long = ((AttributeType.EAP_MESSAGE, bytes(253)),) * 17
    with pytest.raises(BadAttribute, match="more than 4096"):
        made(Code.ACCESS_REQUEST, 7, AUTHENTICATOR, SECRET, long)
    with pytest.raises(BadAttribute, match="more than 253"):
        made(Code.ACCESS_REQUEST, 7, AUTHENTICATOR, SECRET, ((1, bytes(254)),))


def test_an_answer_of_pyrad_is_believed() -> None:
    assert fault_of(reply_to(asked()), asked()) is None


def test_what_follows_the_packet_in_its_datagram_is_padding() -> None:
    assert fault_of(reply_to(asked()) + b"padding", asked()) is None


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (reply_to(asked(), secret=Secret(b"other")), Fault.BAD_MESSAGE_AUTHENTICATOR),
        (reply_to(asked(), signed=False), Fault.NO_MESSAGE_AUTHENTICATOR),
        (reply_to(asked(), signed=False, secret=Secret(b"other")), Fault.BAD_AUTHENTICATOR),
        (reply_to(asked(8)), Fault.UNASKED),
        (reply_to(asked(), Code.ACCESS_REQUEST), Fault.UNKNOWN_CODE),
        (reply_to(asked(), Code(99)), Fault.UNKNOWN_CODE),
        (
            reply_to(asked(), fill=lambda reply: reply.update({33: [b"forged"]})),
            Fault.FOREIGN_PROXY_STATE,
        ),
    ],
)
def test_an_answer_that_proves_nothing_is_refused(answer: bytes, fault: Fault) -> None:
    assert fault_of(answer, asked()) is fault


def test_an_answer_to_another_request_with_the_same_identifier_is_refused() -> None:
    later = made(Code.ACCESS_REQUEST, 7, bytes(16), SECRET, IDENTITY)
    assert fault_of(reply_to(asked()), later) is Fault.BAD_MESSAGE_AUTHENTICATOR


def test_a_proxy_state_of_ours_comes_back() -> None:
    request = asked(7, (AttributeType.PROXY_STATE, b"one"), (AttributeType.PROXY_STATE, b"two"))
    assert fault_of(reply_to(request), request) is None
    swapped = replace(request, proxy_states=(b"two", b"one"))
    assert fault_of(reply_to(request), swapped) is Fault.FOREIGN_PROXY_STATE


@pytest.mark.parametrize("code", [Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE])
def test_an_unsigned_answer_counts_only_where_it_is_allowed(code: Code) -> None:
    answer = reply_to(asked(), code, signed=False)
    assert fault_of(answer, asked()) is Fault.NO_MESSAGE_AUTHENTICATOR
    assert fault_of(answer, asked(), signed=False) is None


def test_a_rejection_turned_into_an_acceptance_is_refused() -> None:
    """What Blast-RADIUS does, with the right Response Authenticator for MD5's sake."""
    forged = bytes([Code.ACCESS_ACCEPT]) + reply_to(asked(), Code.ACCESS_REJECT)[1:]
    assert fault_of(forged, asked()) is Fault.BAD_MESSAGE_AUTHENTICATOR


def test_two_message_authenticators_prove_nothing() -> None:
    answer = Packet.parse(reply_to(asked()))
    proof = next(value for kind, value in answer.attributes if kind == 80)
    twice = answer.octets + b"\x50\x12" + proof
    twice = twice[:2] + len(twice).to_bytes(2, "big") + twice[4:]
    assert fault_of(twice, asked()) is Fault.BAD_MESSAGE_AUTHENTICATOR


@given(st.integers(0, 20 * 8 - 1 + 18 * 8))
def test_no_bit_of_an_answer_can_be_changed(bit: int) -> None:
    octets = bytearray(reply_to(asked()))
    octets[bit // 8] ^= 1 << bit % 8
    with suppress(Malformed):
        assert fault_of(bytes(octets), asked()) is not None


@given(st.binary(max_size=200))
def test_octets_are_a_packet_or_malformed(octets: bytes) -> None:
    try:
        packet = Packet.parse(octets)
    except Malformed:
        return
    rebuilt = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in packet.attributes)
    assert packet.octets == octets[: len(packet.octets)]
    assert packet.octets[20:] == rebuilt


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=253)), max_size=12))
def test_what_is_parsed_is_what_was_written(attributes: list[tuple[int, bytes]]) -> None:
    body = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)
    octets = bytes((2, 1)) + (20 + len(body)).to_bytes(2, "big") + AUTHENTICATOR + body
    assert list(Packet.parse(octets).attributes) == attributes


def test_an_attribute_that_runs_over_the_end_is_malformed() -> None:
    octets = bytes((2, 1, 0, 24)) + AUTHENTICATOR + b"\x18\x09ab"
    with pytest.raises(Malformed, match="attribute of length 9"):
        Packet.parse(octets)
    # pyrad, asked alone, takes what is left for the value
    assert AuthPacket(packet=octets, secret=b"x")[24] == [b"ab"]


# MPPE keys


def keyed(request: Request, recv: bytes, send: bytes) -> bytes:
    def fill(reply: AuthPacket) -> None:
        reply[MICROSOFT, MS_MPPE_RECV_KEY] = [reply.SaltCrypt(recv)]
        reply[MICROSOFT, MS_MPPE_SEND_KEY] = [reply.SaltCrypt(send)]

    return reply_to(request, fill=fill)


@given(st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=64))
def test_mppe_keys_are_decrypted_with_the_requests_authenticator(recv: bytes, send: bytes) -> None:
    packet = Packet.parse(keyed(asked(), recv, send))
    found = codec.mppe_keys(packet, AUTHENTICATOR, SECRET)
    assert found == (Secret(recv), Secret(send))
    assert codec.mppe_keys(packet, bytes(16), SECRET) != found


@given(st.binary(max_size=60))
def test_a_broken_key_is_none(value: bytes) -> None:
    broken = b"\x1a" + bytes((len(value) + 8,)) + MICROSOFT.to_bytes(4, "big")
    broken += bytes((MS_MPPE_RECV_KEY, len(value) + 2)) + value
    octets = bytes((2, 1)) + (20 + len(broken)).to_bytes(2, "big") + AUTHENTICATOR + broken
    assert codec.mppe_keys(Packet.parse(octets), AUTHENTICATOR, SECRET) is None


# Names


def packet_of(*attributes: tuple[int, bytes]) -> Packet:
    body = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)
    return Packet.parse(bytes((2, 1)) + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body)


def test_attributes_are_shown_by_name_without_keys() -> None:
    def fill(reply: AuthPacket) -> None:
        reply.AddAttribute("Tunnel-Type:1", "VLAN")
        reply.AddAttribute("Tunnel-Private-Group-ID:1", "42")
        reply.AddAttribute("Session-Timeout", 3600)
        reply[240] = [b"\1\2"]
        reply[MICROSOFT, MS_MPPE_RECV_KEY] = [reply.SaltCrypt(bytes(32))]

    shown = codec.named(Packet.parse(reply_to(asked(), fill=fill)))
    assert shown == (
        ("Tunnel-Type", "VLAN"),
        ("Tunnel-Private-Group-ID", "42"),
        ("Session-Timeout", "3600"),
        ("Attr-240", "0x0102"),
    )


def test_what_a_server_writes_cannot_move_the_cursor_of_a_terminal() -> None:
    shown = codec.named(packet_of((11, b"\x1b]0;mine\x07\x1b[2Jvlan\n")))
    assert shown == (("Filter-Id", r"\x1b]0;mine\x07\x1b[2Jvlan\x0a"),)


def test_what_a_dictionary_calls_encrypted_is_not_shown(tmp_path: Path) -> None:
    names = tmp_path / "dictionary"
    names.write_text("ATTRIBUTE Tunnel-Password 69 string encrypt=2\n")
    assert codec.named(packet_of((69, bytes(20)), (11, b"vlan")), str(names)) == (
        ("Filter-Id", "vlan"),
    )


@given(st.binary(min_size=1, max_size=40))
def test_attributes_within_attributes_that_are_none_are_shown_as_octets(octets: bytes) -> None:
    names = str(Path(__file__).with_name("dictionary.nested"))
    ((name, value),) = codec.named(packet_of((200, octets)), names)
    assert name == "Nested" or (name, value) == ("Attr-200", f"0x{octets.hex()}")


@given(st.binary(max_size=300))
def test_every_parsed_packet_can_be_shown(body: bytes) -> None:
    octets = bytes((2, 1)) + (20 + len(body)).to_bytes(2, "big") + AUTHENTICATOR + body
    try:
        packet = Packet.parse(octets)
    except Malformed:
        return
    assert all(isinstance(text, str) for pair in codec.named(packet) for text in pair)
    codec.mppe_keys(packet, AUTHENTICATOR, SECRET)


@pytest.mark.parametrize(
    ("name", "value", "octets"),
    [
        ("NAS-Identifier", "sw", (32, b"sw")),
        ("NAS-Port-Type", "Ethernet", (61, b"\0\0\0\x0f")),
        ("Session-Timeout", "60", (27, b"\0\0\0\x3c")),
        ("Tunnel-Private-Group-ID:1", "42", (81, b"\x0142")),
        ("Cisco-AVPair", "a=b", (26, bytes.fromhex("00000009") + b"\1\5a=b")),
    ],
)
def test_an_attribute_is_written_by_name(name: str, value: str, octets: tuple[int, bytes]) -> None:
    assert codec.attribute(name, value) == octets


def test_an_attribute_nobody_knows_is_refused() -> None:
    with pytest.raises(BadAttribute, match="no dictionary has this attribute"):
        codec.attribute("Nobody-Knows", "1")
    with pytest.raises(BadAttribute, match="Session-Timeout=soon"):
        codec.attribute("Session-Timeout", "soon")
