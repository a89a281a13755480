"""PF_KEY dumps: what we write reads back, and what others write does not hurt."""

import errno
import struct
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.xfrm_values import aes_cbc, hmac_sha1, security_associations
from wire.secret import Secret
from xfrm.model import Algorithm, Lifetime, Malformed, SecurityAssociation, Usage
from xfrm.pfkey import Dumped, State, dump_message, dump_reply, parse_dump, state_of

NOW = 1_764_000_000


def carried(sa: SecurityAssociation) -> SecurityAssociation:
    """What of an SA PF_KEY can say."""
    usage = replace(sa.usage, packets=min(sa.usage.packets, 0xFFFFFFFF))
    life = sa.lifetime
    life = replace(
        life,
        soft_packets=life.soft_packets and min(life.soft_packets, 0xFFFFFFFF),
        hard_packets=life.hard_packets and min(life.hard_packets, 0xFFFFFFFF),
    )
    return replace(
        sa, replay_window=min(sa.replay_window, 255), esn=False, selector=None, sequence=0,
        mark=None, if_id=0, usage=usage, lifetime=life,
    )  # fmt: skip


@given(st.lists(security_associations(numbered=True), max_size=4), st.integers(0, 2**32 - 1))
def test_a_dump_reads_back_and_its_last_message_is_number_0(
    sas: list[SecurityAssociation], pid: int
) -> None:
    sequences = [*range(1, len(sas)), 0][: len(sas)]
    wanted = [Dumped(carried(sa), at, pid) for sa, at in zip(sas, sequences, strict=True)]
    assert parse_dump(dump_reply(sas, pid=pid, now=NOW)) == wanted


@given(st.binary(max_size=400))
def test_arbitrary_octets_raise_only_malformed(octets: bytes) -> None:
    try:
        parse_dump(octets)
    except Malformed:
        return


@given(security_associations(numbered=True), st.data())
def test_a_damaged_dump_raises_only_malformed(sa: SecurityAssociation, data: st.DataObject) -> None:
    octets = bytearray(dump_message(sa, sequence=0, pid=1, now=NOW))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] = data.draw(st.integers(0, 255))
    try:
        parse_dump(bytes(octets[: data.draw(st.integers(0, len(octets)))]))
    except Malformed:
        return


def simple() -> SecurityAssociation:
    return SecurityAssociation(
        src=ip_address("10.0.0.1"),
        dst=ip_address("10.0.0.2"),
        spi=0x1234,
        encryption=aes_cbc(),
        authentication=hmac_sha1(),
    )


def test_the_message_is_laid_out_as_in_rfc_2367() -> None:
    octets = dump_message(simple(), sequence=7, pid=99, now=NOW)
    version, kind, code, satype, words, _, sequence, pid = struct.unpack_from("=BBBBHHII", octets)
    assert (version, kind, code, satype, sequence, pid) == (2, 10, 0, 3, 7, 99)
    assert words * 8 == len(octets)
    length, extension, spi, window, state, auth, cipher, flags = struct.unpack_from(
        "=HH4sBBBBI", octets, 16
    )
    assert (length, extension) == (2, 1)
    assert spi == bytes.fromhex("00001234")
    assert (window, state, auth, cipher, flags) == (64, State.MATURE, 3, 12, 0)


def test_an_extension_that_we_do_not_know_is_skipped() -> None:
    octets = bytearray(dump_message(simple(), sequence=0, pid=1, now=NOW))
    octets += struct.pack("=HHI", 1, 99, 0)
    struct.pack_into("=H", octets, 4, len(octets) // 8)
    (dumped,) = parse_dump(bytes(octets))
    assert dumped.sa == simple()


def test_an_algorithm_number_without_a_name_survives() -> None:
    strange = replace(simple(), encryption=Algorithm(name="pfkey-77", key=Secret(b"12345678")))
    (dumped,) = parse_dump(dump_message(strange, sequence=0, pid=1, now=NOW))
    assert dumped.sa == strange


@pytest.mark.parametrize(
    ("age", "octets", "state"),
    [(0, 0, State.MATURE), (79, 0, State.MATURE), (80, 0, State.DYING), (0, 1000, State.DYING)],
)
def test_an_sa_is_dying_once_a_soft_limit_has_passed(age: int, octets: int, state: State) -> None:
    sa = replace(
        simple(),
        lifetime=Lifetime(soft_seconds=80, hard_seconds=100, soft_octets=1000),
        usage=Usage(added=NOW - age, octets=octets),
    )
    assert state_of(sa, NOW) == state


def test_a_dump_of_nothing_is_one_message_that_says_so() -> None:
    """racoon's: ENOENT; racoonctl takes no octets at all for an invalid message."""
    octets = dump_reply([], pid=4711, now=NOW)
    assert struct.unpack("=BBBBHHII", octets) == (2, 10, errno.ENOENT, 0, 2, 0, 0, 4711)
    assert parse_dump(octets) == parse_dump(b"") == []
