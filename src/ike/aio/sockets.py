"""The daemon's UDP sockets: IKE on port 500, IKE and ESP together on port 4500 (RFC 3948, 2)."""

import asyncio
import errno
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from ike.commands import SendDatagram
from ike.events import DatagramReceived, Event
from ike.system import prefilter
from ike.system.port_holder import holder_of_udp_port, remedy
from ike.values import Address, Endpoint
from wire.udp import Options, UdpEndpoint

logger = logging.getLogger("ike")

TakeEsp = Callable[[bytes, Address, int], object]

_NON_ESP_MARKER: Final = bytes(4)
_INBOX: Final = 64  # events waiting for the engine; beyond, datagrams stay in the sockets' queues
_COMPLAINTS: Final = 64  # ends that cannot be reached, or sent from, and were told about
_NOT_LOST: Final = "receive error"  # an ICMP error: no datagram was dropped for it
_BY_KERNEL: Final = "by the kernel"
_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class PortInUse(Exception):
    """Another program has the port; the text names it and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to listen; nothing named is every address. `mark` and the two switches are what the
    data plane needs of the sockets (`wire.udp.Options`); `take_esp` gets the ESP of port 4500.
    """

    isakmp: tuple[Endpoint, ...] = ()
    natt: tuple[Endpoint, ...] = ()
    isakmp_port: int = 500
    natt_port: int = 4500
    versions: tuple[int, ...] = (4, 6)  # of IP, where no address is named
    bypass: bool = True
    espinudp: bool = False
    mark: int = 0
    take_esp: TakeEsp | None = None


class Sockets:
    """Open until `close`."""

    def __init__(self, listening: Listening) -> None:
        """Raises: PortInUse, OSError."""
        self._endpoints: list[UdpEndpoint] = []
        self._unreachable: set[Address] = set()
        self._told: Counter[str] = Counter()  # of what was dropped
        isakmp = listening.isakmp or tuple(_everywhere(listening.isakmp_port, listening.versions))
        natt = listening.natt or tuple(_everywhere(listening.natt_port, listening.versions))
        try:
            for where in isakmp:
                self._open(where, listening, natt=False, explicit=bool(listening.isakmp))
            for where in natt:
                self._open(where, listening, natt=True, explicit=bool(listening.natt))
        except BaseException:
            self.close()
            raise

    def send(self, command: SendDatagram) -> None:
        """Send, or say in the log why not."""
        endpoint = self._for(command.local)
        if endpoint is None:
            local = command.local
            text = f"no socket for {local}: is it among the addresses of listen?"
            self._complain(local.address, logging.ERROR, text)
            return
        try:
            endpoint.send(
                command.octets, command.to.address, command.to.port, command.local.address
            )
        except OSError as error:
            text = f"cannot send from {command.local} to {command.to}: {error.strerror}"
            self._complain(command.to.address, logging.WARNING, text)
        else:
            self._unreachable.discard(command.to.address)

    def _complain(self, where: Address, level: int, text: str) -> None:
        """Once for each address, and not for all that a stranger can make up."""
        if where not in self._unreachable and len(self._unreachable) < _COMPLAINTS:
            self._unreachable.add(where)
            logger.log(level, "%s", text)

    def dropped(self) -> Counter[str]:
        """Datagrams dropped so far, by reason."""
        counts: Counter[str] = Counter()
        for endpoint in self._endpoints:
            counts += endpoint.dropped
            counts[_BY_KERNEL] += endpoint.dropped_by_kernel
        del counts[_NOT_LOST]
        return +counts

    def tell_drops(self) -> None:
        """A line of log for what was dropped since the last one, if anything was."""
        now = self.dropped()
        if news := now - self._told:
            self._told = now
            counts = ", ".join(f"{reason}: {count}" for reason, count in news.items())
            logger.warning("UDP datagrams were dropped: %s", counts)

    def sender(self, local: Endpoint, to: Endpoint) -> Callable[[bytes, int], object]:
        """A function that sends between these two, for ESP in UDP: `UdpEndpoint.sender`'s."""
        endpoint = self._for(local)
        if endpoint is None:
            raise OSError(errno.EADDRNOTAVAIL, f"no socket for {local}")
        return endpoint.sender(to.address, to.port, local.address)

    async def pump(self, inbox: asyncio.Queue[Event], date: Callable[[], float]) -> None:
        """Hand every datagram to the engine's inbox, until cancelled.

        `date()` is Unix seconds, by which certificates are judged.
        """
        async with asyncio.TaskGroup() as tasks:
            for endpoint in self._endpoints:
                tasks.create_task(_pump(endpoint, inbox, date))

    def close(self) -> None:
        for endpoint in self._endpoints:
            endpoint.close()
        self._endpoints.clear()

    def _open(self, where: Endpoint, listening: Listening, *, natt: bool, explicit: bool) -> None:
        options = Options(
            fragment=True,
            bypass=listening.bypass,
            mark=listening.mark,
            espinudp=listening.espinudp and natt,
            gro=natt and listening.take_esp is not None,
            program=prefilter.NATT if natt else prefilter.ISAKMP,
        )
        taken = _esp_filter(listening.take_esp) if natt and listening.take_esp else None
        try:
            endpoint = UdpEndpoint.open(where.address, where.port, options, taken)
        except OSError as error:
            if error.errno in _NO_SUCH_FAMILY and not explicit and where.address.version == 6:
                return  # a machine without IPv6
            if error.errno != errno.EADDRINUSE:
                raise OSError(error.errno, f"cannot listen on {where}: {error.strerror}") from None
            raise _port_in_use(where) from None
        self._endpoints.append(endpoint)
        logger.info("%s used as isakmp port (fd=%d)", where, endpoint.fileno())
        if natt:
            logger.info("%s used for NAT-T", where)

    def _for(self, local: Endpoint) -> UdpEndpoint | None:
        for endpoint in self._endpoints:
            address, port = endpoint.local
            if port != local.port or address.version != local.address.version:
                continue
            if address.is_unspecified or address == local.address:
                return endpoint
        return None


def _everywhere(port: int, versions: tuple[int, ...]) -> Iterator[Endpoint]:
    if 4 in versions:
        yield Endpoint(IPv4Address(0), port)
    if 6 in versions:
        yield Endpoint(IPv6Address(0), port)


def _port_in_use(where: Endpoint) -> PortInUse:
    holder = holder_of_udp_port(where.port)
    if holder is None:
        return PortInUse(f"another program uses {where}: stop it first")
    return PortInUse(f"{where} is in use by {holder}: {remedy(holder)}")


def _esp_filter(take: TakeEsp) -> Callable[[bytes, Address, int], bool]:
    def taken(octets: bytes, source: Address, port: int) -> bool:
        if octets.startswith(_NON_ESP_MARKER):
            return False
        if len(octets) > 1:  # one octet is a NAT keepalive (RFC 3948, 2.3)
            take(octets, source, port)
        return True

    return taken


async def _pump(
    endpoint: UdpEndpoint, inbox: asyncio.Queue[Event], date: Callable[[], float]
) -> None:
    while True:
        datagram = await endpoint.receive()
        if datagram.port == 0:
            continue  # there is no way to answer (RFC 768)
        while inbox.qsize() >= _INBOX:  # noqa: ASYNC110 - a turn of the loop is what is waited for
            await asyncio.sleep(0)  # the engine takes one a turn
        address, port = endpoint.local
        inbox.put_nowait(
            DatagramReceived(
                octets=datagram.octets,
                source=Endpoint(datagram.source, datagram.port),
                local=Endpoint(datagram.local or address, port),
                date=datetime.fromtimestamp(date(), UTC),
            )
        )


def entropy(size: int) -> bytes:
    """The kernel's random octets."""
    return os.urandom(size)
