"""A bound on what strangers can make us say and do (RFC 2408, 1.7.1): token buckets."""

from collections.abc import Hashable
from typing import Final

MAX_SHARES: Final = 1024
"""Buckets that are kept; one that was dropped is full again."""


class RateLimiter:
    """At most `per_second` on average, and as many at once. `now` is monotonic seconds."""

    __slots__ = ("_at", "_per_second", "_tokens")

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._tokens = per_second
        self._at = 0.0

    def allow(self, now: float) -> bool:
        elapsed = max(0.0, now - self._at)
        self._tokens = min(self._per_second, self._tokens + elapsed * self._per_second)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Shares:
    """A token bucket for each of many, so that one of them does not use up what is there for all.

    How many there are costs no time, and memory up to MAX_SHARES: the one unused longest goes.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._buckets: dict[Hashable, RateLimiter] = {}

    def allow(self, whose: Hashable, now: float) -> bool:
        bucket = self._buckets.pop(whose, None) or RateLimiter(self._per_second)
        if len(self._buckets) >= MAX_SHARES:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[whose] = bucket
        return bucket.allow(now)
