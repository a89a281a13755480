"""The bound on log lines."""

import logging
from collections.abc import Iterator

import pytest

from mgu.logbound import BURST, PER_SECOND, RESUME, Bound


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class Bench:
    def __init__(self) -> None:
        self.now = 0.0
        self.log = logging.getLogger("bound under test")
        self.heard = Heard()
        self._bound = Bound(self.log, lambda: self.now)
        self.log.setLevel(logging.INFO)
        self.log.propagate = False
        self.log.addHandler(self.heard)
        self.log.addFilter(self._bound)

    def close(self) -> None:
        self.log.removeFilter(self._bound)
        self.log.removeHandler(self.heard)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_a_flood_for_an_hour_writes_few_lines_and_says_how_many_are_missing(bench: Bench) -> None:
    for _ in range(36_000):
        bench.now += 0.1
        for _ in range(10):
            bench.log.info("a forged message")
    lines = bench.heard.texts
    assert len(lines) <= (BURST + 3600 * PER_SECOND) * 1.01
    missing = sum(int(line.split()[0]) for line in lines if "not logged" in line)
    shown = sum("forged" in line for line in lines)
    assert shown + missing >= 360_000 - RESUME * 100
    assert lines.count("a forged message") > BURST


def test_a_flood_of_news_hides_no_error(bench: Bench) -> None:
    for _ in range(5000):
        bench.log.info("a forged message")
    bench.log.error("the peer is gone")
    assert bench.heard.texts[-1] == "the peer is gone"


def test_what_an_honest_day_brings_is_all_there(bench: Bench) -> None:
    for number in range(1000):
        bench.log.info("tunnel %d is up", number)
    for number in range(1000):
        bench.now += 0.2
        bench.log.info("tunnel %d is renewed", number)
    assert len(bench.heard.texts) == 2000


def test_who_asks_for_details_gets_all_of_them(bench: Bench) -> None:
    bench.log.setLevel(logging.DEBUG)
    for _ in range(3000):
        bench.log.debug("entering state")
    assert len(bench.heard.texts) == 3000
