"""localNTP's configuration on this gateway: where its files are, and who may read them."""

import sys
from collections.abc import Mapping, Sequence

from mgu.paths import LOCALNTP_CA, LOCALNTP_CONF, LOCALNTP_KEYS, under_root
from ntp import conf
from ntp.conf import Configuration, ServerLine
from ntp.errors import ConfigurationError
from wire.lean import TYPE_CHECKING, Final
from wire.record import Record, replace

if TYPE_CHECKING:
    from pathlib import Path

    from ntp.auth import Key

_OTHERS: Final = 0o077
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


class Setup(Record, kw_only=True):
    """A configuration, its paths as this process opens them, and the keys of its key file."""

    configuration: Configuration
    keys: "Mapping[int, Key]"


def installed() -> Setup:
    """What /etc/localntp.conf says, with its keys. Raises: ConfigurationError; OSError."""
    configuration = configured()
    return Setup(
        configuration=configuration, keys=_read_keys(configuration.keys, is_installed=True)
    )


def configured() -> Configuration:
    """What /etc/localntp.conf says, without the keys, which are root's; nothing if it is not there.

    Raises: ConfigurationError; OSError.
    """
    path = under_root(LOCALNTP_CONF)
    try:
        text = _octets(path).decode("utf-8")
    except FileNotFoundError:
        return Configuration()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not text") from None
    configuration = conf.parse(text, str(path))
    return replace(
        configuration,
        keys=str(under_root(configuration.keys)) if configuration.keys else "",
        ca=str(under_root(configuration.ca)) if configuration.ca else "",
    )


def given(
    *,
    hosts: Sequence[str],
    port: int,
    nts: Sequence[str],
    nts_port: int,
    ca: str,
    keys: str,
    key: int | None,
    pools: Sequence[str] = (),
) -> Setup:
    """What an administrator typed. Raises: ConfigurationError; OSError."""
    known = _read_keys(keys, is_installed=False)
    if keys and not known:  # to go on would mean to ask without authentication
        raise ConfigurationError(f"{keys} holds no key; a line is: identifier, algorithm, key")
    if ca and _CERTIFICATE not in _octets(ca):
        raise ConfigurationError(f"{ca} holds no certificate in PEM form")
    if key is None and known:
        key = next(iter(known))
    if key is not None and not keys:
        raise ConfigurationError("--key needs --keys")
    servers = [ServerLine(host=conf.check_host(host), port=port, key=key) for host in hosts]
    servers += [
        ServerLine(host=conf.check_host(name), pool=True, port=port, key=key) for name in pools
    ]
    servers += [
        ServerLine(host=conf.check_host(host), port=port, nts=True, nts_port=nts_port)
        for host in nts
    ]
    return Setup(configuration=Configuration(servers=tuple(servers), keys=keys, ca=ca), keys=known)


def install(setup: Setup) -> None:
    """Make `setup` the gateway's: copy key and authority files, write the configuration.

    Raises: OSError.
    """
    from mgu.files import PRIVATE, write_whole  # late: most runs of localNTP install nothing

    configuration = setup.configuration
    installed_keys = installed_ca = ""
    if configuration.keys:
        installed_keys = LOCALNTP_KEYS
        _copy(configuration.keys, LOCALNTP_KEYS, PRIVATE)
    if configuration.ca:
        installed_ca = LOCALNTP_CA
        _copy(configuration.ca, LOCALNTP_CA)
    text = conf.write(replace(configuration, keys=installed_keys, ca=installed_ca))
    write_whole(under_root(LOCALNTP_CONF), text.encode())


def _copy(source: str, to: str, mode: int = 0o644) -> None:
    from mgu.files import write_whole

    write_whole(under_root(to), _octets(source), mode)


def _octets(name: "Path | str") -> bytes:
    from wire import files  # late: a query of a server that is named needs no file

    return files.read(name)


def _read_keys(name: str, *, is_installed: bool) -> "Mapping[int, Key]":
    if not name:
        return {}
    from ntp import keys
    from wire import files

    try:
        octets, status = files.read_with_status(name)
        found = keys.parse(octets.decode("utf-8"), name)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} is not text") from None
    if status.st_mode & _OTHERS:
        remedy = f"{name}: others can read the keys in it; do: chmod 600 {name}"
        if is_installed:
            raise ConfigurationError(remedy)
        print(f"localNTP: warning: {remedy}", file=sys.stderr)
    return found
