"""The clients attached to the control interface, and the events that each of them gets."""

from dataclasses import dataclass
from typing import Final

from eapol.notices import INFO, Notice, printable

PATIENCE: Final = 10
"""A listener that missed so many events in a row is removed."""

MOST: Final = 32
"""Listeners at once."""

Address = str | bytes
"""Where a client's datagrams come from: the path of its socket, or octets of an abstract one."""


@dataclass(slots=True)
class _Listener:
    level: int = INFO
    failures: int = 0


class Listeners:
    """The clients that get events, and from which level on."""

    def __init__(self) -> None:
        self._listeners: dict[Address, _Listener] = {}

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def attach(self, address: Address) -> bool:
        """Whether there was room."""
        if address not in self._listeners and len(self._listeners) >= MOST:
            return False
        self._listeners[address] = _Listener()
        return True

    def detach(self, address: Address) -> bool:
        """Whether it was attached."""
        return self._listeners.pop(address, None) is not None

    def set_level(self, address: Address, level: int) -> bool:
        """Whether it is attached."""
        listener = self._listeners.get(address)
        if listener is None:
            return False
        listener.level = level
        return True

    def of(self, notice: Notice) -> list[Address]:
        """The clients that get `notice`."""
        return [
            address
            for address, listener in self._listeners.items()
            if listener.level <= notice.level
        ]

    def clear(self) -> None:
        """Forget them all."""
        self._listeners.clear()

    def told(self, address: Address) -> None:
        if address in self._listeners:
            self._listeners[address].failures = 0

    def missed(self, address: Address, *, gone: bool) -> None:
        """It missed an event: `gone` for good, or only for now."""
        listener = self._listeners.get(address)
        if listener is None:
            return
        listener.failures += 1
        if gone or listener.failures > PATIENCE:
            del self._listeners[address]


def datagram(notice: Notice) -> bytes:
    """`notice` as a listener gets it."""
    return f"<{notice.level}>{printable(str(notice))}".encode()
