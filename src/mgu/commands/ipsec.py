"""`ipsec`: create, start, stop, remove and list IPsec connections (manual, 6.1)."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final, NoReturn

from ike.conf.errors import nearest
from ike.conf.protocols import known, protocol_number
from mgu import exits, services
from mgu.connections import certificates, folder, keys, racoon
from mgu.connections.connection import (
    CERTIFICATE,
    PRE_SHARED_KEY,
    Address,
    BadConnection,
    Connection,
    Network,
    check,
)
from mgu.paths import IFCFG_DIR, PSK_TXT, RACOON_CERTS, RACOON_CONF, RACOON_DIR, under_root
from wire.secret import Secret

SERVICE: Final = "racoon"

DESCRIPTION: Final = """\
Create, start, stop and remove IPsec connections. Without an action, list them."""

EPILOG: Final = f"""\
Without --dst-network the traffic with DST itself is protected (transport mode); with it, all
traffic between this gateway and the network behind DST (tunnel mode). A tunnel takes the traffic
of whoever is logged in, too: try transport mode first.

keys
  racoon looks a key up by the peer's address: --dst-preshared-key is the one that authenticates
  the connection, and the peer must have the same key for this gateway's address (IKEv1 has one
  key a pair). --src-preshared-key is kept beside this gateway's own address, for the record and
  for configurations that are copied to the peer; no connection uses it. To keep keys out of the
  shell's history, leave both out and edit {PSK_TXT}, or give FILE with
  --dst-preshared-key=@FILE.

files
  {RACOON_CONF}                  what all connections share
  {RACOON_DIR}/remote-ADDRESS.conf   how to agree on keys with one peer
  {PSK_TXT}             the keys, one entry a host (root only)
  {RACOON_CERTS}/               certificates
  {IFCFG_DIR}/ifcfg-NICK
They are written once and may be changed by hand; ipsec keeps the changes.

exit status: 0 done, 1 refused (the reason is printed, nothing was changed),
  4 no permission, 64 wrong usage

examples
  ipsec --create --name=node --dst-address=192.168.1.200 --dst-preshared-key=secret --start
  ipsec --create --name=office --dst-address=192.168.1.200 --dst-network=192.168.2.0/24 \\
        --src-preshared-key=ours --dst-preshared-key=theirs
  ipsec --create --name=sctp --dst-address=192.168.1.200 --ip-proto=sctp --dst-port=2816
  ipsec --stop --name=office
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"ipsec: {message}; 'ipsec -h' tells more", file=sys.stderr)
        sys.exit(exits.USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ipsec",
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    act = parser.add_argument_group("actions")
    act.add_argument("--create", action="store_true", help="create a connection, or change it")
    act.add_argument("--remove", action="store_true", help="remove it with its keys")
    act.add_argument("--start", action="store_true", help="activate it now")
    act.add_argument("--stop", action="store_true", help="deactivate it until the next boot")
    act.add_argument("--install-certs", action="store_true", help="install certificates")
    act.add_argument("--list", action="store_true", help="list the connections")
    add = parser.add_argument_group("what").add_argument
    add("--name", metavar="NICK", help="the connection's nickname: letters and digits")
    add("--dst-address", type=_address, metavar="DST", help="address of the peer")
    add("--dst-network", type=_network, metavar="CIDR", help="network behind the peer")
    add("--src-address", type=_address, metavar="SRC", help="our address; default: eth0's")
    add("--src-port", type=_port, metavar="PORT", help="only this port of ours")
    add("--dst-port", type=_port, metavar="PORT", help="only this port of the peer")
    add("--ip-proto", type=_protocol, metavar="IPPROT", help="only this protocol, or its number")
    add("--src-preshared-key", type=_key, metavar="KEYPHRASE", help="key of this gateway")
    add("--dst-preshared-key", type=_key, metavar="KEYPHRASE", help="key of the peer")
    add("--ca-cert-file", type=Path, metavar="PEM", help="certificate of the CA")
    add("--cert-file-public", type=Path, metavar="PEM", help="this gateway's certificate")
    add("--cert-file-private", type=Path, metavar="PEM", help="its private key")
    return parser


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no IP address") from None


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no network, such as 192.168.2.0/24"
        ) from None
    raise argparse.ArgumentTypeError(f"'{text}' is a host in a network: do you mean {meant}?")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 0xFFFF:
        raise argparse.ArgumentTypeError(f"'{text}' is no port of 1 to 65535")
    return int(text)


def _protocol(text: str) -> int:
    number = protocol_number(text)
    if number is None:
        hint = nearest(text, list(known()))
        raise argparse.ArgumentTypeError(f"there is no IP protocol '{text}'{hint}")
    return number


def _key(text: str) -> Secret:
    if not text.startswith("@"):
        return Secret(text.encode(errors="surrogateescape"))
    try:
        return Secret((Path(text[1:]).read_bytes().splitlines() or [b""])[0])
    except OSError as error:
        what = f"cannot read the key in {text[1:]}: {error.strerror}"
        raise argparse.ArgumentTypeError(what) from None


def _check_usage(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    named = options.create or options.remove or options.start or options.stop
    files = (options.ca_cert_file, options.cert_file_public, options.cert_file_private)
    if options.create and options.remove:
        parser.error("--create and --remove exclude each other")
    if options.start and (options.stop or options.remove):
        parser.error("--start excludes --stop and --remove")
    if named and not options.name:
        parser.error("which connection? add --name=NICK")
    if options.create and not options.dst_address:
        parser.error("--create needs --dst-address=ADDRESS")
    if options.install_certs and not all(files):
        parser.error(
            "--install-certs needs --ca-cert-file, --cert-file-public, --cert-file-private"
        )
    if any(files) and not options.install_certs:
        parser.error("certificate files are for --install-certs")
    scope = (options.dst_address, options.dst_network, options.src_port, options.dst_port)
    more = (options.src_preshared_key, options.dst_preshared_key, options.ip_proto)
    if not options.create and any(value is not None for value in (*scope, *more)):
        parser.error("what a connection is like goes with --create")


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    _check_usage(parser, options)
    try:
        _act(options)
    except PermissionError as error:
        name = error.filename or under_root(RACOON_DIR)
        print(f"ipsec: {name}: no permission; run this command as root", file=sys.stderr)
        return exits.NO_PERMISSION
    except (BadConnection, services.ServiceError) as error:
        print(f"ipsec: {error}", file=sys.stderr)
        return exits.FAILED
    except OSError as error:
        print(f"ipsec: {error.filename or 'racoon'}: {error.strerror}", file=sys.stderr)
        return exits.FAILED
    return exits.OK


def _act(options: argparse.Namespace) -> None:
    if options.install_certs:
        _install_certificates(options)
    if options.create:
        _create(options)
    if options.start:
        _start(options.name)
    if options.stop and not options.remove:
        _stop(options.name)
    if options.remove:
        _remove(options.name)
    acted = (options.install_certs, options.create, options.start, options.stop, options.remove)
    if options.list or not any(acted):
        _list()


def _install_certificates(options: argparse.Namespace) -> None:
    files = certificates.CertificateFiles(
        ca=options.ca_cert_file,
        public=options.cert_file_public,
        private=options.cert_file_private,
    )
    for warning in certificates.install(files):
        print(f"ipsec: warning: {warning}", file=sys.stderr)
    print(f"The certificates and the key are in {under_root(RACOON_CERTS)}.")


def _create(options: argparse.Namespace) -> None:
    connection = _described(options)
    check(connection)
    others = [other for other in folder.load_all() if other.name != connection.name]
    _check_overlap(connection, others)
    connection = folder.with_free_reqid(connection, others)
    src = folder.source_of(connection)
    psk = under_root(PSK_TXT)
    for key in (options.dst_preshared_key, options.src_preshared_key):
        if key is not None:
            keys.check_key(key)
    racoon.write_common()
    racoon.write_remote(connection.dst, connection.method)
    if options.dst_preshared_key is not None:
        keys.set_key(psk, str(connection.dst), options.dst_preshared_key)
    if options.src_preshared_key is not None:
        keys.set_key(psk, str(src), options.src_preshared_key)
    is_new = connection.name not in folder.names()
    folder.save(connection)
    services.enable(SERVICE)
    if options.start:
        return
    if is_new and services.running(SERVICE):
        folder.set_started(connection.name, False)  # until the next boot, as the manual says
    elif not is_new:
        _reload_if_running()
    print(f"The connection {connection.name} is configured; it is activated at the next boot,")
    print(f"or now with 'ipsec --start --name={connection.name}'.")


def _described(options: argparse.Namespace) -> Connection:
    connection = Connection(
        name=options.name,
        dst=options.dst_address,
        src=options.src_address,
        network=options.dst_network,
        protocol=options.ip_proto or 0,
        src_port=options.src_port or 0,
        dst_port=options.dst_port or 0,
    )
    return replace(connection, method=_method(options))


def _method(options: argparse.Namespace) -> str:
    """Certificates when they were given or are in place and there is no key, else a key."""
    if options.dst_preshared_key is not None:
        return PRE_SHARED_KEY
    if options.install_certs:
        return CERTIFICATE
    if keys.has_key(under_root(PSK_TXT), str(options.dst_address)):
        return PRE_SHARED_KEY
    if certificates.installed():
        return CERTIFICATE
    raise BadConnection(
        f"there is no key for {options.dst_address}: add --dst-preshared-key=KEYPHRASE, or a line"
        f" '{options.dst_address} KEYPHRASE' to {under_root(PSK_TXT)}, or install certificates"
    )


def _check_overlap(connection: Connection, others: Sequence[Connection]) -> None:
    """Two connections for one and the same traffic would fight for it."""
    for other in others:
        twin = replace(
            connection,
            name=other.name,
            method=other.method,
            reqid=other.reqid,
            on_boot=other.on_boot,
        )
        if twin == other:
            raise BadConnection(
                f"the connection '{other.name}' protects this traffic already:"
                f" 'ipsec --remove --name={other.name}' first"
            )


def _start(name: str) -> None:
    connection = folder.load(name)
    src = folder.source_of(connection)
    folder.set_started(name, True)
    if services.running(SERVICE):
        _reload()
    else:
        services.start(SERVICE)
    scope = connection.network or connection.dst
    print(f"The connection {name} is active: traffic between {src} and {scope} is protected,")
    print("or held back until the peer agrees on keys. 'racoonctl -l show-sa isakmp' shows it.")


def _stop(name: str) -> None:
    folder.load(name)
    folder.set_started(name, False)
    _reload_or_stop()
    print(f"The connection {name} is not active any more, until the next boot.")


def _remove(name: str) -> None:
    connection = folder.load(name)
    others = [other for other in folder.load_all() if other.name != name]
    folder.forget(name)
    if all(other.dst != connection.dst for other in others):
        racoon.remote_path(connection.dst).unlink(missing_ok=True)
        keys.remove_key(under_root(PSK_TXT), str(connection.dst))
    if connection.src and all(other.src != connection.src for other in others):
        keys.remove_key(under_root(PSK_TXT), str(connection.src))
    if not others:
        services.disable(SERVICE)
    _reload_or_stop()
    print(f"The connection {name} is removed.")


def _reload_or_stop() -> None:
    """The daemon serves what is left; with nothing left it is stopped."""
    if not services.running(SERVICE):
        return
    if any(folder.is_up(connection) for connection in folder.load_all()):
        _reload()
    else:
        services.stop(SERVICE)


def _reload_if_running() -> None:
    if services.running(SERVICE):
        _reload()


def _reload() -> None:
    """Have the daemon read its files again. Raises: BadConnection when it refuses them."""
    from ike.admin.framing import Command, Request
    from mgu.commands.racoonctl import Connection as AdminConnection
    from mgu.commands.racoonctl import Refused
    from mgu.paths import RACOON_SOCKET

    try:
        with AdminConnection(under_root(RACOON_SOCKET)) as connection:
            connection.ask(Request(command=Command.RELOAD_CONFIG))
    except Refused as error:
        raise BadConnection(f"racoon did not take the change: {error}; its log says why") from None


def _list() -> None:
    names = folder.names()
    if not names:
        print("There are no IPsec connections; 'ipsec -h' says how to create one.")
        return
    running = services.running(SERVICE)
    rows = [("NAME", "MODE", "SOURCE", "DESTINATION", "SCOPE", "STATE")]
    for name in names:
        try:
            rows.append(_row(folder.load(name), running))
        except BadConnection as error:
            print(f"ipsec: {error}", file=sys.stderr)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _row(connection: Connection, running: bool) -> tuple[str, str, str, str, str, str]:
    scope = str(connection.network or "host")
    if connection.protocol:
        scope += f" protocol {connection.protocol}"
    if connection.src_port:
        scope += f" from port {connection.src_port}"
    if connection.dst_port:
        scope += f" to port {connection.dst_port}"
    up = folder.is_up(connection)
    state = "active" if up and running else "at boot" if connection.on_boot else "off"
    return (
        connection.name,
        connection.mode.value.lower(),
        str(connection.src or folder.INTERFACE),
        str(connection.dst),
        scope,
        state,
    )


if __name__ == "__main__":
    sys.exit(main())
