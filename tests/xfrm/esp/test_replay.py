"""Sequence numbers: each is sent once and taken once (RFC 4303, 3.3.3, 3.4.3, Appendix A)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfrm.esp.reasons import Reason, Refused
from xfrm.esp.replay import MAX_WINDOW, Inbound, Outbound
from xfrm.model import Lifetime

WINDOWS = st.sampled_from([1, 32, 64, 1000, MAX_WINDOW])
NONE = Lifetime()


def _protect(sequence: int, payload: bytes, _: int) -> bytes:
    return sequence.to_bytes(8, "big") + payload


def _inbound(window: int, *, esn: bool = False, lifetime: Lifetime = NONE) -> Inbound:
    def unprotect(packet: bytes, high: int) -> tuple[int, bytes]:
        """The integrity check of a packet that really has the number in its first 8 octets."""
        if int.from_bytes(packet[:8], "big") >> 32 != high:
            raise Refused(Reason.IN_PROTOCOL)
        return 4, packet[8:]

    return Inbound(unprotect, window=window, esn=esn, lifetime=lifetime)


def _takes(inbound: Inbound, sequence: int) -> bool:
    try:
        inbound.open(sequence.to_bytes(8, "big"), sequence & 0xFFFFFFFF)
    except Refused:
        return False
    return True


@given(
    window=WINDOWS,
    start=st.sampled_from([1, (1 << 31) - 5, (1 << 32) - 5000]),
    steps=st.lists(st.integers(0, 6000), max_size=60),
)
def test_a_number_is_taken_once_if_it_lies_in_the_window(
    window: int, start: int, steps: list[int]
) -> None:
    inbound = _inbound(window)
    taken: set[int] = set()
    for step in steps:
        number = min(start + step, (1 << 32) - 1)
        top = max(taken, default=0)
        expected = number not in taken and number > top - window and number > 0
        assert _takes(inbound, number) == expected
        if expected:
            taken.add(number)


@given(
    window=WINDOWS,
    cycle=st.integers(0, 3),
    steps=st.lists(st.integers(-6000, 6000), max_size=60),
)
def test_extended_numbers_go_on_over_the_end_of_a_cycle(
    window: int, cycle: int, steps: list[int]
) -> None:
    inbound = _inbound(window, esn=True)
    number = (cycle << 32) + (1 << 32) - 10
    inbound.top, inbound.bitmap = number - 1, 1
    taken = {number - 1}
    for step in steps:
        candidate = number + step
        top = max(taken)
        expected = candidate not in taken and candidate > top - window
        if candidate <= top - window:
            continue  # taken for a number of the next cycle, which the integrity check refuses
        assert _takes(inbound, candidate) == expected
        if expected:
            taken.add(candidate)


def test_before_the_first_cycle_there_is_no_other() -> None:
    inbound = _inbound(64, esn=True)
    assert _takes(inbound, 1)
    with pytest.raises(Refused, match="SeqError"):
        inbound.open(bytes(8), 0xFFFFFFFF)


def test_a_packet_that_fails_the_check_does_not_move_the_window() -> None:
    inbound = _inbound(64)
    assert _takes(inbound, 10)
    with pytest.raises(Refused):
        inbound.open((1 << 40).to_bytes(8, "big"), 5000)
    assert (inbound.top, inbound.failed, inbound.packets) == (10, 1, 1)
    assert _takes(inbound, 9)


def test_number_zero_is_never_taken() -> None:
    assert not _takes(_inbound(64), 0)


def test_without_a_window_everything_is_taken() -> None:
    inbound = _inbound(0)
    assert [_takes(inbound, number) for number in (5, 5, 1, 0)] == [True] * 4


def test_the_counter_does_not_cycle() -> None:
    outbound = Outbound(_protect, esn=False, lifetime=NONE)
    outbound.sequence = (1 << 32) - 2
    outbound.seal(b"", 4)
    with pytest.raises(Refused) as refused:
        outbound.seal(b"", 4)
    assert refused.value.reason is Reason.OUT_SEQUENCE
    assert outbound.spent


def test_with_extended_numbers_the_counter_goes_on() -> None:
    outbound = Outbound(_protect, esn=True, lifetime=NONE)
    outbound.sequence = (1 << 32) - 1
    assert outbound.seal(b"", 4) == (1 << 32).to_bytes(8, "big")


def test_limits_of_packets_and_octets_stop_both_directions() -> None:
    lifetime = Lifetime(soft_packets=2, hard_packets=3)
    outbound = Outbound(_protect, esn=False, lifetime=lifetime)
    inbound = _inbound(64, lifetime=lifetime)
    for expected_soft in (False, True, True):
        packet = outbound.seal(b"12345", 4)
        inbound.open(packet, outbound.sequence)
        assert outbound.soft is inbound.soft is expected_soft
    with pytest.raises(Refused, match="XfrmOutStateExpired"):
        outbound.seal(b"", 4)
    with pytest.raises(Refused, match="XfrmInStateExpired"):
        inbound.open((4).to_bytes(8, "big"), 4)
    assert (outbound.octets, inbound.octets, inbound.packets) == (15, 15, 3)

    outbound = Outbound(_protect, esn=False, lifetime=Lifetime(soft_octets=1, hard_octets=8))
    outbound.seal(b"12345", 4)
    assert outbound.soft
    outbound.seal(b"12345", 4)
    with pytest.raises(Refused, match="XfrmOutStateExpired"):
        outbound.seal(b"", 4)


def test_a_window_larger_than_the_kernels_is_refused() -> None:
    with pytest.raises(ValueError, match="4096"):
        _inbound(MAX_WINDOW + 1)


def test_every_packet_that_fails_or_repeats_is_counted() -> None:
    inbound = _inbound(64, esn=True)
    assert _takes(inbound, 5)
    for _ in range(2):
        assert not _takes(inbound, 5)
        assert not _takes(inbound, (7 << 32) | 6)
    assert (inbound.replayed, inbound.failed) == (2, 2)


@given(window=WINDOWS, sequences=st.lists(st.integers(1, 1 << 20), max_size=20))
def test_the_bitmap_never_outgrows_the_window(window: int, sequences: list[int]) -> None:
    inbound = _inbound(window)
    for sequence in sequences:
        _takes(inbound, sequence)
        assert inbound.bitmap < 1 << window


@pytest.mark.parametrize("limit", ["packets", "octets"])
def test_each_limit_is_told_when_it_is_reached_and_once(limit: str) -> None:
    lifetime = Lifetime(**{f"soft_{limit}": 2, f"hard_{limit}": 4})
    told: list[int] = []
    outbound = Outbound(_protect, esn=False, lifetime=lifetime, crossed=lambda: told.append(0))
    inbound = Inbound(
        lambda packet, _: (4, packet), window=64, esn=False, lifetime=lifetime,
        crossed=lambda: told.append(1),
    )  # fmt: skip
    for number in range(1, 5):
        outbound.seal(b"x", 4)
        inbound.open(b"x", number)
        assert told == [[], [0, 1], [0, 1], [0, 1, 0, 1]][number - 1]
    assert outbound.spent
    assert inbound.spent


def test_limits_that_were_passed_before_an_update_are_told_at_once() -> None:
    before = Outbound(_protect, esn=False, lifetime=NONE)
    for _ in range(3):
        before.seal(b"x", 4)
    told: list[int] = []
    after = Outbound(
        _protect, esn=False, lifetime=Lifetime(soft_packets=2), crossed=lambda: told.append(0)
    )
    after.go_on_from(before)
    assert (told, after.soft, after.packets) == ([0], True, 3)


@pytest.mark.parametrize("limit", ["packets", "octets"])
def test_limits_that_had_passed_are_told_of_what_arrives_too(limit: str) -> None:
    def taken(lifetime: Lifetime, told: list[int]) -> Inbound:
        return Inbound(
            lambda packet, _: (4, packet), window=64, esn=False, lifetime=lifetime,
            crossed=lambda: told.append(0),
        )  # fmt: skip

    before = taken(NONE, [])
    for number in range(1, 4):
        before.open(b"x", number)
    soft: list[int] = []
    after = taken(Lifetime(**{f"soft_{limit}": 2, f"hard_{limit}": 5}), soft)
    after.go_on_from(before)
    assert (soft, after.soft, after.spent) == ([0], True, False)
    after.open(b"x", 4)
    assert soft == [0]
    after.open(b"x", 5)
    assert (soft, after.spent) == ([0, 0], True)
    hard: list[int] = []
    spent = taken(Lifetime(**{f"soft_{limit}": 2, f"hard_{limit}": 3}), hard)
    spent.go_on_from(before)
    assert (hard, spent.spent) == ([0], True)
    at_once = taken(Lifetime(**{f"hard_{limit}": 4}), hard)
    at_once.go_on_from(before)
    assert hard == [0]
