"""What `ipsec` does: create, start, stop, remove and list connections (manual, 6.1)."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress

from ike.admin.framing import Command, Request
from ike.conf.protocols import protocol_name
from mgu import services
from mgu.admin_client import Connection as AdminConnection
from mgu.admin_client import Refused, reason
from mgu.connections import folder
from mgu.connections.connection import (
    CERTIFICATE,
    PRE_SHARED_KEY,
    Address,
    BadConnection,
    Connection,
    check,
)
from mgu.files import locked
from mgu.installation import Installation
from mgu.paths import PSK_TXT, RACOON_CERTS, RACOON_SOCKET, RUN_DIR, under_root
from wire.lean import Final
from wire.record import replace

SERVICE: Final = "racoon"


def act(options: argparse.Namespace) -> None:
    """Raises: BadConnection, ServiceError, OSError."""
    acts = (options.install_certs, options.create, options.start, options.stop, options.remove)
    if any(acts):
        # One command at a time changes the files that all connections share.
        with locked(under_root(RUN_DIR) / "ipsec.lock"):
            _change(options)
    if options.list or not any(acts):
        _list()


def _change(options: argparse.Namespace) -> None:
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


def _install_certificates(options: argparse.Namespace) -> None:
    from mgu.connections import certificates

    files = certificates.CertificateFiles(
        ca=options.ca_cert_file,
        public=options.cert_file_public,
        private=options.cert_file_private,
    )
    for warning in certificates.install(files):
        print(f"ipsec: warning: {warning}", file=sys.stderr)
    print(f"The certificates and the key are in {under_root(RACOON_CERTS)}.")


def _create(options: argparse.Namespace) -> None:
    from mgu.connections import keys, racoon  # late, as elsewhere: to list takes neither

    connection = _described(options)
    others = [other for other in folder.load_all() if other.name != connection.name]
    _check_overlap(connection, others)
    connection = folder.with_free_reqid(connection, others)
    src = None if options.src_preshared_key is None else folder.source_of(connection)
    psk = under_root(PSK_TXT)
    is_new = connection.name not in folder.names()
    with Installation() as installation:  # all of it, or after a refusal none
        racoon.write_common(installation.write)
        written = racoon.write_remote(
            connection.dst, connection.method, installation.write, options.dst_id
        )
        if options.dst_preshared_key is not None:
            keys.set_key(psk, str(connection.dst), options.dst_preshared_key, installation.write)
        if src is not None:
            keys.set_key(psk, str(src), options.src_preshared_key, installation.write)
        folder.save(connection, installation.write)
        services.enable(SERVICE)
    if written and connection.method == CERTIFICATE and options.dst_id is None:
        print(f"{connection.dst} must have a certificate whose subjectAltName has that address;")
        print("for another name of it add --dst-id=ID.")
    if is_own_address(connection.dst):
        text = f"{connection.dst} is an address of this gateway: nothing is negotiated with it"
        print(f"ipsec: warning: {text}", file=sys.stderr)
    _warn_of_unpinned(connection)
    if options.start:
        return
    if is_new and _is_running():
        folder.set_started(connection.name, False)  # until the next boot, as the manual says
    elif not is_new:
        _reload_if_running()
    print(f"The connection {connection.name} is configured; it is activated at the next boot,")
    print(f"or now with 'ipsec --start --name={connection.name}'.")


def _warn_of_unpinned(connection: Connection) -> None:
    """Where others could be the peer."""
    from mgu.connections import racoon

    peer = connection.dst
    if connection.method == CERTIFICATE and not racoon.is_pinned(peer):
        print(
            f"ipsec: warning: whoever has a certificate of the CA can pose as {peer}:"
            f" {racoon.remote_path(peer)} has no 'peers_identifier' with 'verify_identifier on';"
            " --create with --dst-id=ID writes them",
            file=sys.stderr,
        )


def is_own_address(address: Address) -> bool:
    """Whether this host has it: only then a socket can be bound to it."""
    import socket

    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _described(options: argparse.Namespace) -> Connection:
    connection = Connection(
        name=options.name,
        dst=options.dst_address,
        src=options.src_address,
        network=options.dst_network,
        src_network=options.src_network,
        protocol=options.ip_proto or 0,
        src_port=options.src_port or 0,
        dst_port=options.dst_port or 0,
    )
    check(connection)
    if connection.dst.is_loopback:
        raise BadConnection(f"{connection.dst} is this gateway itself; name the peer's address")
    method = _method(options)
    if options.dst_id is not None and method != CERTIFICATE:
        raise BadConnection(
            f"--dst-id is for certificates, but there is a key for {connection.dst}:"
            f" remove it from {under_root(PSK_TXT)}, or leave --dst-id out"
        )
    return replace(connection, method=method)


def _method(options: argparse.Namespace) -> str:
    """Certificates when they were given or are in place and there is no key, else a key."""
    from mgu.connections import certificates, keys

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
            dst=other.dst if connection.network else connection.dst,  # where its tunnel ends
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
    _warn_of_unpinned(connection)
    folder.set_started(name, True)
    if _is_running():
        _reload()
    else:
        services.start(SERVICE)
    problem = folder.problem_of(name)
    if problem:
        raise BadConnection(f"racoon cannot activate the connection {name}: {problem}")
    scope = connection.network or connection.dst
    print(f"The connection {name} is active: traffic between {src} and {scope} is protected,")
    print("or held back until the peer agrees on keys. 'racoonctl -l show-sa isakmp' shows it.")


def _stop(name: str) -> None:
    folder.load(name)
    folder.set_started(name, False)
    _reload_or_stop()
    print(f"The connection {name} is inactive until the next boot.")


def _remove(name: str) -> None:
    from mgu.connections import keys, racoon

    connection = folder.load(name)
    others = [other for other in folder.load_all() if other.name != name]
    if all(other.dst != connection.dst for other in others):
        racoon.remote_path(connection.dst).unlink(missing_ok=True)
        keys.remove_key(under_root(PSK_TXT), str(connection.dst))
    if all(other.src != connection.src for other in others):
        with suppress(BadConnection):  # eth0 has no address now: its key stays
            keys.remove_key(under_root(PSK_TXT), str(folder.source_of(connection)))
    folder.forget(name)  # last: as long as it is there, another --remove goes on
    if not others:
        services.disable(SERVICE)
    _reload_or_stop()
    print(f"The connection {name} is removed.")


def _reload_or_stop() -> None:
    """The daemon serves what is left; with nothing left it is stopped.

    One that was killed has left its policies, and they block what they protected. Who knows them is
    the daemon: the next one takes them over, and an orderly stop removes them.
    """
    killed = under_root(RACOON_SOCKET).exists()  # who stops in order takes its socket away
    is_up = any(folder.is_up(connection) for connection in folder.load_all())
    if _is_running():
        _reload() if is_up else services.stop(SERVICE)
    elif killed and is_up:
        print("racoon was killed and does not run: the traffic that it protected stays blocked")
        print("until 'mgu up tunnel' starts it.")
    elif killed:
        services.start(SERVICE)
        services.stop(SERVICE)


def _reload_if_running() -> None:
    if _is_running():
        _reload()


def _is_running() -> bool:
    """Whether the daemon answers, as a service or started by hand."""
    try:
        with AdminConnection(under_root(RACOON_SOCKET)):
            return True
    except Refused:
        return services.running(SERVICE)


def _reload() -> None:
    """Have the daemon read its files again. Raises: BadConnection when it refuses them."""
    try:
        with AdminConnection(under_root(RACOON_SOCKET)) as connection:
            reply = connection.ask(Request(command=Command.RELOAD_CONFIG))
    except Refused as error:
        raise BadConnection(f"racoon did not apply the change: {error}") from None
    if reply.errno:
        raise BadConnection(f"racoon did not apply the change: {reason(reply)}")
    for line in reply.body.decode("utf-8", "replace").splitlines():
        print(f"ipsec: warning: {line}", file=sys.stderr)


def _list() -> None:
    names = folder.names()
    if not names:
        print("There are no IPsec connections; 'ipsec -h' says how to create one.")
        return
    running = _is_running()
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
        scope += f" protocol {protocol_name(connection.protocol)}"
    if connection.src_port:
        scope += f" from port {connection.src_port}"
    if connection.dst_port:
        scope += f" to port {connection.dst_port}"
    up = folder.is_up(connection)
    state = "active" if up and running else "at boot" if connection.on_boot else "off"
    if up and running and folder.problem_of(connection.name):
        state = "failed"
    if connection.src_network:
        scope += f" from {connection.src_network}"
    return (
        connection.name,
        "tunnel" if connection.is_tunnel else "transport",
        str(connection.src or folder.INTERFACE),
        str(connection.dst),
        scope,
        state,
    )
