"""Packets that wait for their SA: how many, how long, for whom."""

from lab.esp_values import LEFT, RIGHT, sa, tunnel_policies
from xfrm.esp.sad import ends_of
from xfrm.model import Direction
from xfrm.tun.spd import Spd
from xfrm.tun.waiting import ACQUIRE_SECONDS, HELD_PACKETS, HELD_SECONDS, Waiting

ENDS = ends_of(sa(LEFT, RIGHT))
OTHER = (*ENDS[:4], 7)
_policies = tunnel_policies((LEFT, "10.1.0.0/24"), (RIGHT, "10.2.0.0/24"))
_policies += tunnel_policies((LEFT, "10.1.0.0/24"), (RIGHT, "10.3.0.0/24"))
_spd = Spd()
FIRST, SECOND = (_spd.put(each, 0) for each in _policies if each.direction == Direction.OUT)


def test_what_waits_by_two_policies_for_one_sa_leaves_with_it() -> None:
    waiting = Waiting()
    assert waiting.add(ENDS, FIRST, b"a", 0.0) == (True, True)
    assert waiting.add(ENDS, SECOND, b"b", 1.0) == (True, True)
    assert waiting.add(ENDS, FIRST, b"c", 2.0) == (True, False)
    assert waiting.add(OTHER, FIRST, b"d", 2.0) == (True, True)
    assert len(waiting) == 4
    assert waiting.take(ENDS, 3.0) == [b"a", b"c", b"b"]
    assert len(waiting) == 1
    assert waiting.take(ENDS, 3.0) == []
    assert waiting.take_of(FIRST, 3.0) == [b"d"]
    assert len(waiting) == 0


def test_what_is_too_old_is_not_taken() -> None:
    waiting = Waiting()
    waiting.add(ENDS, FIRST, b"old", 0.0)
    waiting.add(ENDS, FIRST, b"new", 0.1)
    assert waiting.take(ENDS, HELD_SECONDS) == [b"new"]


def test_the_newest_wait_and_the_oldest_give_way() -> None:
    waiting = Waiting()
    rooms = [waiting.add(ENDS, FIRST, bytes([n]), 0.0)[0] for n in range(HELD_PACKETS + 2)]
    assert rooms == [True] * HELD_PACKETS + [False] * 2
    assert waiting.take(ENDS, 0.0) == [bytes([n]) for n in range(2, HELD_PACKETS + 2)]


def test_it_is_asked_again_after_so_many_seconds_or_when_told() -> None:
    waiting = Waiting()
    asked = [waiting.add(ENDS, FIRST, b"x", at)[1] for at in (0.0, ACQUIRE_SECONDS - 0.1)]
    assert asked == [True, False]
    assert waiting.add(ENDS, FIRST, b"x", ACQUIRE_SECONDS)[1]
    assert not waiting.add(ENDS, FIRST, b"x", ACQUIRE_SECONDS + 1)[1]
    waiting.ask_again(FIRST)
    assert waiting.add(ENDS, FIRST, b"x", ACQUIRE_SECONDS + 2)[1]
    waiting.ask_again(SECOND)  # nothing waits by it


def test_the_deadline_is_the_oldest_packets_and_then_the_questions() -> None:
    waiting = Waiting()
    assert waiting.deadline is None
    waiting.add(ENDS, FIRST, b"x", 5.0)
    assert waiting.deadline == 5.0 + HELD_SECONDS
    assert waiting.age(14.9) == 0
    assert waiting.deadline == 15.9  # looked for once a second at most
    assert waiting.age(15.0) == 1
    assert len(waiting) == 0
    assert waiting.deadline == 5.0 + ACQUIRE_SECONDS  # until then it is not asked again
    assert waiting.age(5.0 + ACQUIRE_SECONDS) == 0
    assert waiting.deadline is None
    assert waiting.take_of(FIRST, 0.0) == []
