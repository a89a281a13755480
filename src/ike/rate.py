"""A bound on what strangers can make us say (RFC 2408, 1.7.1): a token bucket."""


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
