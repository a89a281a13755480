"""A daemon that waits for the right date before it checks certificates."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mgu import timekeeping
from mgu.daemons import date
from ntp.trust import Level, Trust

LONG = 60.0  # seconds: a test that takes so long has failed


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def service() -> Iterator[None]:
    """localntp is at work."""
    with timekeeping.at_work():
        yield


def make_right() -> None:
    timekeeping.mark_right(Trust(level=Level.AGREED, by=("a", "b"), since=0, error=1000))


async def test_it_begins_when_the_date_is_right(service: None) -> None:
    waiting = asyncio.create_task(date.right(LONG, asyncio.Event()))
    done, _ = await asyncio.wait([waiting], timeout=4 * date.LOOK)
    assert not done
    make_right()
    assert await waiting


async def test_a_date_that_is_right_is_not_waited_for(service: None) -> None:
    make_right()
    assert await date.right(LONG, asyncio.Event())


async def test_it_begins_after_a_while_all_the_same(
    service: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert await date.right(0.01, asyncio.Event())
    assert [each.getMessage() for each in caplog.records] == [
        "the date is not right yet: waiting for it, 0.01 s at most"
    ]


async def test_where_nobody_sets_the_date_nobody_waits(root: Path) -> None:
    assert await date.right(LONG, asyncio.Event())
    timekeeping.at_work().close()  # it was stopped, or killed
    assert (root / "run/mgu/localntp/lock").exists()
    assert await date.right(LONG, asyncio.Event())


async def test_without_the_option_nobody_waits(service: None) -> None:
    assert await date.right(0.0, asyncio.Event())


async def test_who_is_stopped_waits_no_longer(service: None) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(date.right(LONG, stop))
    await asyncio.sleep(0)
    stop.set()
    assert not await waiting
