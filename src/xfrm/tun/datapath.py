"""The userspace data path: a `Dataplane` over a TUN device, for kernels without ESP.

Everything is done in the event loop that opened it.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

from xfrm.dataplane import (
    Event,
    Gone,
    PolicyAdded,
    PolicyGone,
    Unsupported,
    XfrmError,
)
from xfrm.esp.reasons import Reason
from xfrm.esp.sad import Entry, Sad
from xfrm.model import Address, Mode, Policy, Protocol, SaId, SecurityAssociation
from xfrm.tun.batch import Batch, SendDatagrams
from xfrm.tun.device import OffloadTun, PlainTun, can_offload, open_tun
from xfrm.tun.forward import Forwarder, Ports, Send
from xfrm.tun.guard import Guard
from xfrm.tun.inlet import BURST, Inlet
from xfrm.tun.loops import LoopWarning
from xfrm.tun.outer import MARK, OuterSockets
from xfrm.tun.routes import Routes
from xfrm.tun.settings import Settings, check
from xfrm.tun.spd import PolicyEntry, Spd

__all__ = ["MARK", "DataPath", "Settings"]

logger = logging.getLogger("xfrm")

SendUdp = Callable[[SecurityAssociation], SendDatagrams]


class DataPath:
    """Open with `open`, in the network namespace that it shall serve; an async context manager.

    It needs CAP_NET_ADMIN, and CAP_NET_RAW while it opens. `counters` has the refused packets by
    reason; `name` is the device's.
    """

    def __init__(
        self,
        fd: int,
        settings: Settings,
        sockets: OuterSockets,
        routes: Routes,
        guard: Guard | None,
        send_udp: SendUdp | None,
    ) -> None:
        """`settings` are complete: the device's real name, and whether it offloads."""
        self.name = settings.name
        self._fd = fd
        self._sockets = sockets
        self._routes = routes
        self._guard = guard
        self._send_udp = send_udp
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()  # None: it was closed
        self._closed = False
        self._sad = Sad(os.urandom)
        self._spd = Spd()
        self._looking = False
        self._batches: dict[SaId, Batch] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._woken_for: float | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._tun = (
            OffloadTun(fd, self._loop.call_soon, self._unwritten)
            if settings.offload
            else PlainTun(fd)
        )
        self._forwarder = Forwarder(self._sad, self._spd, self._ports(), settings.ike_ports)
        self._inlet = Inlet(self._sad, self._forwarder, self._is_local, self._moved)
        self._read()

    @classmethod
    async def open(
        cls, settings: Settings | None = None, *, send_udp: SendUdp | None = None
    ) -> Self:
        """Make the device, the sockets and the rules; take over the policies of a killed process.

        What these protected stays so meanwhile, and if it fails.
        `send_udp` is asked once for each outbound SA with encapsulation, for the function that
        sends its packets from port 4500 (`wire.udp.UdpEndpoint.sender` makes such functions).
        Raises XfrmError.
        """
        settings = settings or Settings()
        with ExitStack() as undo:
            sockets = OuterSockets()
            undo.callback(sockets.close)
            offload = can_offload() if settings.offload is None else settings.offload
            fd, name = open_tun(settings.name, offload=offload)
            undo.callback(os.close, fd)
            settings = replace(settings, name=name, offload=offload)
            routes = await Routes.open(name, settings.mtu)
            undo.callback(routes.let_go)
            guard = Guard.open(name, sorted(settings.ike_ports))
            left: list[Policy] = []
            if guard is not None:
                undo.callback(guard.let_go)
                left = guard.left_behind()
            path = cls(fd, settings, sockets, routes, guard, send_udp)
            undo.callback(path._stop)
            for policy in left:
                path._spd.put(policy, _date())
                routes.add(policy)
            await path._follow()
            routes.tell_left_behind()
            undo.pop_all()
        return path

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def counters(self) -> Counter[Reason]:
        return self._forwarder.counters

    async def close(self) -> None:
        """Take everything away again; can be repeated."""
        if self._closed:
            return
        self._closed = True
        self._stop()
        if self._catching_up is not None:
            await asyncio.wait([self._catching_up])
        self._tun.flush()
        self._sockets.close()
        if self.counters:
            refused = ", ".join(f"{reason} {count}" for reason, count in self.counters.items())
            logger.info("packets refused by the userspace data path: %s", refused)
        try:
            if self._guard is not None:
                self._guard.close()
            await self._routes.close()
        finally:
            os.close(self._fd)

    def _stop(self) -> None:
        self._events.put_nowait(None)
        if self._timer is not None:
            self._timer.cancel()
        outer = (*self._sockets.v4.values(), *self._sockets.v6.values())
        for read in (*outer, self._fd, *self._watched()):
            self._loop.remove_reader(read)

    def _ports(self) -> Ports:
        return Ports(
            to_host=self._tun.write,
            to_peer=self._to_peer,
            in_clear=self._sockets.in_clear,
            returned=LoopWarning(self.name),
            is_local=self._is_local,
            acquire=self._events.put_nowait,
            now=time.monotonic,
            date=_date,
        )

    def _read(self) -> None:
        """Have the loop read all that may bring packets."""
        self._loop.add_reader(self._fd, self._from_host)
        for watched in self._watched():
            self._loop.add_reader(watched, self._others_changed)
        for protocol, sock in self._sockets.v4.items():
            self._loop.add_reader(sock, self._inlet.reader4(sock, protocol, self._expire_used))
        for protocol, sock in self._sockets.v6.items():
            self._loop.add_reader(sock, self._inlet.reader6(sock, protocol, self._expire_used))

    def _watched(self) -> tuple[Routes | Guard, ...]:
        return (self._routes,) if self._guard is None else (self._routes, self._guard)

    def _is_local(self, address: Address) -> bool:
        return address in self._routes.local or address.is_multicast

    async def allocate_spi(
        self, *, src: Address, dst: Address, protocol: Protocol, mode: Mode, reqid: int = 0
    ) -> int:
        spi = self._sad.allocate(src, dst, protocol, mode, reqid, time.monotonic(), _date())
        self._set_timer()
        return spi

    async def ask_again(self, policy: Policy, _src: Address, _dst: Address, /) -> None:
        entry = self._spd.get(policy)
        if entry is not None:
            self._forwarder.ask_again(entry)

    async def add_sa(self, sa: SecurityAssociation) -> None:
        check(sa, in_udp=self._send_udp is not None)
        if self._stale:
            await self._follow()
        self._sad.add(sa, time.monotonic(), _date())
        self._sa_changed(sa)

    async def update_sa(self, sa: SecurityAssociation) -> None:
        check(sa, in_udp=self._send_udp is not None)
        if self._stale:
            await self._follow()
        # From here to the end nothing may wait: a packet by the old entry would use a number twice.
        old = self._sad.get(sa.id)
        if old is None:  # its larval SA did not live as long as the negotiation
            self._sad.add(sa, time.monotonic(), _date())
        else:
            self._sad.update(sa, time.monotonic(), _date())
            self._sa_changed(old.sa)
        self._sa_changed(sa)

    async def delete_sa(self, sa: SaId) -> None:
        old = self._sad.delete(sa)
        self._events.put_nowait(Gone(sa))
        self._sa_changed(old.sa)

    async def sas(self) -> list[SecurityAssociation]:
        return [entry.snapshot() for entry in self._sad]

    # Policies

    async def add_policy(self, policy: Policy) -> None:
        """In place of the one with its selector and direction, which stays if this is refused."""
        if self._stale:
            await self._follow()
        old = self._spd.get(policy)
        entry = self._spd.put(policy, _date())
        try:
            self._have(old, entry)
        except XfrmError:
            self._spd.remove(policy)
            if old is not None:
                self._have(entry, self._spd.put(old.policy, old.date))
            elif self._guard is not None:
                self._guard.change(entry, None, self._spd)
            raise
        if old is not None:
            self._forwarder.policy_removed(old)
        self._forwarder.policy_added(entry)
        self._events.put_nowait(PolicyAdded(entry.policy))

    async def delete_policy(self, policy: Policy) -> None:
        if self._stale:
            await self._follow()
        entry = self._spd.remove(policy)
        self._forwarder.policy_removed(entry)
        self._events.put_nowait(PolicyGone(entry.policy))
        if self._guard is not None:
            self._guard.change(entry, None, self._spd)
        self._routes.remove(entry.policy)

    def _have(self, old: PolicyEntry | None, new: PolicyEntry) -> None:
        """Have the rules and routes of `new` in place of those of `old`. Raises XfrmError."""
        if self._guard is not None:
            self._guard.change(old, new, self._spd)
        self._routes.add(new.policy)

    async def policies(self) -> list[Policy]:
        return [entry.snapshot() for entry in self._spd]

    async def events(self) -> AsyncIterator[Event]:
        """Until it is closed, or cannot go on."""
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)  # for whoever asks again

    async def _follow(self) -> None:
        """Restore the rules and routes that another program removed; read the present addresses."""
        if self._guard is not None:
            self._guard.follow(self._spd)
        await self._routes.follow()

    @property
    def _stale(self) -> bool:
        return self._routes.stale or (self._guard is not None and self._guard.stale)

    def _others_changed(self) -> None:
        """The host's addresses, or rules or routes of ours."""
        if self._stale and self._catching_up is None:
            self._catching_up = self._loop.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        try:
            while self._stale:
                await self._follow()
        except XfrmError as error:  # the next change tries again
            logger.warning("%s", error)
        finally:
            self._catching_up = None

    # Packets

    def receive_udp(self, octets: bytes, source: Address, port: int) -> None:
        """A datagram from port 4500 that is not IKE's (RFC 3948, 2.2). Keepalives are ignored.

        Where it came from does not matter, for the integrity check says who sent it: a peer whose
        NAT gave it another port is told of by the event Mapping.
        """
        self._inlet.encapsulated(octets, source, port)
        if self._sad.due and not self._looking:
            self._looking = True
            self._loop.call_soon(self._expire_used)  # once a burst

    def _from_host(self) -> None:
        read, outbound = self._tun.read, self._forwarder.outbound
        left = BURST
        try:
            while left > 0:
                packets = read()
                left -= len(packets)
                outbound(packets)
        except BlockingIOError:
            pass
        except OSError as error:  # the device was removed: it would be readable for ever
            self._loop.remove_reader(self._fd)
            logger.error(
                "the device %s is gone (%s): nothing passes until the daemon is started again",
                self.name,
                error.strerror,
            )
            self._events.put_nowait(None)
        self._expire_used()

    def _unwritten(self) -> None:
        self.counters[Reason.IN_DEVICE] += 1

    def _to_peer(self, sa: SecurityAssociation) -> Send:
        if sa.encapsulation is None:
            return self._sockets.sender(sa)
        if self._send_udp is None:
            raise Unsupported("this data path has no socket to send UDP")
        batch = self._batches.get(sa.id)
        if batch is None:
            batch = Batch(self._send_udp(sa), self._loop.call_soon, self._lost)
            self._batches[sa.id] = batch
        return batch.add

    def _lost(self) -> None:
        self.counters[Reason.OUT_ERROR] += 1

    # Events

    def _moved(self, entry: Entry) -> None:
        self._events.put_nowait(entry.mapping())

    def _sa_changed(self, sa: SecurityAssociation) -> None:
        """It came or went: decide its flows again, send what waited for it, set the timer."""
        batch = self._batches.pop(sa.id, None)
        if batch is not None:
            batch.flush()
        self._inlet.sa_changed(sa.id)
        self._forwarder.sa_changed(sa)
        self._set_timer()

    def _set_timer(self) -> None:
        """Wake up for the next SA that expires, or packet that has waited long enough."""
        deadlines = [each for each in (self._sad.deadline, self._forwarder.deadline) if each]
        deadline = min(deadlines, default=None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._woken_for = deadline
        if deadline is not None:
            delay = max(deadline - time.monotonic(), 0)
            self._timer = self._loop.call_later(delay, self._expire)

    def _expire_used(self) -> None:
        """After a burst: has an SA done all that it may, does a packet wait?"""
        self._looking = False
        if self._sad.due:
            self._expire()
        elif self._forwarder.deadline is not None and self._woken_for is None:
            self._set_timer()

    def _expire(self) -> None:
        self._forwarder.age()
        for event in self._sad.expire(time.monotonic()):
            self._events.put_nowait(event)
            self._sa_changed(event.sa)
        self._set_timer()


def _date() -> int:
    return int(time.time())
