"""A client of the supplicant's control socket: plain and blocking, and quick to import.

It works with our supplicant and Debian's. Each client binds a socket of its own, to which
the replies and, after `attach`, the events come.
"""

import contextlib
import itertools
import os
import select
import socket
import stat
import time
from collections.abc import Sequence

from wire.lean import TYPE_CHECKING, Final, Self
from wire.unix import short_name

if TYPE_CHECKING:
    from pathlib import Path

REPLY_LIMIT: Final = 10.0  # seconds
_LARGEST: Final = 1 << 16  # octets; replies are below 4096, an event with a certificate may not be
_numbers = itertools.count(1)

COMMANDS: Final = """\
  status [verbose]   state of the port authentication ('-status' is the same)
  mib                counters and states of IEEE 802.1X
  logoff, logon      leave the network, join it again
  reauthenticate     authenticate again now
  disconnect, reconnect, reconfigure, terminate, ping, list_networks, interface
  set EAPOL::heldPeriod|authPeriod|startPeriod|maxStart SECONDS
  set_network 0 NAME VALUE, get_network 0 NAME, enable_network 0, disable_network 0
  passphrase 0 TEXT  answer to CTRL-REQ-PASSPHRASE (identity likewise)
  log_level [LEVEL], note TEXT, raw COMMAND; any other word is sent in upper case"""

NAMES: Final = {
    "blacklist": "BSSID_IGNORE",
    "bssid_ignore": "BSSID_IGNORE",
    "interface": "INTERFACES",
    "list_interfaces": "INTERFACES",
}
ANSWERS: Final = ("identity", "passphrase", "pin", "password", "otp", "new_password")


class NotServed(Exception):
    """The control socket has no server, or there is no answer; the text says what to do."""


class Client:
    """`with Client(folder, "eth0") as supplicant: supplicant.request("STATUS")`.

    `own_folder` is where the client's socket is made.
    Raises: NotServed; PermissionError when only root, or the socket's group, may ask.
    """

    def __init__(self, folder: "Path | str", interface: str, own_folder: str = "/tmp") -> None:
        self.interface = interface
        self.path = os.path.join(folder, interface)
        self._own = os.path.join(own_folder, f"wpa_ctrl_{os.getpid()}-{next(_numbers)}")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        self._remove()  # of a client that died and had our number
        mask = os.umask(0)  # the supplicant may have dropped what lets root write anywhere
        try:
            self._socket.bind(self._own)
        finally:
            os.umask(mask)
        try:
            with short_name(self.path) as name:
                self._socket.connect(name)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotServed(
                f"no supplicant serves {self.interface} ({self.path}: {error.strerror});"
                " start the service wpa_supplicant"
            ) from None
        except PermissionError as error:
            raise PermissionError(error.errno, error.strerror, self.path) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        """Can be repeated."""
        self._socket.close()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._own)

    def request(self, command: str, within: float = REPLY_LIMIT) -> str:
        """The reply to one command; events that come before it are dropped."""
        try:
            octets = command.encode("utf-8", "surrogateescape")
            self._socket.send(octets, socket.MSG_DONTWAIT)  # one that was stopped reads nothing
        except BlockingIOError:
            raise self._lost("it has not read an earlier request") from None
        except OSError as error:
            raise self._lost(f"{error.strerror}") from None
        limit = time.monotonic() + within
        while True:
            said = self._receive(limit - time.monotonic())
            if said is None:
                raise self._lost(f"no reply to {command.partition(' ')[0]} in {within:g} s")
            if not said.startswith("<"):
                return said

    def event(self, within: float) -> str | None:
        """The next event, `<3>CTRL-EVENT-...`, or None when `within` seconds brought none."""
        return self._receive(within)

    def _receive(self, within: float) -> str | None:
        ready, _, _ = select.select([self._socket], [], [], max(0.0, within))
        if not ready:
            return None
        try:
            octets = self._socket.recv(_LARGEST)
        except OSError as error:
            raise self._lost(f"{error.strerror}") from None
        return octets.decode("utf-8", "surrogateescape")

    def _lost(self, what: str) -> NotServed:
        return NotServed(f"the supplicant of {self.interface} does not answer ({what})")


def interfaces(folder: "Path | str") -> list[str]:
    """The interfaces that have a control socket in `folder`, in the order of their names."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(name for name in os.listdir(folder) if _is_socket(folder, name))
    return []


def _is_socket(folder: "Path | str", name: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(os.path.join(folder, name)).st_mode)
    except FileNotFoundError:  # removed since, or a link that leads nowhere
        return False


def wire_form(words: Sequence[str]) -> str:
    """What a typed command is on the socket."""
    name, *rest = words
    lower = name.lower()
    if lower == "status" and rest == ["verbose"]:
        return "STATUS-VERBOSE"
    if lower == "raw":
        return " ".join(rest)
    if lower in ANSWERS and len(rest) >= 2:
        return f"CTRL-RSP-{lower.upper()}-{rest[0]}:{' '.join(rest[1:])}"
    return " ".join([NAMES.get(lower, name.upper()), *rest])


def fields(reply: str) -> dict[str, str]:
    """The `name=value` lines of STATUS or MIB."""
    pairs = (line.partition("=") for line in reply.splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}
