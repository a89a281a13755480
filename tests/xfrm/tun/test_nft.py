"""Messages of nf_tables; `interop/test_datapath_clear.py` has what the kernel makes of them."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.xfrm_values import policies
from wire.cursor import DecodeError
from wire.record import replace
from xfrm.model import Policy, Usage
from xfrm.netlink import requests
from xfrm.netlink.answers import policy_of
from xfrm.netlink.messages import Message, MessageType
from xfrm.tun import nft

OURS, OTHERS = 77, 78


def deleted(command: int, table: str, port: int) -> bytes:
    name = table.encode() + b"\0"
    body = bytes(4) + struct.pack("=HH", 4 + len(name), 1) + name + bytes(-len(name) % 4)
    return struct.pack("=IHHII", 16 + len(body), 10 << 8 | command, 0, 1, port) + body


@given(st.lists(st.binary(min_size=1, max_size=50)))
def test_a_batch_is_a_row_of_whole_messages(names: list[bytes]) -> None:
    messages = [nft.add_table(name.hex()) for name in names]
    octets, kinds = nft.batch(messages), []
    while octets:
        length, kind = struct.unpack_from("=IH", octets)
        assert length % 4 == 0
        kinds.append(kind)
        octets = octets[length:]
    assert kinds == [0x10, *[0xA00] * len(names), 0x11]


@given(st.binary(max_size=200))
def test_octets_that_are_no_notification_raise_nothing(junk: bytes) -> None:
    nft.takes_away(junk, "ours", OURS)
    nft.errors(junk)


def test_the_kernels_refusal_is_an_error_number_and_its_consent_is_not() -> None:
    refusal, consent = (struct.pack("=IHHIIi", 20, 2, 0, 1, 1, number) for number in (-17, 0))
    assert nft.errors(consent + refusal + refusal) == [17, 17]


def test_only_what_others_take_of_our_table_counts() -> None:
    for command in (2, 5, 8):  # table, chain, rule
        assert nft.takes_away(deleted(command, "ours", OTHERS), "ours", OURS)
        assert not nft.takes_away(deleted(command, "ours", OURS), "ours", OURS)
        assert not nft.takes_away(deleted(command, "ours-too", OTHERS), "ours", OURS)
    added = deleted(6, "ours", OTHERS)
    assert not nft.takes_away(added, "ours", OURS)
    assert nft.takes_away(added + deleted(8, "ours", OTHERS), "ours", OURS)


def answer(kind: int, body: bytes, flags: int = 2) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def listed(message: bytes, flags: int = 2) -> bytes:
    """Elements that were added, as the kernel lists them."""
    return answer(10 << 8 | 12, message[16:], flags)


def elements(*found: nft.Element) -> list[bytes]:
    return nft.add_elements("t", "s", found)


DONE = answer(3, bytes(4))


@given(st.lists(st.binary(min_size=1, max_size=nft.LONGEST_NOTE), max_size=200))
def test_notes_on_elements_are_read_back_in_their_order(wanted: list[bytes]) -> None:
    messages = elements(*(nft.Element(bytes(8), note) for note in wanted))
    for message in messages:
        length = struct.unpack_from("=I", message)[0]
        assert length == len(message) < 1 << 16
    octets = b"".join(listed(message) for message in messages)
    assert nft.notes(octets) == (wanted, False)
    assert nft.notes(octets + DONE) == (wanted, True)


def test_elements_without_a_note_of_ours_and_the_comments_of_nft_are_passed_over() -> None:
    (bare,) = elements(nft.Element(bytes(8)))
    (ours,) = elements(nft.Element(bytes(8), b"mine\0"))
    comment = ours.replace(bytes((77, 5)) + b"mine", bytes((0, 5)) + b"mine")
    assert nft.notes(listed(ours)) == ([b"mine\0"], False)
    assert nft.notes(listed(bare) + listed(comment) + DONE) == ([], True)


def test_the_sets_of_a_table_are_listed_by_name() -> None:
    fields = [nft.source(4, 24), nft.destination(6, 0), nft.protocol(), nft.transport(2, 2)]
    sets = [answer(10 << 8 | 9, nft.add_set("t", f"s{n}", n, fields)[16:]) for n in (1, 2)]
    assert nft.names(b"".join(sets) + DONE) == (["s1", "s2"], True)


def test_a_list_that_others_disturbed_is_asked_for_again_and_a_refused_one_is_an_error() -> None:
    (element,) = elements(nft.Element(bytes(8), b"note"))
    with pytest.raises(nft.Interrupted):
        nft.notes(listed(element, flags=0x12))
    with pytest.raises(OSError, match="No such file"):
        nft.notes(struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -2))


@given(st.binary(max_size=300))
def test_arbitrary_octets_are_no_list_of_elements_or_sets(junk: bytes) -> None:
    for read in (nft.notes, nft.names):
        with contextlib.suppress(DecodeError, nft.Interrupted, OSError):
            read(junk)


@given(policies())
def test_every_policy_that_this_path_takes_fits_into_a_note_and_comes_back(policy: Policy) -> None:
    policy = replace(policy, templates=policy.templates[:1], mark=None, if_id=0, usage=Usage())
    note = bytes(requests.policy_message(MessageType.UPDPOLICY, policy))
    assert len(note) <= nft.LONGEST_NOTE
    assert policy_of(Message.parse(MessageType.UPDPOLICY, note)) == policy


def test_what_is_added_is_made_where_it_is_not_and_a_list_is_of_all() -> None:
    def flags(message: bytes) -> int:
        return int(struct.unpack_from("=H", message, 6)[0])

    rule = nft.add_rule("t", "c", nft.of_protocol(50), nft.DROP)
    made = nft.add_set("t", "s", 1, [nft.protocol()])
    assert (flags(rule), flags(made), flags(nft.add_table("t"))) == (0xC01, 0x401, 0x401)
    assert flags(nft.list_sets("t")) == flags(nft.list_elements("t", "s")) == 0x301
    assert flags(nft.delete_table("t")) == 0x1
