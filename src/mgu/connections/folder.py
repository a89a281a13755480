"""Where connections are kept: ifcfg files, and which of them were started or stopped by hand.

A connection is up when it was started; after a boot, when ONBOOT says so. What `--start` and
`--stop` said is kept below /run, which a reboot empties.
"""

import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from ike.reqids import CONNECTIONS
from mgu.connections.connection import Address, BadConnection, Connection, parse, render
from mgu.files import PUBLIC, Write, write_whole
from mgu.paths import IFCFG_DIR, RUN_DIR, under_root
from wire import files
from wire.files import read
from wire.lean import Final
from wire.record import replace
from wire.source import octets_of, text_of

INTERFACE: Final = "eth0"  # the MGU's signalling interface (manual, 1.1.1)

_PREFIX: Final = "ifcfg-"
_STATES: Final = f"{RUN_DIR}/ipsec"
_PROBLEMS: Final = f"{RUN_DIR}/racoon/problems"
_STARTED, _STOPPED = "started\n", "stopped\n"
_SIOCGIFADDR: Final = 0x8915
_IFREQ: Final = struct.Struct("16s4x4s16x")


def path_of(name: str) -> Path:
    return under_root(IFCFG_DIR) / f"{_PREFIX}{name}"


def names() -> list[str]:
    """The nicknames of all IPsec connections; ifcfg files of other types are ignored."""
    return [name for name, is_ours in _files() if is_ours]


def unreadable() -> list[str]:
    """The names of ifcfg files that cannot be read: their type is not known."""
    return [name for name, is_ours in _files() if is_ours is None]


def _files() -> Iterator[tuple[str, bool | None]]:
    for path in sorted(under_root(IFCFG_DIR).glob(f"{_PREFIX}*")):
        is_ours: bool | None = None
        with suppress(OSError):
            lines = text_of(files.read(path)).splitlines()
            is_ours = any(line.replace('"', "").strip() == "TYPE=IPSEC" for line in lines)
        yield path.name.removeprefix(_PREFIX), is_ours


def load(name: str) -> Connection:
    """Raises: BadConnection, which names the file."""
    path = path_of(name)
    try:
        return parse(name, text_of(files.read(path)))
    except FileNotFoundError:
        known = ", ".join(names()) or "none"
        text = f"there is no connection '{name}' (there is {known})"
        raise BadConnection(text) from None
    except PermissionError:
        raise
    except OSError as error:
        raise BadConnection(f"cannot read {path}: {error.strerror}") from None
    except BadConnection as error:
        raise BadConnection(f"{path}: {error}") from None


def load_all() -> list[Connection]:
    """Raises: BadConnection for the first that cannot be read."""
    return [load(name) for name in names()]


def save(connection: Connection, write: Write = write_whole) -> bool:
    """Write its ifcfg file; False when it says all that already."""
    path = path_of(connection.name)
    before = text_of(files.read(path)) if path.exists() else ""
    text = render(connection, before)
    if text == before:
        return False
    write(path, octets_of(text), PUBLIC)
    return True


def forget(name: str) -> None:
    path_of(name).unlink(missing_ok=True)
    (under_root(_STATES) / name).unlink(missing_ok=True)


def set_started(name: str, started: bool) -> None:
    """Remember until the next boot what was asked by hand."""
    write_whole(under_root(_STATES) / name, (_STARTED if started else _STOPPED).encode())


def is_up(connection: Connection) -> bool:
    """Whether the keying daemon is to serve it."""
    try:
        state = (under_root(_STATES) / connection.name).read_text(encoding="ascii")
    except FileNotFoundError:
        return connection.on_boot
    return {_STARTED: True, _STOPPED: False}.get(state, connection.on_boot)


def write_problems(problems: dict[str, str]) -> None:
    """What keeps connections from being served, one sentence each, for `ipsec` to show."""
    lines = [f"{name} {sentence}\n" for name, sentence in problems.items()]
    write_whole(under_root(_PROBLEMS), "".join(lines).encode())


def problem_of(name: str) -> str | None:
    """Why the running daemon does not serve the connection, or None."""
    try:
        octets = read(under_root(_PROBLEMS), link=False)
    except OSError:
        return None
    lines = octets.decode("utf-8", "replace").splitlines()
    told = (line.partition(" ") for line in lines)
    return next((sentence for who, _, sentence in told if who == name), None)


def with_free_reqid(connection: Connection, others: list[Connection]) -> Connection:
    """With a reqid that no other connection has: none uses the SAs of another."""
    taken = {other.reqid for other in others if other.name != connection.name}
    return replace(connection, reqid=next(n for n in CONNECTIONS if n not in taken))


def source_of(connection: Connection) -> Address:
    """The connection's own address, else eth0's. Raises: BadConnection."""
    return connection.src or interface_address(connection.dst.version)


def interface_address(version: int, interface: str = INTERFACE) -> Address:
    """The first address of the interface. Raises: BadConnection when it has none."""
    found = _ipv4_of(interface) if version == 4 else _ipv6_of(interface)
    if found is None:
        text = f"{interface} has no IPv{version} address: name ours with --src-address=ADDRESS"
        raise BadConnection(text)
    return found


def _ipv4_of(interface: str) -> Address | None:
    request = _IFREQ.pack(interface.encode(), bytes(4))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
        except OSError:
            return None
    return IPv4Address(_IFREQ.unpack(answer)[1])


def _ipv6_of(interface: str) -> Address | None:
    from ipaddress import IPv6Address

    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        octets, _, _, scope, _, name = line.split()
        if name == interface and scope == "00":  # global
            return IPv6Address(bytes.fromhex(octets))
    return None
