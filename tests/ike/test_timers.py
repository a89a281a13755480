"""Timers and the token bucket of the core."""

from hypothesis import given
from hypothesis import strategies as st

from ike.rate import RateLimiter
from ike.timers import FEW, TimerQueue


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_timers_fire_in_order_and_each_once(delays: list[float]) -> None:
    queue, fired = TimerQueue(), list[float]()
    for delay in delays:
        queue.add("t", 0.0, delay, lambda delay=delay: fired.append(delay))  # type: ignore[misc]
    queue.fire(200.0)
    queue.fire(300.0)
    assert sorted(fired) == sorted(delays)
    assert fired == sorted(fired, key=lambda delay: max(delay, 0.001))
    assert queue.deadline is None


def test_a_cancelled_timer_is_neither_fired_nor_shown() -> None:
    queue, fired = TimerQueue(), list[str]()
    first = queue.add("first", 0.0, 1.0, lambda: fired.append("first"))
    queue.add("second", 0.0, 2.0, lambda: fired.append("second"))
    first.cancel()
    assert queue.deadline == 2.0
    assert [view.name for view in queue.view()] == ["second"]
    queue.fire(5.0)
    first.cancel()
    assert fired == ["second"]


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=400))
def test_cancelled_timers_take_no_room_and_no_others_with_them(
    timers: list[tuple[float, bool]],
) -> None:
    queue, fired = TimerQueue(), list[float]()
    made = [
        queue.add("t", 0.0, delay, lambda delay=delay: fired.append(delay))  # type: ignore[misc]
        for delay, _ in timers
    ]
    for timer, (_, cancelled) in zip(made, timers, strict=True):
        if cancelled:
            timer.cancel()
            timer.cancel()
    kept = sorted(delay for delay, cancelled in timers if not cancelled)
    assert len(queue) <= max(2 * len(kept), len(kept) + FEW) + 1
    queue.fire(200.0)
    assert sorted(fired) == kept


def test_a_timer_made_and_cancelled_for_ever_needs_no_memory() -> None:
    queue = TimerQueue()
    for now in range(5000):
        queue.add("in hours", float(now), 28800.0, lambda: None).cancel()
        assert len(queue) <= FEW + 1


def test_a_timer_that_sets_itself_again_without_delay_does_not_stop_the_clock() -> None:
    queue, count = TimerQueue(), 0

    def again() -> None:
        nonlocal count
        count += 1
        queue.add("again", 1000.0, 1e-13, again)

    again()
    queue.fire(1000.0)
    assert count == 1
    assert queue.deadline is not None
    assert queue.deadline > 1000.0


def test_a_token_bucket_allows_its_rate_and_no_more() -> None:
    limiter = RateLimiter(5.0)
    assert sum(limiter.allow(0.0) for _ in range(100)) == 5
    assert sum(limiter.allow(10 + at / 100) for at in range(1000)) in range(50, 57)
