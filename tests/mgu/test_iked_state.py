"""A reload of the keying daemon: what is taken over, what is said, and that it holds nobody up."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from ike.commands import Level
from ike.conf.configuration import load
from ike.config import Config
from ike.events import AddressGone, Event
from mgu.connections.served import Served
from mgu.daemons.iked import parser
from mgu.daemons.iked_state import EXPORT, State, export_folder, set_levels

REMOTE = """remote 10.0.0.2 { proposal { encryption_algorithm aes; hash_algorithm sha1;
    authentication_method pre_shared_key; dh_group 2; } }
"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    path = tmp_path / "etc/racoon.conf"
    path.parent.mkdir()
    path.write_text("")
    return path


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """What a reload sets is set back."""
    loggers = [logging.getLogger(name) for name in ("ike", "xfrm", "mgu", "ntp", "eapol")]
    before = [(logger, logger.level, logger.filters[:]) for logger in loggers]
    yield
    for logger, level, filters in before:
        logger.setLevel(level)
        logger.filters[:] = filters


def state(conf: Path, *words: str) -> State:
    options = parser().parse_args(["-f", str(conf), *words])
    return State(options, load(conf, conf.parents[1]))


def write(conf: Path, text: str) -> None:
    conf.write_text(text)


async def reloaded(of: State, conf: Path, text: str) -> tuple[str, ...]:
    write(conf, text)
    taken: list[Config] = []
    result = await of.reload(taken.append)
    assert taken == [result.config]
    return result.remarks


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("listen { isakmp 10.0.0.1; }", "listen"),
        ("listen { isakmp_natt 10.0.0.1; }", "listen"),
        ("listen { strict_address; }", "listen"),
        ('listen { adminsock "/run/x.sock"; }', "adminsock"),
        ("listen { adminsock disabled; }", "adminsock"),
        ('path pidfile "x.pid";', "path pidfile"),
    ],
)
async def test_what_needs_a_restart_is_said_in_the_log_and_to_who_asked(
    conf: Path, caplog: pytest.LogCaptureFixture, text: str, name: str
) -> None:
    running = state(conf)
    said = (f"a change of '{name}' takes effect at the next start: restart the daemon",)
    assert await reloaded(running, conf, text) == said
    assert await reloaded(running, conf, text) == said  # as long as it is so
    assert caplog.messages.count(said[0]) == 2
    assert await reloaded(running, conf, "") == ()


async def test_a_pid_file_that_the_command_line_names_is_not_that_of_the_configuration(
    conf: Path,
) -> None:
    running = state(conf, "--pidfile", "/run/mine.pid")
    assert await reloaded(running, conf, 'path pidfile "x.pid";') == ()


async def test_peers_and_limits_are_taken_over(conf: Path) -> None:
    running = state(conf, "-P", "4501")
    write(conf, REMOTE + "limits { half_open 7; }")
    config = (await running.reload(lambda _: None)).config
    assert [remote.name for remote in config.remotes] == ["10.0.0.2"]
    assert config.limits.half_open == 7
    assert config.natt_port == 4501


async def test_the_level_of_the_log_follows_the_configuration(conf: Path) -> None:
    running = state(conf)
    ike = logging.getLogger("ike")
    levels, told = [], []
    for word in ("debug", "debug2", "info", "notify", "warning", "error"):
        await reloaded(running, conf, f"log {word};")
        levels.append(ike.getEffectiveLevel())
        told.append(running.engine_config(load(conf)).log)
    assert levels == [10, 5, 20, 25, 30, 40]
    assert told == [Level.DEBUG, Level.DEBUG2, *4 * [Level.INFO]]
    assert await reloaded(running, conf, "") == ()
    assert ike.getEffectiveLevel() == logging.INFO


async def test_the_command_lines_d_is_never_taken_back(conf: Path) -> None:
    running = state(conf, "-d")
    set_levels(parser().parse_args(["-d"]), load(conf))
    await reloaded(running, conf, "log error;")
    assert logging.getLogger("ike").getEffectiveLevel() == logging.DEBUG
    await reloaded(running, conf, "log debug2;")
    assert logging.getLogger("ike").getEffectiveLevel() == 5


async def test_a_refused_configuration_changes_nothing_and_names_file_and_line(
    conf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = state(conf)
    level = logging.getLogger("ike").level
    write(conf, "log debug;\nlissen { }")
    taken: list[Config] = []
    with pytest.raises(ValueError, match=r"racoon\.conf:2:1: 'lissen' is not understood"):
        await running.reload(taken.append)
    assert taken == []
    assert gc.isenabled()
    assert logging.getLogger("ike").level == level
    assert "racoon.conf:2:1" in caplog.text


def test_keys_are_exported_where_the_command_line_or_the_environment_says(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = parser().parse_args(["--export-keys", "/keys"])
    assert export_folder(options) == Path("/keys")
    assert export_folder(parser().parse_args([])) is None
    assert not state(conf).engine_config(load(conf)).export_keys
    monkeypatch.setenv(EXPORT, "/more")
    assert export_folder(parser().parse_args([])) == Path("/more")
    assert export_folder(options) == Path("/keys")
    assert state(conf).engine_config(load(conf)).export_keys


class CountsLooks(Served):
    """Counts how often the connections are looked through."""

    def __init__(self) -> None:
        self.looks = 0
        self.looked = asyncio.Event()

    async def update(self) -> None:
        self.looks += 1
        self.looked.set()


async def test_addresses_that_come_and_go_together_are_one_look_at_the_connections(
    conf: Path,
) -> None:
    running = state(conf)
    running.served = served = CountsLooks()
    told: list[Event] = []
    gone = frozenset({ip_address("10.0.0.1"), ip_address("10.0.0.2")})
    running.addresses_changed(told.append, gone)
    running.addresses_changed(told.append, frozenset())
    await asyncio.wait_for(served.looked.wait(), 5)
    assert served.looks == 1
    assert {event.address for event in told if isinstance(event, AddressGone)} == gone
    served.looked.clear()
    running.addresses_changed(told.append, frozenset())
    await asyncio.wait_for(served.looked.wait(), 5)
    assert served.looks == 2


class SlowlyServed(Served):
    """Its policies take until `done`."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.done = asyncio.Event()

    async def update(self) -> None:
        self.begun.set()
        await self.done.wait()


async def test_two_reloads_at_once_are_taken_one_after_the_other(conf: Path) -> None:
    running = state(conf)
    running.served = served = SlowlyServed()
    write(conf, REMOTE)
    taken: list[int] = []
    first = asyncio.create_task(running.reload(lambda config: taken.append(len(config.remotes))))
    await served.begun.wait()
    write(conf, "")
    second = asyncio.create_task(running.reload(lambda config: taken.append(len(config.remotes))))
    done, _ = await asyncio.wait([second], timeout=0.1)
    assert (done, taken) == (set(), [1])
    served.done.set()
    await asyncio.gather(first, second)
    assert taken == [1, 0]
