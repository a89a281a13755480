"""The supplicant's driver over an interface in memory: files, waiting, requests, its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eapol import eap
from eapol.aio.driver import Supervisor
from eapol.aio.inbox import FRAMES, REQUESTS, TooBusy
from eapol.authenticator import AuthenticatorSettings
from eapol.conffile import ConfigError
from eapol.config import Config
from eapol.eap import EapType
from eapol.errors import CredentialError, PassphraseNeeded
from eapol.events import Reauthenticate, Terminate
from eapol.notices import Connected, EapSuccess, Notice, PassphraseAsked
from eapol.settings import Network, TlsPolicy
from eapol.status import PortStatus, WpaState
from lab.eapol_pair import LOGOFF, START, SWITCH, frame
from lab.eapol_wire import Wire
from lab.pki import site, write
from wire.secret import Secret

SITE = site(depth=2)


def network(folder: Path, passphrase: bytes | None = None) -> Network:
    files = write(folder, "gw", SITE.client, SITE.root, passphrase=passphrase)
    return Network(
        identity=b"gw-0001",
        ca_cert=str(files.ca),
        client_cert=str(files.certificate),
        private_key=str(files.key),
    )


def now() -> datetime:
    return datetime.now(UTC)


def supervisor(wire: Wire, config: Config, **more: object) -> Supervisor:
    made = {"date": now, "attach": wire.attach, **more}
    return Supervisor("eth0", lambda: config, **made)  # type: ignore[arg-type]


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(networks=(network(tmp_path),), eapol_version=2)


def read(name: str | None) -> bytes:
    assert name is not None
    return Path(name).read_bytes()


def change(name: str | None, octets: bytes | None) -> None:
    """None removes the file."""
    path = Path(name or "")
    if octets is None:
        path.unlink()
    else:
        path.write_bytes(octets)


async def soon(wanted: Awaitable[object]) -> None:
    async with asyncio.timeout(5.0):
        await wanted


async def until(holds: Callable[[], bool]) -> None:
    """As soon as it holds."""
    async with asyncio.timeout(5.0):
        while not holds():  # noqa: ASYNC110 - a status has no event
            await asyncio.sleep(0)


async def test_the_port_opens_with_keys_and_logs_off_at_its_end(wire: Wire, config: Config) -> None:
    port = supervisor(wire, config, bring_up=True)
    assert (wire.name, wire.bring_up, port.address) == ("eth0", True, wire.address)
    async with port:
        await soon(port.authorized())
        keys = await port.authorized()
        assert wire.switch.keys is not None
        assert keys.msk == wire.switch.keys.msk
        assert port.status().port_status is PortStatus.AUTHORIZED
        await soon(port.end())
        assert wire.frames[-1] == LOGOFF
    assert wire.frames[0] == START
    assert wire.frames[0].version == 2
    assert wire.closed


async def test_the_end_without_a_logoff_sends_none(wire: Wire, config: Config) -> None:
    async with supervisor(wire, config) as port:
        await soon(port.authorized())
        await soon(port.end(logoff=False))
    assert LOGOFF not in wire.frames


async def test_terminate_by_the_control_interface_ends_it(wire: Wire, config: Config) -> None:
    async with supervisor(wire, config) as port:
        await soon(port.authorized())
        port.request(Terminate())
        await soon(port.ended())
    assert wire.frames[-1] == LOGOFF


async def test_a_key_that_is_missing_is_waited_for_and_opens_the_port_when_it_comes(
    wire: Wire, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    key = config.networks[0].private_key
    octets = read(key)
    change(key, None)
    async with supervisor(wire, config) as port:
        await until(lambda: port.status().failure is not None)
        status = port.status()
        assert status.failure == (
            f"{key}: cannot be read (No such file or directory); private_key names it; put the file"
            " there, or run net8021x again; waiting for the file to change"
        )
        assert status.wpa_state is WpaState.DISCONNECTED
        assert wire.frames == []
        change(key, b"half a key")
        await until(lambda: "holds no private key" in (port.status().failure or ""))
        assert (port.status().failure or "").endswith("; waiting for the file to change")
        change(key, octets)
        await soon(port.authorized())
        assert port.status().failure is None
    assert "eth0: certificate files changed and were read again" in caplog.text


async def test_a_renewal_that_cannot_be_used_leaves_what_was_read_in_use(
    wire: Wire, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = config.networks[0].client_cert
    async with supervisor(wire, config) as port:
        await soon(port.authorized())
        change(certificate, b"half a certificate")
        port.request(Reauthenticate())
        await until(lambda: "the file read before stays in use" in caplog.text)
        assert port.status().port_status is PortStatus.AUTHORIZED
        assert f"eth0: {certificate}: holds no X.509 certificate" in caplog.text


async def test_a_network_that_cannot_be_used_is_refused_and_the_old_one_goes_on(
    wire: Wire, config: Config
) -> None:
    async with supervisor(wire, config) as port:
        await soon(port.authorized())
        before = port.network
        for wrong, error in (
            (replace(before, private_key="/nothing"), CredentialError),
            (replace(before, ca_cert=None, tls=TlsPolicy(domain_match=("x",))), ConfigError),
            (replace(before, identity=b""), ConfigError),
        ):
            with pytest.raises(error):
                port.use(wrong)
            assert port.network == before
        await asyncio.sleep(0)
        assert port.status().port_status is PortStatus.AUTHORIZED


async def test_a_network_that_is_disabled_needs_no_files(wire: Wire, config: Config) -> None:
    async with supervisor(wire, config) as port:
        await soon(port.authorized())
        port.use(replace(port.network, private_key="/nothing", disabled=True))
        await until(lambda: port.status().wpa_state is WpaState.INACTIVE)
        waiting = asyncio.ensure_future(port.authorized())
        await asyncio.sleep(0)
        assert not waiting.done()
        port.use(replace(config.networks[0], id_str="back"))
        await soon(waiting)


async def test_a_configuration_is_read_again_with_its_version(wire: Wire, config: Config) -> None:
    read = [config]
    port = Supervisor("eth0", lambda: read[0], date=now, attach=wire.attach)
    async with port:
        await soon(port.authorized())
        read[0] = replace(config, eapol_version=1)
        port.reconfigure()
        await until(lambda: wire.frames[-1].version == 1)
        await soon(port.authorized())
        assert port.config == read[0]


async def test_a_configuration_that_cannot_be_used_is_refused(wire: Wire, config: Config) -> None:
    read = [config]
    port = Supervisor("eth0", lambda: read[0], date=now, attach=wire.attach)
    async with port:
        await soon(port.authorized())
        read[0] = replace(config, networks=(replace(config.networks[0], private_key="/nothing"),))
        with pytest.raises(CredentialError):
            port.reconfigure()
        assert port.config == config
        assert port.status().port_status is PortStatus.AUTHORIZED


async def test_a_control_socket_elsewhere_is_for_the_next_start_and_said(
    wire: Wire, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    read = [config]
    port = Supervisor("eth0", lambda: read[0], date=now, attach=wire.attach)
    port.reconfigure()
    assert "the control socket is not changed" not in caplog.text
    for elsewhere in (
        replace(config, ctrl_interface="/elsewhere"),
        replace(config, ctrl_interface="/elsewhere", ctrl_interface_group="else"),
    ):
        read[0] = elsewhere
        port.reconfigure()
        assert "eth0: the control socket is not changed" in caplog.text
        caplog.clear()


async def test_a_passphrase_is_asked_for_and_a_wrong_one_is_refused(
    wire: Wire, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wanted = network(tmp_path, b"sesame")
    config = Config(networks=(wanted,), ctrl_interface="/run/wpa_supplicant")
    async with supervisor(wire, config) as port:
        assert str(PassphraseAsked()) in caplog.text
        await until(lambda: "give its passphrase" in (port.status().failure or ""))
        with pytest.raises(CredentialError, match="wrong"):
            port.passphrase(Secret(b"friend"))
        port.passphrase(Secret(b"sesame"))
        await soon(port.authorized())
    assert "sesame" not in caplog.text


async def test_without_a_control_socket_nobody_is_asked(
    wire: Wire, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wanted = network(tmp_path, b"sesame")
    port = supervisor(wire, Config(networks=(wanted,)))
    assert "CTRL-REQ" not in caplog.text
    with pytest.raises(PassphraseNeeded):
        port.use(wanted)


async def test_what_is_wrong_with_the_interface_is_in_the_status(
    wire: Wire, config: Config
) -> None:
    wire.trouble, wire.is_missing = "eth0: there is no such interface; waiting for eth0", True
    port = supervisor(wire, config)
    assert port.waits_for_interface
    assert port.status().failure == wire.trouble
    wire.trouble = None
    assert port.status().failure is None


async def test_the_interface_is_looked_at_with_the_files(wire: Wire, config: Config) -> None:
    async with supervisor(wire, config) as port:
        await soon(port.authorized())
    assert wire.looks >= 1


async def test_frames_faster_than_they_can_be_handled_are_dropped_and_counted(
    wire: Wire, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    asked = frame(eap.request(7, EapType.IDENTITY))
    async with supervisor(wire, config) as port:
        await soon(port.authorized())
        for _ in range(FRAMES + 50):
            wire.received(asked, SWITCH)
        port.request(Reauthenticate())
        await until(lambda: "were dropped" in caplog.text)
        assert "eth0: 50 frames came faster than they could be handled" in caplog.text
        for _ in range(REQUESTS - 1):  # one waits already, behind the frames
            port.request(Reauthenticate())
        with pytest.raises(TooBusy):
            port.request(Reauthenticate())


async def test_listeners_hear_notices_until_they_leave(wire: Wire, config: Config) -> None:
    heard: list[Notice] = []
    port = supervisor(wire, config)
    leave = port.listen(heard.append)
    async with port:
        await soon(port.authorized())
        await until(lambda: any(isinstance(notice, Connected) for notice in heard))
        leave()
        count = len(heard)
        await soon(port.end())
    assert len(heard) == count


async def test_no_text_of_others_makes_lines_or_colours_in_the_log(
    wire: Wire, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    named = replace(config.networks[0], id_str="a\r\n\x1b[2Jb")
    async with supervisor(wire, replace(config, networks=(named,))) as port:
        await soon(port.authorized())
        await until(lambda: "CTRL-EVENT-CONNECTED" in caplog.text)
    assert "id_str=a\\r\\n\\x1b[2Jb]" in caplog.text


def test_a_name_that_no_file_can_have_is_refused(wire: Wire, config: Config) -> None:
    port = supervisor(wire, config)
    with pytest.raises(CredentialError, match="zero octet"):
        port.use(replace(config.networks[0], private_key="/etc/a\0b"))


async def test_what_only_fills_the_log_is_at_debug_and_certificates_are_never_there(
    wire: Wire, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with supervisor(wire, config) as port:
        await soon(port.authorized())
    levels = {record.getMessage(): record.levelno for record in caplog.records}
    status = "eth0: CTRL-EVENT-EAP-STATUS status='started' parameter=''"
    assert levels[status] == logging.DEBUG
    assert levels["eth0: EAPOL: SUPP_PAE entering state AUTHENTICATED"] == logging.DEBUG
    assert levels[f"eth0: {EapSuccess()}"] == logging.INFO
    assert not any(" cert=" in line for line in levels)
    assert any(" hash=" in line for line in levels)


def test_what_works_and_should_not_have_to_is_warned_of(
    wire: Wire, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    key = Path(config.networks[0].private_key or "")
    key.chmod(0o644)
    trusting = replace(config, networks=(replace(config.networks[0], ca_cert=None),))
    supervisor(wire, trusting)
    assert f"{key}: other users can read this key; run: chmod 600 {key}" in caplog.text
    assert "eth0: no ca_cert is configured: any server is trusted" in caplog.text


async def test_files_inside_the_configuration_are_used(wire: Wire, config: Config) -> None:
    plain = config.networks[0]
    blob = read(plain.ca_cert)
    inside = replace(plain, ca_cert="blob://ca")
    async with supervisor(wire, replace(config, networks=(inside,), blobs={"ca": blob})) as port:
        await soon(port.authorized())
        with pytest.raises(CredentialError, match="the configuration has no such blob"):
            port.use(replace(inside, client_cert="blob://none"))


async def test_the_key_log_gets_the_secrets(wire: Wire, config: Config) -> None:
    lines: list[bytes] = []
    async with supervisor(wire, config, keylog=lines.append) as port:
        await soon(port.authorized())
    assert any(line.startswith(b"CLIENT_TRAFFIC_SECRET_0 ") for line in lines)


async def test_a_server_that_refuses_us_is_told_and_the_port_stays_closed(config: Config) -> None:
    wire = Wire(AuthenticatorSettings(identities=frozenset({b"somebody else"})))
    async with supervisor(wire, config) as port:
        await until(lambda: port.status().failure is not None)
        assert port.status().port_status is PortStatus.UNAUTHORIZED
        assert "refused us (EAP-Failure) before a method" in (port.status().failure or "")


async def test_nothing_to_use_is_inactive(wire: Wire) -> None:
    async with supervisor(wire, Config()) as port:
        await asyncio.sleep(0)
        assert port.status().wpa_state is WpaState.INACTIVE
        assert port.network.disabled


def two(config: Config, *, second_key: str | None = None) -> Config:
    """A network that the switch does not know, and one that it does."""
    (known,) = config.networks
    unknown = replace(known, identity=b"gw-0000")
    if second_key is not None:
        unknown = replace(unknown, private_key=second_key)
    return replace(config, networks=(unknown, known))


async def test_a_network_that_is_refused_gives_way_to_the_next(config: Config) -> None:
    settings = AuthenticatorSettings(identities=frozenset({b"gw-0001"}), quietPeriod=0.0)
    wire = Wire(settings)
    async with supervisor(wire, two(config)) as port:
        await soon(port.authorized())
        assert port.network.identity == b"gw-0001"


async def test_a_network_whose_files_cannot_be_used_is_named_and_passed_over(
    wire: Wire, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervisor(wire, two(config, second_key="/nowhere/gw.key")) as port:
        await soon(port.authorized())
        assert port.network.identity == b"gw-0001"
    assert "/nowhere/gw.key: cannot be read" in caplog.text
    assert "this network is passed over" in caplog.text
