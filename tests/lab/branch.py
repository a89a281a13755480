"""The office of the demo with a gateway that is up and has no init system, and a capture of all its
links.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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

    def comes_back(self) -> None:
        """Raises: AssertionError with the logs if it is not up in time."""
        try:
            until(self.up, within=BACK)
        except AssertionError as error:
            error.add_note(self.gateway.shown("mgu", "up", "--status", may_fail=True))
            for name in NAMES:
                error.add_note(f"--- {name}\n{self.log(name)[-3000:]}")
            raise

    def log(self, name: str) -> str:
        return (self.gateway.root / f"var/log/{name}.log").read_text(errors="replace")

    def pings(self, seconds: float) -> None:
        """Talk to the head office all the time: what is not sealed would be seen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.gateway.quiet("ping", "-c3", "-W0.3", NODE)

    def has_sent_nothing_in_clear(self) -> bool:
        """Raises: AssertionError if it has sent nothing at all."""
        clear, sealed, *_ = wireshark.count(self.capture)
        assert sealed > 0
        return clear == 0

    def has_no_traceback(self) -> bool:
        """Raises: AssertionError with it if a daemon's log has one."""
        for name in NAMES:
            before, word, after = self.log(name).partition("Traceback")
            assert not word, f"{name}: {before[-300:]}{word}{after[:4000]}"
        return True


def _as_it_is(_: Office) -> None:
    """The disks of the gateway are those of the test."""


@contextmanager
def branch_office(folder: Path, prepare: Callable[[Office], None] = _as_it_is) -> Iterator[Branch]:
    """Everything is up. `prepare` is called before anything runs on the gateway."""
    with ExitStack() as stack:
        peers = OwnPeers()
        keys = folder / "keys"
        keys.mkdir(mode=0o700)
        env = {"MGU_DATAPLANE": "userspace", "MGU_EXPORT_KEYS": str(keys)}
        office = Office(folder / "o", env)
        stack.callback(office.delete)
        stack.callback(peers.close)
        prepare(office)
        capture = office.capture()
        stack.enter_context(capture)
        story = Story(office, peers, issue(folder / "papers"))
        try:
            story.set_the_scene()
            story.right_time()
            story.open_port()
            story.keyed_tunnel()
        except DemoFailed as error:
            pytest.fail("\n".join([str(error), *(log.read_text() for log in error.logs)]))
        yield Branch(office, capture)
