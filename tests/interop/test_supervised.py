"""A gateway without an init system whose daemons are killed, stopped and starved: it ends up."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from lab.process import until
from mgu import services
from mgu.demo import wireshark
from mgu.demo.capture import Capture
from mgu.demo.host import DemoFailed
from mgu.demo.office import FIREWALL, NODE, Office
from mgu.demo.own import OwnPeers
from mgu.demo.papers import issue
from mgu.demo.story import Story
from mgu.services.process import Process, recorded

pytestmark = pytest.mark.interop

NAMES: Final = tuple(each.name for each in services.SERVICES)
BACK: Final = 75.0  # seconds: the longest wait between two starts, and a start


class Branch:
    """The office of the demo, its gateway up, and a capture of all its links."""

    def __init__(self, office: Office, capture: Capture) -> None:
        self.office, self.gateway, self.capture = office, office.gateway, capture

    def process(self, name: str) -> Process | None:
        """The living daemon of a service."""
        found = recorded(self.gateway.root / f"run/mgu/{name}.pid")
        return found if found is not None and found.alive else None

    def signal(self, name: str, number: int) -> None:
        found = self.process(name)
        if found is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, number)

    def up(self) -> bool:
        return (
            self.gateway.quiet("mgu", "up", "--status")
            and self.gateway.quiet("ping", "-c1", "-W1", FIREWALL)
            and self.gateway.quiet("ping", "-c1", "-W1", NODE)
        )

    def log(self, name: str) -> str:
        return (self.gateway.root / f"var/log/{name}.log").read_text(errors="replace")


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[Branch]:
    with ExitStack() as stack:
        peers = OwnPeers()
        keys = tmp_path / "keys"
        keys.mkdir(mode=0o700)
        office = Office(
            tmp_path / "o", {"MGU_DATAPLANE": "userspace", "MGU_EXPORT_KEYS": str(keys)}
        )
        stack.callback(office.delete)
        stack.callback(peers.close)
        capture = office.capture()
        stack.enter_context(capture)
        story = Story(office, peers, issue(tmp_path / "papers"))
        try:
            story.set_the_scene()
            story.right_time()
            story.open_port()
            story.keyed_tunnel()
        except DemoFailed as error:
            pytest.fail("\n".join([str(error), *(log.read_text() for log in error.logs)]))
        yield Branch(office, capture)


def nothing_in_clear(branch: Branch) -> None:
    sealed, clear = (wireshark.count(branch.capture)[index] for index in (1, 0))
    assert sealed > 0
    assert clear == 0


def pings(branch: Branch, seconds: float) -> None:
    """Have the gateway talk to the head office all the time: what is not sealed would be seen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        branch.gateway.quiet("ping", "-c3", "-W0.3", NODE)


@pytest.mark.timeout(300)
def test_daemons_that_are_killed_are_up_again_and_nothing_leaves_in_clear(branch: Branch) -> None:
    before = {name: branch.process(name) for name in NAMES}
    for name in NAMES:
        branch.signal(name, signal.SIGKILL)
    pings(branch, 2.0)
    until(branch.up, within=BACK)
    assert {
        name: branch.process(name) for name in NAMES if branch.process(name) == before[name]
    } == {}
    for name in NAMES:
        assert branch.log(name).count(f"{name} was killed by signal 9") == 1
        assert "Traceback" not in branch.log(name)
    nothing_in_clear(branch)
    assert branch.gateway.quiet("mgu", "down")
    assert [name for name in NAMES if branch.process(name)] == []


@pytest.mark.long
@pytest.mark.timeout(600)
def test_daemons_killed_every_10_s_for_two_minutes_end_up(branch: Branch) -> None:
    for _ in range(12):
        for name in NAMES:
            branch.signal(name, signal.SIGKILL)
        pings(branch, 10.0)
    until(branch.up, within=BACK)
    nothing_in_clear(branch)
    lines = [
        line for name in NAMES for line in branch.log(name).splitlines() if "killed by" in line
    ]
    assert 0 < len(lines) <= 3 * 12
    assert not [name for name in NAMES if "Traceback" in branch.log(name)]


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
        pings(branch, chance.uniform(0.1, 3.0))
    for name in NAMES:  # who stopped a supervisor lets it go on
        found = recorded(branch.gateway.root / f"run/mgu/{name}.supervisor.pid")
        if found is not None and found.alive:
            os.kill(found.pid, signal.SIGCONT)
    until(lambda: branch.gateway.quiet("mgu", "up", "--wait", "5") and branch.up(), within=240.0)
    nothing_in_clear(branch)
    assert not [name for name in NAMES if "Traceback" in branch.log(name)]
