"""What enforces SAs and policies: the kernel (`xfrm.aio.kernel`) or our own path (`xfrm.tun`)."""

from collections.abc import AsyncIterator

from wire.lean import Protocol as TypingProtocol
from wire.record import Record
from xfrm.model import (
    Address,
    Mode,
    Policy,
    Protocol,
    SaId,
    SecurityAssociation,
    Selector,
)


class XfrmError(Exception):
    """The data plane refused; the text says what, why and what to do. `code` is the errno, or 0."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Unsupported(XfrmError):
    """The kernel lacks the protocol or the algorithm (EPROTONOSUPPORT, ENOSYS)."""


class NoSuchEntry(XfrmError):
    """There is no such SA or policy (ESRCH)."""


class AlreadyThere(XfrmError):
    """There is one already (EEXIST)."""


class Acquire(Record, kw_only=True):
    """Traffic matched `policy`, and there is no SA for its first template (RFC 4301, 5.1)."""

    selector: Selector
    src: Address
    dst: Address
    policy: Policy
    sequence: int = 0


class Expire(Record, kw_only=True):
    """An SA's soft or hard lifetime passed; after a hard one it is gone.

    Go by `sa.id`: a kernel tells neither algorithms nor keys here.
    """

    sa: SecurityAssociation
    hard: bool


class Mapping(Record, kw_only=True):
    """The peer of a UDP-encapsulated SA now sends from another address or port (RFC 3948, 3.3)."""

    sa: SaId
    reqid: int
    old_src: Address
    old_port: int
    new_src: Address
    new_port: int


class Gone(Record):
    """An SA was deleted, by us or by another program (`setkey -c`, `ip xfrm state delete`)."""

    sa: SaId


class PolicyAdded(Record):
    """A policy came, or replaced the one with its index. Policies of sockets are not reported."""

    policy: Policy


class PolicyGone(Record):
    """A policy was deleted, by us or by another program, or its lifetime ended. Go by its index."""

    policy: Policy


class Resync(Record, kw_only=True):
    """Events were lost, or SAs or policies were flushed: list them again."""

    sas: bool = True
    policies: bool = True


Event = Acquire | Expire | Mapping | Gone | PolicyAdded | PolicyGone | Resync


class Dataplane(TypingProtocol):
    """Every call raises XfrmError when it is refused."""

    async def allocate_spi(
        self, *, src: Address, dst: Address, protocol: Protocol, mode: Mode, reqid: int = 0
    ) -> int:
        """Reserve an inbound SPI (a larval SA at `dst`)."""

    async def ask_again(self, policy: Policy, src: Address, dst: Address, /) -> None:
        """Have the next packet of an outbound policy ask for an SA, though one has asked already.

        For when no SA came of its Acquire: it is in the way of others for up to half a minute.
        `src` and `dst` are the SA's ends, where the policy names none.
        """

    async def add_sa(self, sa: SecurityAssociation) -> None:
        """Install an SA that was not there."""

    async def update_sa(self, sa: SecurityAssociation) -> None:
        """Give keys to the larval SA of `allocate_spi`, new lifetimes and ports to a live one.

        A larval SA that ended during a slow negotiation is no obstacle: the SA is then added.
        """

    async def delete_sa(self, sa: SaId) -> None: ...

    async def sas(self) -> list[SecurityAssociation]: ...

    async def add_policy(self, policy: Policy) -> None:
        """Install `policy`, or replace the one with its selector and direction.

        It keeps the index of the one that it replaces.
        """

    async def delete_policy(self, policy: Policy) -> None: ...

    async def policies(self) -> list[Policy]: ...

    def events(self) -> AsyncIterator[Event]:
        """Events since the plane was opened; one reader. They end when it is closed."""

    async def close(self) -> None:
        """Leave nothing of ours behind but what was installed; can be repeated."""
