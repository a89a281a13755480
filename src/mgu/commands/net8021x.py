"""`net8021x`: install the certificates of port authentication, write wpa_supplicant.conf.

Everything is checked before anything is written, and what was written is taken back if a later
step fails. Doing it twice changes nothing.
"""

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eapol.config import Config, parse, text
from eapol.errors import EapolError, PassphraseNeeded
from eapol.settings import NamedOctets, NamedSecret, Network, TlsPolicy
from mgu import clock, exits, services
from mgu.arguments import Parser
from mgu.files import PRIVATE, PUBLIC
from mgu.installation import Installation
from mgu.paths import WPA_CERT_DIR, WPA_CTRL_DIR, WPA_SUPPLICANT_CONF, under_root
from mgu.wpa_ctrl import Client, NotServed
from wire.secret import Secret

if TYPE_CHECKING:
    from eapol.certificates import Handed

SERVICE: Final = "wpa_supplicant"
PORT: Final = "eth0"
ENVIRONMENT: Final = "NET8021X_PASSPHRASE"
MARK: Final = "# Written by net8021x."
_LARGEST: Final = 1 << 20  # octets; no certificate file comes near it

DESCRIPTION: Final = """\
Configure the IEEE 802.1X authentication (EAP-TLS) of this gateway's port eth0."""

EPILOG: Final = f"""\
The files are checked, copied to {WPA_CERT_DIR} (the key readable by root only) and named in
{WPA_SUPPLICANT_CONF}. CLIENT may hold the certificates between the client's and the CA's, too:
the client's first, each followed by its issuer's. Dates are judged by this gateway's clock;
set it with localNTP first.

The passphrase of an encrypted key is asked for, or taken from --passphrase-file, or from the
environment variable {ENVIRONMENT}.

exit status: 0 done, 1 refused (the reason is printed, nothing was changed),
  4 no permission, 64 wrong usage

example:
  net8021x -l ./clientCert1024.pem -c ./cacert.pem -i test@test.se -p ./privateKey.pem -a
"""


class Refused(Exception):
    """The command cannot do it; the text says why and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        _check_usage(parser, options)
        _act(options)
    except PermissionError as error:
        name = error.filename or under_root(WPA_SUPPLICANT_CONF)
        print(f"net8021x: {name}: no permission; run this command as root", file=sys.stderr)
        return exits.NO_PERMISSION
    except (Refused, EapolError, services.ServiceError) as error:
        print(f"net8021x: {error}", file=sys.stderr)
        return exits.FAILED
    except (KeyboardInterrupt, EOFError):  # instead of a passphrase
        print("net8021x: given up, nothing was changed", file=sys.stderr)
        return exits.FAILED
    except OSError as error:
        print(f"net8021x: {error.filename}: {error.strerror}", file=sys.stderr)
        return exits.FAILED
    return exits.OK


def _parser() -> argparse.ArgumentParser:
    parser = Parser("net8021x", description=DESCRIPTION, epilog=EPILOG)
    add = parser.add_argument
    add("-l", dest="client", metavar="CLIENT", help="client certificate, PEM, X.509 version 3")
    add("-c", dest="ca", metavar="CA", help="certificate of the CA (root), PEM")
    add("-i", dest="identity", metavar="IDENTITY", help="identity shown to the switch")
    add("-p", dest="key", metavar="KEY", help="private key of the client certificate, PEM")
    add("-a", dest="activate", action="store_true", help="activate: start the service at boot")
    add("-d", dest="deactivate", action="store_true", help="do not start the service at boot")
    add("--now", action="store_true", help="with -a or -d: start or stop it at once, too")
    add("--crl", metavar="FILE", help="revocation lists (PEM) the server is checked against")
    add("--server-name", metavar="NAME", help="the server's certificate must be for NAME")
    add("--anonymous-identity", metavar="NAME", help="identity shown in the clear instead")
    add("--passphrase-file", metavar="FILE", help="first line: passphrase of the key")
    add("--dry-run", action="store_true", help="check only, change nothing")
    return parser


def _check_usage(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """What argparse cannot say: which options need which."""
    files = {"-l": options.client, "-c": options.ca, "-i": options.identity, "-p": options.key}
    missing = [name for name, value in files.items() if not value]
    if options.activate and options.deactivate:
        parser.error("-a and -d exclude each other")
    if missing and len(missing) < len(files):
        parser.error(f"{' and '.join(missing)} missing: -l, -c, -i and -p belong together")
    if missing and not (options.activate or options.deactivate):
        parser.error("give -l, -c, -i and -p, or -a, or -d")
    if options.now and not (options.activate or options.deactivate):
        parser.error("--now needs -a or -d")


def _act(options: argparse.Namespace) -> None:
    if options.client is not None:
        handed, warnings = _read(options)
        for warning in warnings:
            print(f"net8021x: warning: {warning}", file=sys.stderr)
        if options.dry_run:
            print("The files are in order; nothing was changed.")
            return
        _install(handed, options)
    elif options.activate:
        _check_installed()
    if options.dry_run:
        return
    if options.activate:
        _activate(options.now)
    if options.deactivate:
        _deactivate(options.now)


# Reading and checking


def _read(options: argparse.Namespace) -> tuple["Handed", list[str]]:
    """What the options name, in order, and warnings. Raises Refused, CredentialError."""
    from eapol.certificates import Handed, judge  # late: `net8021x -h` needs no cryptography

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
        warnings.append(f"{key.name}: others can read this private key; 'chmod 600 {key.name}'")
    return handed, warnings


def _file(name: str, what: str) -> NamedOctets:
    try:
        with open(name, "rb") as file:
            octets = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise Refused(f"{name}: there is no such file; give the {what} as a PEM file") from None
    except IsADirectoryError:
        raise Refused(f"{name}: this is a directory; give the {what} as a PEM file") from None
    if len(octets) > _LARGEST:
        raise Refused(f"{name}: too large for a {what}; give a PEM file")
    return NamedOctets(name, octets)


def _given_passphrase(file: str | None) -> Secret | None:
    """From the file, or the environment; None if there is none."""
    if file is not None:
        lines = _file(file, "passphrase").octets.splitlines()
        if not lines or not lines[0]:
            raise Refused(f"{file}: the first line is empty; write the passphrase there")
        return Secret(lines[0])
    value = os.environb.get(ENVIRONMENT.encode())
    return Secret(value) if value else None


def _asked_passphrase(name: str) -> Secret:
    if not sys.stdin.isatty():
        raise Refused(
            f"{name}: the key is encrypted; give its passphrase with --passphrase-file FILE, or in"
            f" the environment variable {ENVIRONMENT}"
        )
    return Secret(getpass.getpass(f"Passphrase of {name}: ").encode())


def _check_installed() -> None:
    """There is a configuration to activate, and its files are there."""
    path = under_root(WPA_SUPPLICANT_CONF)
    try:
        config = parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        what = f"{path}: there is no such file"
        raise Refused(f"{what}; configure with -l, -c, -i and -p first") from None
    for name in _files_of(config):
        if not Path(name).exists():
            what = f"{name}: {path} names this file, and it is not there"
            raise Refused(f"{what}; configure again with -l, -c, -i and -p")


# Writing


def _install(handed: "Handed", options: argparse.Namespace) -> None:
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
    crl = b"" if handed.crl is None else b"\n" + handed.crl.octets
    wanted = (
        (client, handed.client.octets, PUBLIC),
        (ca, handed.ca.octets + crl, PUBLIC),
        (key, handed.key.secret.reveal(), PRIVATE),
    )
    contents: dict[Path, tuple[bytes, int]] = {}
    for path, octets, mode in wanted:
        if path in contents and contents[path][0] != octets:
            raise Refused(f"two of the files are called {path.name}; rename one")
        contents[path] = (octets, PRIVATE if b"PRIVATE KEY-----" in octets else mode)
    return contents


def _network(
    handed: "Handed", options: argparse.Namespace, client: Path, ca: Path, key: Path
) -> Network:
    names = () if options.server_name is None else (options.server_name,)
    anonymous = options.anonymous_identity
    encrypted = b"ENCRYPTED" in handed.key.secret.reveal()
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
        return conf.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def _forget_replaced(old: str | None, conf: Path, folder: Path, kept: set[Path]) -> None:
    """Remove the files that our previous configuration named and the new one does not.

    A key that nothing names any more is a key that nobody guards.
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


# The service


def _activate(now: bool) -> None:
    services.enable(SERVICE)
    if not now:
        print(f"The service {SERVICE} is enabled. Reboot the gateway to activate it.")
        return
    if not _told_to_read_again():
        services.stop(SERVICE)
        services.start(SERVICE)
    print(f"The service {SERVICE} is enabled and runs; 'wpa_cli status' shows the port.")


def _told_to_read_again() -> bool:
    """A supplicant that runs begins anew with the new files: sooner than after a restart, which
    logs off first."""
    if not services.running(SERVICE):
        return False
    try:
        with Client(under_root(WPA_CTRL_DIR), PORT) as supplicant:
            return supplicant.request("RECONFIGURE") == "OK\n"
    except NotServed:
        return False


def _deactivate(now: bool) -> None:
    services.disable(SERVICE)
    if not now:
        print(f"The service {SERVICE} is disabled. Reboot the gateway to stop it.")
        return
    services.stop(SERVICE)
    print(f"The service {SERVICE} is disabled and stopped.")


if __name__ == "__main__":
    sys.exit(main())
