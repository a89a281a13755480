"""The interface of a supplicant: its EAPOL socket, its carrier, and waiting while there is none."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from eapol.aio.port import Port
from eapol.errors import InterfaceMissing, PortError
from eapol.events import LinkChanged
from eapol.system.link import LinkWatch, address_of, set_up
from wire.rtnetlink import Link

_log = logging.getLogger("eapol")

Received = Callable[[bytes, bytes], None]
"""Called with each frame, without its Ethernet header, and its source."""


class Attached(Protocol):
    """What the supplicant's driver needs of an interface."""

    address: bytes
    trouble: str | None

    @property
    def is_missing(self) -> bool: ...

    def start(self) -> None: ...

    def close(self) -> None: ...

    def send(self, octets: bytes) -> None: ...

    def look(self) -> None: ...


class Socket(Protocol):
    """`eapol.aio.port.Port`, as far as it is used here."""

    index: int | None

    def open(self) -> None: ...

    def start(self) -> None: ...

    def send(self, octets: bytes) -> None: ...

    def close_socket(self) -> None: ...

    def close(self) -> None: ...


class Watch(Protocol):
    """`eapol.system.link.LinkWatch`, as far as it is used here."""

    def start(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Host:
    """What this machine offers; tests have one in memory."""

    socket: Callable[[str, Received], Socket] = Port
    watch: Callable[[str, Callable[[Link | None], None]], Watch] = LinkWatch
    address_of: Callable[[str], bytes] = address_of
    set_up: Callable[[str], None] = set_up


class Attach(Protocol):
    """Opens the interface `name`, as `Interface` does."""

    def __call__(
        self,
        name: str,
        received: Received,
        changed: Callable[[LinkChanged], None],
        *,
        bring_up: bool = False,
    ) -> Attached: ...


LINUX: Final = Host()


class Interface:
    """`changed` is called when the carrier comes or goes, the first state too. `address` is zeros
    until there is an interface; `trouble` says what is waited for, None when it is open.

    `bring_up`: an interface that is found down is brought up (CAP_NET_ADMIN).
    Raises: NotPermitted without CAP_NET_RAW; PortError if another program speaks EAPOL there.
    """

    def __init__(
        self,
        name: str,
        received: Received,
        changed: Callable[[LinkChanged], None],
        *,
        bring_up: bool = False,
        host: Host = LINUX,
    ) -> None:
        self._name = name
        self._host = host
        self._changed = changed
        self._bring_up = bring_up
        self._link: Link | None = None
        self.address = bytes(6)
        self.trouble: str | None = None
        self._port = host.socket(name, received)
        try:
            self._port.open()
            self.address = host.address_of(name)
            self._set_up()
        except InterfaceMissing as error:
            self._is_waiting(f"{error}; waiting for {name}")
        self._watch = host.watch(name, self._take)

    @property
    def is_missing(self) -> bool:
        return self._port.index is None

    def start(self) -> None:
        """Receive from now on, in the running loop."""
        self._port.start()
        self._watch.start()

    def close(self) -> None:
        self._watch.close()
        self._port.close()

    def send(self, octets: bytes) -> None:
        """To the PAE group address."""
        self._port.send(octets)

    def look(self) -> None:
        """Try again to open it, if it is there and could not be opened."""
        if self._link is not None and self._port.index != self._link.index:
            self._open(self._link)

    def _take(self, link: Link | None) -> None:
        self._link = link
        if link is None:
            self._is_waiting(f"{self._name}: the interface is gone; waiting for it")
            self._port.close_socket()
            self._changed(LinkChanged(up=False))
            return
        self.address = link.address
        if self._port.index != link.index:
            self._open(link)
        else:
            self._tell(link)

    def _open(self, link: Link) -> None:
        self._set_up()
        try:
            self._port.open()
        except PortError as error:
            self._is_waiting(f"{error}; trying again")
        else:
            _log.info("%s: the interface is present, its socket is open", self._name)
            self.trouble = None
        self._tell(link)

    def _set_up(self) -> None:
        try:
            if self._bring_up:
                self._host.set_up(self._name)
        except OSError as error:
            what = f"cannot be brought up ({error.strerror}): 'ip link set {self._name} up'"
            _log.warning("%s: %s", self._name, what)

    def _tell(self, link: Link) -> None:
        up = link.up and self._port.index == link.index
        self._changed(LinkChanged(up=up, mtu=link.mtu))

    def _is_waiting(self, trouble: str) -> None:
        """Said once, and shown for as long as it holds."""
        if trouble != self.trouble:
            _log.warning("%s", trouble)
        self.trouble = trouble
