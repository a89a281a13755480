"""The files of `net8021x`: those it is given are checked, then installed and named.

Everything is checked before anything is written, and what was written is taken back if a later
step fails.
"""

import argparse
import getpass
import os
import sys
from dataclasses import replace
from pathlib import Path

from eapol.conffile import ConfigError
from eapol.config import Config, parse, text
from eapol.errors import CredentialError, EapolError, PassphraseNeeded
from eapol.settings import NamedOctets, NamedSecret, Network, TlsPolicy
from mgu import clock, services
from mgu.commands.net8021x_options import ENVIRONMENT, SERVICE
from mgu.files import PRIVATE, PUBLIC
from mgu.installation import Installation
from mgu.paths import WPA_CERT_DIR, WPA_CTRL_DIR, WPA_SUPPLICANT_CONF, under_root
from wire import files, pem
from wire.lean import TYPE_CHECKING, Final
from wire.secret import Secret

if TYPE_CHECKING:
    from eapol.certificates import Handed

MARK: Final = "# Written by net8021x."


def read(options: argparse.Namespace) -> tuple["Handed", list[str]]:
    """What the options name, in order, and warnings. Raises CredentialError."""
    from eapol.certificates import Handed, judge  # late: -a alone needs no cryptography

    client, ca = _file(options.client, "client certificate"), _file(options.ca, "CA certificate")
    key = _file(options.key, "private key")
    crl = None if options.crl is None else _file(options.crl, "revocation list")
    handed = Handed(
        client=client, ca=ca, key=NamedSecret(key.name, Secret(key.octets)), crl=crl,
        passphrase=_given_passphrase(options.passphrase_file),
    )  # fmt: skip
    try:
        warnings = judge(handed, clock.now())
    except PassphraseNeeded:
        handed = replace(handed, passphrase=_asked_passphrase(key.name))
        warnings = judge(handed, clock.now())
    if Path(options.key).stat().st_mode & 0o077 and b"ENCRYPTED" not in key.octets:
        warnings.append(
            f"{key.name}: other users can read this private key; 'chmod 600 {key.name}'"
        )
    return handed, warnings


def _file(name: str, what: str) -> NamedOctets:
    try:
        return NamedOctets(name, files.read(name, pipe=True))
    except FileNotFoundError:
        raise CredentialError(f"{name}: there is no such file; it should be the {what}") from None
    except PermissionError:
        raise
    except OSError as error:
        raise CredentialError(f"{name}: {error.strerror}; it should be the {what}") from None


def _given_passphrase(file: str | None) -> Secret | None:
    """From the file, or the environment; None if there is none."""
    if file is not None:
        lines = _file(file, "passphrase").octets.splitlines()
        if not lines or not lines[0]:
            raise CredentialError(f"{file}: the first line is empty; write the passphrase there")
        return Secret(lines[0])
    value = os.environb.get(ENVIRONMENT.encode())
    return Secret(value) if value else None


def _asked_passphrase(name: str) -> Secret:
    if not sys.stdin.isatty():
        raise CredentialError(
            f"{name}: the key is encrypted; give its passphrase with --passphrase-file FILE, or in"
            f" the environment variable {ENVIRONMENT}"
        )
    return Secret(getpass.getpass(f"Passphrase of {name}: ").encode())


def check_installed() -> None:
    """There is a configuration to activate, and its files are there."""
    path = under_root(WPA_SUPPLICANT_CONF)
    try:
        config = parse(files.read(path).decode("utf-8", "surrogateescape"), str(path))
    except FileNotFoundError:
        what = f"{path}: there is no such file"
        raise ConfigError(f"{what}; configure with -l, -c, -i and -p first") from None
    for name in _files_of(config):
        if not Path(name).exists():
            what = f"{name}: {path} names this file, and it is not there"
            raise ConfigError(f"{what}; configure again with -l, -c, -i and -p")


# Writing


def install(handed: "Handed", options: argparse.Namespace) -> None:
    """Copy the files, write the configuration: all of it or, after an error, none."""
    conf, folder = under_root(WPA_SUPPLICANT_CONF), under_root(WPA_CERT_DIR)
    client, ca, key = (
        folder / Path(name).name for name in (options.client, options.ca, options.key)
    )
    contents = _contents(handed, client, ca, key)
    config = Config(
        ctrl_interface=str(under_root(WPA_CTRL_DIR)),
        networks=(_network(handed, options, client, ca, key),),
    )
    old = _previous(conf)
    with Installation() as installation:
        for path, (octets, mode) in contents.items():
            installation.write(path, octets, mode)
        if old is not None and not old.startswith(MARK):
            installation.write(conf.with_name(f"{conf.name}.orig"), old.encode(), PRIVATE)
            print(f"The configuration that was there is kept as {conf}.orig.")
        header = f"{MARK} It rewrites this file: edit a copy, or run net8021x again.\n"
        installation.write(conf, (header + text(config)).encode(), PRIVATE)
        if options.activate:
            services.enable(SERVICE)
    _forget_replaced(old, conf, folder, set(contents))
    print(f"The certificates and the key are in {folder}, the configuration is {conf}.")


def _contents(handed: "Handed", client: Path, ca: Path, key: Path) -> dict[Path, tuple[bytes, int]]:
    """What goes where. A certificate file may be the key file, too; then it is kept private."""
    from eapol.certificates import as_pem  # late, as above

    crl = b"" if handed.crl is None else b"\n" + handed.crl.octets
    secret = handed.key.secret.reveal()
    wanted = (
        (client, handed.client.octets, PUBLIC),
        (ca, as_pem(handed.ca) + crl, PUBLIC),  # the list is PEM
        (key, secret, PRIVATE),
    )
    contents: dict[Path, tuple[bytes, int]] = {}
    for path, octets, mode in wanted:
        if path in contents and contents[path][0] != octets:
            raise CredentialError(f"two of the files are called {path.name}; rename one")
        is_private = b"PRIVATE KEY-----" in octets or octets == secret
        contents[path] = (octets, PRIVATE if is_private else mode)
    return contents


def _network(
    handed: "Handed", options: argparse.Namespace, client: Path, ca: Path, key: Path
) -> Network:
    names = () if options.server_name is None else (options.server_name,)
    anonymous = options.anonymous_identity
    key_octets = handed.key.secret.reveal()
    encrypted = b"ENCRYPTED" in key_octets or not pem.is_pem(key_octets)
    return Network(
        identity=os.fsencode(options.identity),
        anonymous_identity=None if anonymous is None else os.fsencode(anonymous),
        ca_cert=str(ca),
        client_cert=str(client),
        private_key=str(key),
        private_key_passwd=handed.passphrase if encrypted else None,
        tls=TlsPolicy(domain_match=names),
    )


def _previous(conf: Path) -> str | None:
    try:
        return files.read(conf).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def _forget_replaced(old: str | None, conf: Path, folder: Path, kept: set[Path]) -> None:
    """Remove the files that our previous configuration named and the new one does not.

    A key that no configuration names must not be left behind.
    """
    if old is None or not old.startswith(MARK):
        return
    try:
        named = {Path(name) for name in _files_of(parse(old, str(conf)))}
    except EapolError:  # it was edited since; then its files are not ours to judge
        return
    for path in named - kept:
        if path.parent == folder:
            path.unlink(missing_ok=True)


def _files_of(config: Config) -> list[str]:
    network = config.network
    if network is None:
        return []
    names = (network.ca_cert, network.client_cert, network.private_key)
    return [name for name in names if name is not None and name.startswith("/")]
