"""The options of `ipsec`: what they mean, and which of them go together."""

import argparse

from mgu.arguments import Parser
from mgu.paths import IFCFG_DIR, PSK_TXT, RACOON_CERTS, RACOON_CONF, RACOON_DIR
from wire import files
from wire.lean import TYPE_CHECKING, Final
from wire.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from mgu.connections.connection import Address, Network

DESCRIPTION: Final = """\
Create, start, stop and remove IPsec connections. Without an action, list them."""

EPILOG: Final = f"""\
Without --dst-network the traffic with DST itself is protected (transport mode); with it, all
traffic between this gateway and the network behind DST (tunnel mode). A tunnel also covers
the session that you are logged in with: try transport mode first.

keys
  racoon finds a key by the peer's address: --dst-preshared-key is the one that authenticates
  the connection, and the peer must have the same key for this gateway's address (IKEv1 has one
  key per pair). --src-preshared-key is stored under this gateway's own address, for
  configurations that are copied to the peer; no connection uses it. To keep keys out of the
  shell's history, leave both out and edit {PSK_TXT}, or give FILE with
  --dst-preshared-key=@FILE.

certificates
  The peer is accepted with a certificate of the CA whose subjectAltName has its address DST.
  --dst-id sets the name that it must have instead: a DN ('O=Branch, CN=gw'), a host name, an
  address.

files
  {RACOON_CONF:<34}  what all connections share
  {RACOON_DIR + "/remote-ADDRESS.conf":<34}  how keys are negotiated with one peer
  {PSK_TXT:<34}  the keys, one entry per host (root only)
  {RACOON_CERTS + "/":<34}  certificates
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


def parser() -> Parser:
    made = Parser("ipsec", description=DESCRIPTION, epilog=EPILOG)
    act = made.add_argument_group("actions")
    act.add_argument("--create", action="store_true", help="create a connection, or change it")
    act.add_argument("--remove", action="store_true", help="remove it with its keys")
    act.add_argument("--start", action="store_true", help="activate it now")
    act.add_argument("--stop", action="store_true", help="deactivate it until the next boot")
    act.add_argument("--install-certs", action="store_true", help="install certificates")
    act.add_argument("--list", action="store_true", help="list the connections")
    add = made.add_argument_group("what").add_argument
    add("--name", metavar="NICK", help="the connection's nickname: letters and digits")
    add("--dst-address", type=_address, metavar="DST", help="address of the peer")
    add("--dst-network", type=_network, metavar="CIDR", help="network behind the peer")
    add("--src-network", type=_network, metavar="CIDR", help="network behind us, for a firewall")
    add("--src-address", type=_address, metavar="SRC", help="our address; default: eth0's")
    add("--src-port", type=_port, metavar="PORT", help="only this local port")
    add("--dst-port", type=_port, metavar="PORT", help="only this port of the peer")
    add("--ip-proto", type=_protocol, metavar="IPPROT", help="only this protocol, or its number")
    add("--src-preshared-key", type=_key, metavar="KEYPHRASE", help="key of this gateway")
    add("--dst-preshared-key", type=_key, metavar="KEYPHRASE", help="key of the peer")
    add("--dst-id", metavar="ID", help="what the peer's certificate must name; default: DST")
    add("--ca-cert-file", type=_path, metavar="PEM", help="certificate of the CA")
    add("--cert-file-public", type=_path, metavar="PEM", help="this gateway's certificate")
    add("--cert-file-private", type=_path, metavar="PEM", help="its private key")
    return made


# What the options' types need is imported with them: the help needs none of it.


def _path(text: str) -> "Path":
    from pathlib import Path

    return Path(text)


def _address(text: str) -> "Address":
    from wire.addresses import Scoped, unscoped

    try:
        address = unscoped(text)
        if address.is_link_local:
            raise Scoped(f"'{text}' is a link-local address, which means another host on each link")
        return address
    except Scoped as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not an IP address") from None


def _network(text: str) -> "Network":
    from ipaddress import ip_network

    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a network, such as 192.168.2.0/24"
        ) from None
    raise argparse.ArgumentTypeError(f"'{text}' is a host in a network: do you mean {meant}?")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 0xFFFF:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port of 1 to 65535")
    return int(text)


def _protocol(text: str) -> int:
    from ike.conf.protocols import known, protocol_number
    from wire.source import nearest

    number = protocol_number(text)
    if number is None:
        hint = nearest(text, list(known()))
        raise argparse.ArgumentTypeError(f"there is no IP protocol '{text}'{hint}")
    return number


def _key(text: str) -> Secret:
    if not text.startswith("@"):
        return Secret(text.encode(errors="surrogateescape"))
    try:
        return Secret((files.read(text[1:], pipe=True).splitlines() or [b""])[0])
    except OSError as error:
        what = f"cannot read the key in {text[1:]}: {error.strerror}"
        raise argparse.ArgumentTypeError(what) from None


def check_usage(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
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
    if options.dst_id is not None and options.dst_preshared_key is not None:
        parser.error("--dst-id is for certificates, --dst-preshared-key is not")
    if any(files) and not options.install_certs:
        parser.error("certificate files are for --install-certs")
    scope = (options.dst_address, options.dst_network, options.src_port, options.dst_port)
    more = (
        options.src_network,
        options.src_address,
        options.src_preshared_key,
        options.dst_preshared_key,
        options.ip_proto,
        options.dst_id,
    )
    if not options.create and any(value is not None for value in (*scope, *more)):
        parser.error("settings of a connection go with --create")
