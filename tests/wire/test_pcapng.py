"""Capture files, read back by an independent reader (scapy) and by tshark."""

import json
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader

from lab import require
from wire import pcapng

times = st.integers(0, 2**63)
packets = st.tuples(times, st.binary(min_size=1, max_size=80), st.text(max_size=20))


@given(st.text(max_size=20), st.lists(packets, max_size=5))
def test_an_independent_reader_finds_every_packet_and_its_time(
    application: str, given_packets: list[tuple[int, bytes, str]]
) -> None:
    file = pcapng.section(application) + pcapng.interface("eth0")
    for time, octets, comment in given_packets:
        file += pcapng.packet(0, time, octets, comment=comment)
    with RawPcapNgReader(BytesIO(file)) as reader:
        found = [
            ((meta.tshigh << 32 | meta.tslow), meta.tsresol, octets) for octets, meta in reader
        ]
    assert found == [(time, 10**9, octets) for time, octets, _ in given_packets]


@given(st.binary(max_size=100))
def test_blocks_are_whole_words_with_their_length_at_both_ends(octets: bytes) -> None:
    for block in (
        pcapng.packet(0, 1, octets, comment="c"),
        pcapng.secrets(pcapng.Secrets.TLS_KEY_LOG, octets),
    ):
        assert len(block) % 4 == 0
        assert block[4:8] == block[-4:] == len(block).to_bytes(4, "little")


@pytest.mark.interop
def test_tshark_reads_links_times_directions_and_comments(tmp_path: Path) -> None:
    eapol_start = bytes.fromhex("0180c2000003 020000000001 888e 02010000")
    file = tmp_path / "capture.pcapng"
    file.write_bytes(
        pcapng.section("mgusec")
        + pcapng.interface("port", description="gateway to switch")
        + pcapng.interface("uplink")
        + pcapng.secrets(pcapng.Secrets.TLS_KEY_LOG, b"CLIENT_RANDOM 00 00\n")
        + pcapng.packet(
            1,
            1_790_000_000_123_456_789,
            eapol_start,
            direction=pcapng.Direction.OUTBOUND,
            comment="an EAPOL-Start",
        )
    )
    tshark = require.program("tshark")
    fields = ("frame.time_epoch", "frame.interface_name", "frame.comment", "eapol.type")
    options = [word for field in fields for word in ("-e", field)]
    result = subprocess.run(
        [tshark, "-r", file, "-T", "json", *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    layers = json.loads(result.stdout)[0]["_source"]["layers"]
    assert layers["frame.time_epoch"] == ["1790000000.123456789"]
    assert layers["frame.interface_name"] == ["uplink"]
    assert layers["frame.comment"] == ["an EAPOL-Start"]
    assert layers["eapol.type"] == ["1"]
