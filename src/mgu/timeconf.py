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
    from wire.source import Notices

_OTHERS: Final = 0o077
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


class Setup(Record, kw_only=True):
    """A configuration, its paths as this process opens them, and the keys of its key file."""

    configuration: Configuration
    keys: "Mapping[int, Key]"
    notices: tuple[str, ...] = ()  # lines of the files that have no effect, with place and reason


def installed() -> Setup:
    """What /etc/localntp.conf says, with its keys. Raises: ConfigurationError; OSError."""
    from wire.source import Notices  # late: a query of a server that is named needs no file

    notices = Notices()
    configuration = configured(notices)
    keys = _read_keys(configuration.keys, notices, is_installed=True)
    return Setup(configuration=configuration, keys=keys, notices=tuple(map(str, notices)))


def configured(notices: "Notices | None" = None) -> Configuration:
    """What /etc/localntp.conf says, without the keys, which are root's; nothing if it is not there.

    Raises: ConfigurationError; OSError.
    """
    from wire.source import Notices

    path = under_root(LOCALNTP_CONF)
    try:
        octets = _octets(path)
    except FileNotFoundError:
        return Configuration()
    configuration = conf.parse(octets, str(path), Notices() if notices is None else notices)
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
    notices: list[str] = []
    known: Mapping[int, Key] = {}
    if keys:
        from wire.source import Notices

        found = Notices()
        known = _read_keys(keys, found, is_installed=False)
        notices += map(str, found)
    if keys and not known:  # to go on would mean to ask without authentication
        what = f"{keys} holds no key; a line is: identifier, algorithm, key"
        raise ConfigurationError("\n".join([what, *notices]))
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
    configuration = Configuration(servers=tuple(servers), keys=keys, ca=ca)
    return Setup(configuration=configuration, keys=known, notices=tuple(notices))


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


def _read_keys(name: str, notices: "Notices", *, is_installed: bool) -> "Mapping[int, Key]":
    if not name:
        return {}
    from ntp import keys
    from wire import files

    octets, status = files.read_with_status(name)
    found = keys.parse(octets, name, notices)
    if status.st_mode & _OTHERS:
        remedy = f"{name}: other users can read the keys in it; run: chmod 600 {name}"
        if is_installed:
            raise ConfigurationError(remedy)
        print(f"localNTP: warning: {remedy}", file=sys.stderr)
    return found
