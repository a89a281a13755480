"""A bound on what a daemon logs: a flood must not fill the disk as well."""

import logging
import time
from collections.abc import Callable
from typing import Final

BURST: Final = 1000.0
"""Lines of one level that may come at once: a gateway with many tunnels starts with hundreds."""
PER_SECOND: Final = 10.0
RESUME: Final = 100.0
"""After too many, silence until so many may come again: a few pauses rather than one a line."""


class _Bucket:
    def __init__(self, now: float) -> None:
        self.tokens = BURST
        self.at = now
        self.left_out = 0

    def allow(self, now: float) -> bool:
        self.tokens = min(BURST, self.tokens + (now - self.at) * PER_SECOND)
        self.at = now
        if self.tokens < (RESUME if self.left_out else 1.0):
            self.left_out += 1
            return False
        self.tokens -= 1.0
        return True


class Bound(logging.Filter):
    """For one logger: each level has a bucket, so that a flood of news hides no error.

    `clock` gives monotonic seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._logger = logger
        self._clock = clock
        self._buckets: dict[int, _Bucket] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO:
            return True  # somebody asked for it (log_level of wpa_cli)
        now = self._clock()
        bucket = self._buckets.setdefault(record.levelno, _Bucket(now))
        if not bucket.allow(now):
            return False
        if bucket.left_out:
            text = f"{bucket.left_out} lines were not logged here: too many at once"
            bucket.left_out = 0
            self._logger.callHandlers(
                self._logger.makeRecord(record.name, record.levelno, "", 0, text, (), None)
            )
        return True
