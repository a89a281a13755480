"""A gateway without an init system whose daemons are killed, stopped and starved: it ends up."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.branch import NAMES, Branch, branch_office
from lab.process import until
from mgu.services.process import recorded

pytestmark = pytest.mark.interop


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[Branch]:
    with branch_office(tmp_path) as running:
        yield running


@pytest.mark.long
@pytest.mark.timeout(300)
def test_daemons_that_are_killed_are_up_again_and_nothing_leaves_in_clear(branch: Branch) -> None:
    before = {name: branch.process(name) for name in NAMES}
    for name in NAMES:
        branch.signal(name, signal.SIGKILL)
    branch.pings(2.0)
    branch.comes_back()
    assert {
        name: branch.process(name) for name in NAMES if branch.process(name) == before[name]
    } == {}
    for name in NAMES:
        assert branch.log(name).count(f"{name} was killed by signal 9") == 1
        assert "Traceback" not in branch.log(name)
    assert branch.has_sent_nothing_in_clear()
    assert branch.gateway.quiet("mgu", "down")
    assert [name for name in NAMES if branch.process(name)] == []


@pytest.mark.long
@pytest.mark.timeout(600)
def test_daemons_killed_every_10_s_for_two_minutes_end_up(branch: Branch) -> None:
    for _ in range(12):
        for name in NAMES:
            branch.signal(name, signal.SIGKILL)
        branch.pings(10.0)
    branch.comes_back()
    assert branch.has_sent_nothing_in_clear()
    lines = [
        line for name in NAMES for line in branch.log(name).splitlines() if "killed by" in line
    ]
    assert 0 < len(lines) <= 3 * 12
    assert branch.has_no_traceback()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_signals_at_random_moments_end_in_a_gateway_that_is_up(branch: Branch) -> None:
    """Daemons and supervisors; `mgu up` leaves another supervisor where one is gone."""
    chance = random.Random(7)
    for _ in range(30):
        name = chance.choice(NAMES)
        number = chance.choice([signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP, signal.SIGTERM])
        if number in (signal.SIGKILL, signal.SIGSTOP) and chance.random() < 0.3:
            found = recorded(branch.gateway.root / f"run/mgu/{name}.supervisor.pid")
            if found is not None and found.alive:
                os.kill(found.pid, number)
        else:
            branch.signal(name, number)
        branch.pings(chance.uniform(0.1, 3.0))
    for name in NAMES:  # who stopped a supervisor lets it go on
        found = recorded(branch.gateway.root / f"run/mgu/{name}.supervisor.pid")
        if found is not None and found.alive:
            os.kill(found.pid, signal.SIGCONT)
    until(lambda: branch.gateway.quiet("mgu", "up", "--wait", "5") and branch.up(), within=240.0)
    assert branch.has_sent_nothing_in_clear()
    assert branch.has_no_traceback()
