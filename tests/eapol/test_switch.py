"""The drivers of both ends over a cable in memory."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eapol.aio.authenticator import Switch, main, parser, serve
from eapol.aio.driver import Supervisor
from eapol.aio.inbox import FRAMES
from eapol.authenticator import Authenticator, AuthenticatorSettings
from eapol.config import Config
from eapol.events import PortAuthorized
from eapol.notices import EapSuccess, Notice
from eapol.settings import Network
from lab.eapol_pair import START, server_context
from lab.eapol_wire import Cable
from lab.pki import site, write


class Watched:
    """A switch that keeps what it is told of its port."""

    def __init__(self, cable: Cable, settings: AuthenticatorSettings | None = None) -> None:
        self.opened: asyncio.Queue[PortAuthorized] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.switch = Switch(
            "sw0",
            server_context(),
            settings,
            authorized=self._authorized,
            unauthorized=self.closed.set,
            attach=cable.attach,
        )

    def _authorized(self, _: Authenticator, keys: PortAuthorized) -> None:
        self.opened.put_nowait(keys)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    files = write(tmp_path, "gw", site(depth=2).client, site(depth=2).root)
    network = Network(
        identity=b"gw-0001",
        ca_cert=str(files.ca),
        client_cert=str(files.certificate),
        private_key=str(files.key),
    )
    return Config(networks=(network,))


def gateway(cable: Cable, config: Config) -> Supervisor:
    return Supervisor("eth0", lambda: config, date=lambda: datetime.now(UTC), attach=cable.attach)


async def test_both_drivers_open_the_port_with_the_same_keys_and_close_it(config: Config) -> None:
    cable = Cable()
    watched = Watched(cable)
    async with asyncio.timeout(10), watched.switch, gateway(cable, config) as port:
        ours, theirs = await port.authorized(), await watched.opened.get()
        assert ours == theirs
        await port.end()
        await watched.closed.wait()


async def test_the_switch_authenticates_again_when_it_is_told_to(config: Config) -> None:
    cable = Cable()
    watched = Watched(cable)
    async with asyncio.timeout(10), watched.switch, gateway(cable, config) as port:
        await port.authorized()
        first = await watched.opened.get()
        watched.switch.reauthenticate()
        assert await watched.opened.get() != first


async def test_who_is_refused_is_in_the_switchs_log(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cable = Cable()
    watched = Watched(cable, AuthenticatorSettings(identities=frozenset({b"other"})))
    other = replace(config, networks=(replace(config.networks[0], identity=b"a\rb"),))
    async with asyncio.timeout(10), watched.switch, gateway(cable, other) as port:
        while port.status().failure is None:  # noqa: ASYNC110 - a status has no event
            await asyncio.sleep(0)
    assert "sw0 (switch): " in caplog.text
    assert "\r" not in caplog.text


async def test_a_flood_costs_the_switch_frames_and_no_memory() -> None:
    cable = Cable()
    watched = Watched(cable)
    for _ in range(2 * FRAMES):
        cable.ends["sw0"].received(bytes(START), bytes(6))
    assert watched.switch._inbox.qsize() == FRAMES


def test_what_the_switch_cannot_read_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none")
    words = ["-i", "sw0", "--ca", missing, "--cert", missing, "--key", missing]
    assert main(words) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    server = tmp_path / "server"
    server.mkdir()
    files = write(server, "radius", site(depth=2).server, site(depth=2).root)
    named = {"--ca": files.ca, "--cert": files.certificate, "--key": files.key}
    return ["-i", "sw0", *(str(word) for pair in named.items() for word in pair)]


async def printed(
    words: list[str], config: Config, capsys: pytest.CaptureFixture[str], cable: Cable | None = None
) -> str:
    """What the program prints while a gateway comes and goes."""
    cable = cable or Cable()
    serving = asyncio.create_task(serve(parser().parse_args(words), cable.attach))
    await asyncio.sleep(0)
    async with asyncio.timeout(10), gateway(cable, config) as port:
        await port.authorized()
        await port.end()
        await asyncio.sleep(0)
    serving.cancel()
    await asyncio.wait([serving])
    return capsys.readouterr().out


async def test_the_program_prints_each_change_of_its_port(
    words: list[str], config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (await printed(words, config, capsys)).splitlines()
    assert lines[0] == "ready"
    assert lines[1].startswith("authorized b'gw-0001' TlsStatus(version='TLSv1.3', cipher='TLS_")
    assert lines[2:] == ["unauthorized"]


async def test_the_program_does_what_its_options_say(
    words: list[str], config: Config, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "keys"
    more = ["--tls-max", "TLSv1.2", "--fragment", "200", "--key-log", str(log)]
    shown = await printed([*words, *more], config, capsys)
    assert "version='TLSv1.2'" in shown
    assert b"CLIENT_RANDOM " in read(log)


async def test_the_program_authenticates_again_so_often(words: list[str], config: Config) -> None:
    cable = Cable()
    options = parser().parse_args([*words, "--reauth", "0.1"])
    serving = asyncio.create_task(serve(options, cable.attach))
    await asyncio.sleep(0)
    heard: asyncio.Queue[Notice] = asyncio.Queue()
    async with asyncio.timeout(10), gateway(cable, config) as port:
        port.listen(heard.put_nowait)
        for _ in range(3):
            while not isinstance(await heard.get(), EapSuccess):
                pass
    serving.cancel()
    await asyncio.wait([serving])


def read(path: Path) -> bytes:
    return path.read_bytes()


def test_the_programs_options_have_the_pages_defaults(words: list[str]) -> None:
    options = parser().parse_args(words)
    assert (options.fragment, options.reauth, options.no_promise) == (1020, None, False)
    assert (options.tls_max.value, options.key_log) == ("TLSv1.3", None)
    options = parser().parse_args([*words, "--reauth", "2.5", "--no-promise"])
    assert (options.reauth, options.no_promise) == (2.5, True)


@pytest.mark.parametrize("missing", ["-i", "--ca", "--cert", "--key"])
def test_the_program_wants_its_interface_and_files(
    words: list[str], missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = words.index(missing)
    with pytest.raises(SystemExit):
        main([*words[:at], *words[at + 2 :]])
    assert missing in capsys.readouterr().err


def test_a_switch_has_nothing_to_tell_before_anybody_came() -> None:
    port = Authenticator(server_context())
    assert (port.authorized, port.identity, port.keys, port.tls) == (False, b"", None, None)
