"""Large TCP packets cut and joined: scapy makes the segments that are expected."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from xfrm.esp.packet import checksum
from xfrm.tun.segments import (
    _HEADER,
    _NEEDS_CSUM,
    HEADER_SIZE,
    NO_OFFLOAD,
    join,
    joinable,
    split,
    unpack,
)

OPTIONS = [("NOP", None), ("NOP", None), ("Timestamp", (7, 9))]


def _ip(ipv6: bool, number: int = 0) -> Packet:
    if ipv6:
        return IPv6(src="2001:db8::1", dst="2001:db8::2", tc=2, hlim=9)
    return IP(
        src="10.1.0.1", dst="10.2.0.1", tos=2, ttl=9, flags="DF", id=(65530 + number) & 0xFFFF
    )


def _segment(
    payload: bytes, *, ipv6: bool, before: int = 0, number: int = 0, flags: str = "A", **tcp: Any
) -> bytes:
    fields: dict[str, Any] = {"sport": 5, "dport": 6, "ack": 3, "window": 500, "options": OPTIONS}
    sequence = (0xFFFFF000 + before) & 0xFFFFFFFF
    return bytes(_ip(ipv6, number) / TCP(seq=sequence, flags=flags, **fields | tcp) / Raw(payload))


def _segments(payload: bytes, size: int, *, ipv6: bool, last: str = "PA") -> list[bytes]:
    """What scapy makes of a stream; the sequence number passes 2**32."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    return [
        _segment(
            part, ipv6=ipv6, before=number * size, number=number,
            flags=last if number == len(parts) - 1 else "A",
        )
        for number, part in enumerate(parts)
    ]  # fmt: skip


@given(payload=st.binary(min_size=1, max_size=3000), size=st.integers(1, 700), ipv6=st.booleans())
def test_segments_are_what_the_host_would_have_sent(payload: bytes, size: int, ipv6: bool) -> None:
    large = _segment(payload, ipv6=ipv6, flags="PA")
    assert split(large, size) == _segments(payload, size, ipv6=ipv6)


@pytest.mark.parametrize("ipv6", [False, True])
def test_what_is_joined_has_the_sum_of_its_pseudo_header_and_says_how_it_is_to_be_cut(
    ipv6: bool,
) -> None:
    """linux/virtio_net.h: the device adds the rest of the checksum, from csum_start on."""
    ((offload, packet),) = join(_segments(bytes(250), 100, ipv6=ipv6))
    ip, kind = (40, 4) if ipv6 else (20, 1)
    header = ip + 20 + 12
    assert _HEADER.unpack(offload) == (_NEEDS_CSUM, kind, header, 100, ip, 16)
    addresses = packet[8:40] if ipv6 else packet[12:20]
    pseudo = addresses + b"\0\6" + (len(packet) - ip).to_bytes(2, "big")
    assert int.from_bytes(packet[ip + 16 : ip + 18], "big") == checksum(pseudo) ^ 0xFFFF
    if not ipv6:
        assert checksum(packet[:20]) == 0


def test_fin_and_cwr_stand_where_they_belong() -> None:
    large = _segment(bytes(300), ipv6=False, flags="FPAC")
    flags = [IP(part)[TCP].flags for part in split(large, 100)]
    assert [str(each) for each in flags] == ["AC", "A", "FPA"]


@given(
    payload=st.binary(min_size=1, max_size=5000), size=st.integers(10, 700), ipv6=st.booleans(),
    last=st.sampled_from(["A", "PA"]),
)  # fmt: skip
def test_what_is_joined_splits_again_into_the_same(
    payload: bytes, size: int, ipv6: bool, last: str
) -> None:
    parts = _segments(payload, size, ipv6=ipv6, last=last)
    written = join(parts)
    again = [part for offload, packet in written for part in unpack(offload + packet)]
    assert again == parts
    if len(parts) > 2:
        assert len(written) == 1


def _changes(ipv6: bool) -> list[list[bytes]]:
    """Streams with something in the middle that must not be joined over."""
    plain = _segments(bytes(500), 100, ipv6=ipv6)
    other: list[dict[str, Any]] = [
        {"before": 250}, {"ack": 4}, {"window": 400}, {"flags": "UA"}, {"flags": "SA"},
        {"options": [("NOP", None), ("NOP", None), ("Timestamp", (8, 9))]},
    ]  # fmt: skip
    odd = [_segment(bytes(100), ipv6=ipv6, **{"before": 200} | change) for change in other]
    odd.append(_segment(b"", ipv6=ipv6, before=200))
    odd.append(plain[2][:-1] + b"\1")  # its checksum is wrong
    return [[*plain[:2], middle, *plain[3:]] for middle in odd]


@pytest.mark.parametrize("ipv6", [False, True])
def test_what_differs_is_not_joined_and_nothing_is_lost(ipv6: bool) -> None:
    for packets in _changes(ipv6):
        written = join(packets)
        assert len(written) > 1
        assert [part for head, packet in written for part in unpack(head + packet)] == packets


def test_a_wrong_checksum_stays_wrong() -> None:
    """The host must see it; a joined packet would hide it."""
    parts = _segments(bytes(500), 100, ipv6=False)
    parts[1] = parts[1][:-1] + b"\1"
    assert join(parts) == [(NO_OFFLOAD, part) for part in parts]


@given(content=st.binary(max_size=100), ipv6=st.booleans())
def test_a_checksum_that_the_host_left_out_is_made(content: bytes, ipv6: bool) -> None:
    whole = bytes(_ip(ipv6) / UDP(sport=1, dport=2) / content)
    start = 40 if ipv6 else 20
    addresses = whole[8:40] if ipv6 else whole[12:20]
    pseudo = int.from_bytes(addresses, "big") % 0xFFFF + 17 + len(whole) - start
    partial = (pseudo % 0xFFFF).to_bytes(2, "big")
    header = _HEADER.pack(_NEEDS_CSUM, 0, 0, 0, start, 6)
    assert unpack(header + whole[: start + 6] + partial + whole[start + 8 :]) == [whole]


def test_only_plain_tcp_is_joined() -> None:
    assert joinable(_segment(b"x", ipv6=False)) == joinable(_segment(b"y", ipv6=False, number=1))
    assert joinable(_segment(b"x", ipv6=True)) is not None
    assert joinable(bytes(IP() / UDP() / bytes(40))) is None
    assert joinable(bytes(IP(frag=1, proto=6) / bytes(40))) is None
    assert joinable(b"") is None


@given(st.binary(min_size=1, max_size=50))
def test_without_offload_a_packet_is_itself(packet: bytes) -> None:
    assert unpack(NO_OFFLOAD + packet) == [packet]
    assert len(NO_OFFLOAD) == HEADER_SIZE == 10
