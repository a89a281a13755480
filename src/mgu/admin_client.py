"""The client of the keying daemon's admin socket: blocking, and light to import."""

import os
import socket

from ike.admin.framing import HEADER, Reply, Request, reply_length
from mgu import exits
from wire.lean import TYPE_CHECKING, Final
from wire.unix import short_name

if TYPE_CHECKING:
    from pathlib import Path


PATIENCE: Final = 30.0
"""Seconds for an answer: one that was stopped gives none."""


class Refused(Exception):
    """The text says why; `code` is the exit code."""

    def __init__(self, text: str, code: int = exits.FAILED) -> None:
        super().__init__(text)
        self.code = code


def reason(reply: Reply) -> str:
    """Why the daemon refused: its own words where it sent some."""
    return reply.body.decode("utf-8", "replace") or os.strerror(reply.errno)


class Connection:
    """One request, its reply, and the events that may follow it."""

    def __init__(
        self, path: "Path | str", *, dump: bool = False, patience: float = PATIENCE
    ) -> None:
        self._dump = dump
        self._patience = patience  # seconds
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_name(path) as name:
                self._socket.connect(name)
        except OSError as error:
            self._socket.close()
            hint, code = "is racoon running?", exits.FAILED
            if isinstance(error, PermissionError):
                hint, code = "only root may ask", exits.NO_PERMISSION
            why = error.strerror or str(error)  # a name that is too long has no number
            text = f"cannot connect to racoon admin socket {path}: {why} ({hint})"
            raise Refused(text, code) from None

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: Request) -> Reply:
        """The daemon's answer. Raises: Refused."""
        self._socket.settimeout(self._patience)
        try:
            self._socket.sendall(bytes(request))
            reply = self.receive()
        except TimeoutError:
            raise Refused(f"racoon does not answer within {self._patience:g} s") from None
        self._socket.settimeout(None)  # events may take their time
        if reply is None:
            raise Refused("racoon closed the connection without an answer")
        return reply

    def receive(self) -> Reply | None:
        """The next message; None at the end. Raises: Refused, AdminError."""
        header = self._exactly(HEADER.size)
        if not header:
            return None
        octets = header + self._exactly(reply_length(header) - HEADER.size)
        if self._dump:
            print(octets.hex(" ", 4))
        return Reply.parse(octets)

    def _exactly(self, size: int) -> bytes:
        octets = bytearray()
        while len(octets) < size:
            piece = self._socket.recv(size - len(octets))
            if not piece:
                break
            octets += piece
        return bytes(octets)
