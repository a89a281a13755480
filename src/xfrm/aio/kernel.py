"""The kernel as a data plane: SAs and policies over XFRM netlink.

It belongs to the network namespace in which it was opened, and needs CAP_NET_ADMIN. It changes only
the entries that it is asked to change: nothing is ever flushed, at start or at exit. pyroute2 is
imported when a kernel is opened.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeVar

from wire.secret import Secret
from xfrm.dataplane import AlreadyThere, Event, NoSuchEntry, Resync, XfrmError
from xfrm.model import (
    Address,
    Algorithm,
    Lifetime,
    Malformed,
    Mode,
    Policy,
    Protocol,
    SaId,
    SecurityAssociation,
)
from xfrm.names import policy_name, sa_name
from xfrm.netlink import requests
from xfrm.netlink.answers import event_of, policy_of, sa_of
from xfrm.netlink.messages import Group, Message, MessageType
from xfrm.netlink.refusals import understood
from xfrm.system.blocking import Client

if TYPE_CHECKING:
    from xfrm.aio.transport import Events, Requests

_HEARD: Final = (Group.ACQUIRE, Group.EXPIRE, Group.SA, Group.POLICY, Group.MAPPING)

# An SA that no packet ever meets: addresses for documentation (RFC 5737).
_PROBE: Final = (ip_address("192.0.2.1"), ip_address("192.0.2.2"))


T = TypeVar("T")
_AT_ONCE: Final = 256  # entries that are read between two turns of the loop


class _Wish(NamedTuple):
    message: Message
    doing: str


class Kernel:
    """A `Dataplane`; make one with `Kernel.open`. Also an async context manager.

    Single requests go through pyroute2's loop. Many at a time, and lists, have a socket of their
    own without it (`aio.blocking`): the kernel answers at once, and after each datagram the loop
    has its turn.
    """

    def __init__(self, requests_: "Requests", events: "Events", bulk: Client) -> None:
        self._requests = requests_
        self._events = events
        self._bulk = bulk
        self._in_bulk = asyncio.Lock()

    @classmethod
    async def open(cls) -> Self:
        """Raises XfrmError without CAP_NET_ADMIN, Unsupported in a kernel without XFRM."""
        from xfrm.aio.transport import Events, Requests

        kernel = cls(Requests(), Events(_HEARD), Client())
        try:
            await kernel._events.open()
            await kernel._requests.open()
        except XfrmError:
            await kernel.close()
            raise
        return kernel

    async def close(self) -> None:
        self._bulk.close()
        await self._requests.close()
        await self._events.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def probe(self) -> None:
        """Have an SA of the manual's default (ESP, AES-CBC, HMAC-SHA1) made, and removed.

        Raises: Unsupported if this kernel has no ESP or lacks the algorithms.
        """
        sa = _probe_sa()
        try:
            await self.add_sa(sa)
        except AlreadyThere:
            return
        await self.delete_sa(sa.id)

    async def allocate_spi(
        self, *, src: Address, dst: Address, protocol: Protocol, mode: Mode, reqid: int = 0
    ) -> int:
        """Reserve an inbound SPI; the kernel keeps it for net.core.xfrm_acq_expires seconds."""
        larval = SecurityAssociation(
            src=src, dst=dst, spi=0, protocol=protocol, mode=mode, reqid=reqid, larval=True
        )
        doing = f"reserve an SPI for {src} -> {dst}"
        return (await self._reserve(larval, doing)).spi

    async def _reserve(self, larval: SecurityAssociation, doing: str) -> SecurityAssociation:
        answer = await self._requests.ask(requests.allocate_message(larval), doing)
        return understood(sa_of, answer, doing)

    async def ask_again(self, policy: Policy, src: Address, dst: Address, /) -> None:
        """The larval SA of an ACQUIRE has no SPI to delete it by: it is given one first."""
        for template in policy.templates:
            larval = SecurityAssociation(
                src=template.src or src,
                dst=template.dst or dst,
                spi=0,
                protocol=template.protocol,
                mode=template.mode,
                reqid=template.reqid,
                mark=policy.mark,
                if_id=policy.if_id,
            )
            doing = f"have {policy_name(policy)} ask again"
            await self.delete_sa((await self._reserve(larval, doing)).id)

    async def add_sa(self, sa: SecurityAssociation) -> None:
        message = requests.sa_message(MessageType.NEWSA, sa)
        await self._requests.tell(message, f"add {sa_name(sa)}")

    async def update_sa(self, sa: SecurityAssociation) -> None:
        """Also right if the larval SA expired during a slow negotiation: it is then added."""
        message = requests.sa_message(MessageType.UPDSA, sa)
        try:
            await self._requests.tell(message, f"update {sa_name(sa)}")
        except NoSuchEntry:
            await self.add_sa(sa)

    async def delete_sa(self, sa: SaId) -> None:
        message = requests.delete_sa_message(sa)
        await self._requests.tell(message, f"delete {sa_name(sa)}")

    async def sa(self, sa: SaId) -> SecurityAssociation:
        """One SA with its counters. Raises: NoSuchEntry."""
        doing = f"look at {sa_name(sa)}"
        answer = await self._requests.ask(requests.get_sa_message(sa), doing)
        return understood(sa_of, answer, doing)

    async def sas(self) -> list[SecurityAssociation]:
        """All, whoever installed them."""
        return await self._list(_Wish(requests.dump_sas_message(), "list the SAs"), sa_of)

    async def add_sas(self, sas: Sequence[SecurityAssociation]) -> list[XfrmError | None]:
        """Install many; one that is refused stops no other. Returns: a refusal or None for each."""
        return await self._tell_all(
            _Wish(requests.sa_message(MessageType.NEWSA, sa), f"add {sa_name(sa)}") for sa in sas
        )

    async def add_policies(self, policies: Sequence[Policy]) -> list[XfrmError | None]:
        """As `add_policy`, for many; one that is refused stops no other."""
        return await self._tell_all(
            _Wish(
                requests.policy_message(MessageType.UPDPOLICY, policy), f"add {policy_name(policy)}"
            )
            for policy in policies
        )

    async def add_policy(self, policy: Policy) -> None:
        message = requests.policy_message(MessageType.UPDPOLICY, policy)
        await self._requests.tell(message, f"add {policy_name(policy)}")

    async def delete_policy(self, policy: Policy) -> None:
        message = requests.delete_policy_message(policy)
        await self._requests.tell(message, f"delete {policy_name(policy)}")

    async def policies(self) -> list[Policy]:
        """All, those of sockets too (`Policy.per_socket`)."""
        wish = _Wish(requests.dump_policies_message(), "list the policies")
        return await self._list(wish, policy_of)

    async def _tell_all(self, wishes: Iterable[_Wish]) -> list[XfrmError | None]:
        results: list[XfrmError | None] = []
        async with self._in_bulk:
            for part in self._bulk.tell_in_parts(list(wishes)):
                results += part
                await asyncio.sleep(0)
        return results

    async def _list(self, wish: _Wish, read: Callable[[Message], T]) -> list[T]:
        async with self._in_bulk:
            messages: list[Message] = []
            for part in self._bulk.dump_in_parts(wish):
                messages = part or []
                await asyncio.sleep(0)
        found: list[T] = []
        for number, message in enumerate(messages):
            found.append(understood(read, message, wish.doing))
            if not number % _AT_ONCE:
                await asyncio.sleep(0)
        return found

    async def events(self) -> AsyncIterator[Event]:
        """What happened since `open`; one reader. Ends when closed."""
        from xfrm.aio.transport import Overflow

        while True:
            try:
                async for message in self._events.messages():
                    event = _event(message)
                    if event is not None:
                        yield event
            except Overflow:
                yield Resync()
                continue
            return


def _event(message: Message) -> Event | None:
    """A message that cannot be decoded is treated as lost."""
    try:
        return event_of(message)
    except Malformed:
        return Resync()


def _probe_sa() -> SecurityAssociation:
    """It has random keys and a lifetime of a second, in case we end before it is removed."""
    src, dst = _PROBE
    return SecurityAssociation(
        src=src,
        dst=dst,
        spi=int.from_bytes(os.urandom(3), "big") | 0x0100_0000,
        encryption=Algorithm(name="cbc(aes)", key=Secret(os.urandom(16))),
        authentication=Algorithm(name="hmac(sha1)", key=Secret(os.urandom(20)), icv_bits=96),
        lifetime=Lifetime(hard_seconds=1),
    )
