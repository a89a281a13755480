"""Messages of nf_tables; `interop/test_datapath_clear.py` has what the kernel makes of them."""

import struct

from hypothesis import given
from hypothesis import strategies as st

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
