"""The keying daemon's core (RFC 2407, 2408, 2409): datagrams and requests in, commands out.

engine   one event after the other, what administrators ask, what they may look at
intake   datagrams: whose they are; strangers
keeper   what SAs there should be: make, renew, give up
children the sets of IPsec SAs: renewed, replaced without a gap, taken down
peer     one ISAKMP SA (handshake: its phase 1); initiator, responder: one Quick Mode each
exchanges, keys, doi, nat   what the octets mean; isakmp, crypto   octets
"""

from collections.abc import Callable

from ike.admission import Intake
from ike.commands import Command, EventKind, Stopped
from ike.config import Config
from ike.context import Answer, Context
from ike.events import (
    Acquire,
    AddressGone,
    DatagramReceived,
    DeleteIpsec,
    DeleteIsakmp,
    DeletePolicySas,
    EstablishIsakmp,
    Event,
    Flush,
    NoPolicy,
    PolicyAdded,
    PolicyFound,
    PolicyRemoved,
    Reload,
    SaExpired,
    SaGone,
    SaInstalled,
    SaRefused,
    SpiAllocated,
    SpiRefused,
    Stop,
)
from ike.peer.book import Book
from ike.peer.keeper import Keeper
from ike.sa.views import isakmp_view
from ike.values import Endpoint, IpsecView, IsakmpView, TimerView
from wire.timer import TimerFired


class Engine:
    """`handle(event, now)` and `deadline`; `now` is monotonic seconds.

    `entropy(n)` gives n random octets: cookies, nonces, exponents and message IDs come from it.
    """

    def __init__(self, config: Config, *, entropy: Callable[[int], bytes]) -> None:
        self._context = Context(config, entropy)
        self._book = Book()
        self._keeper = Keeper(self._context, self._book)
        self._intake = Intake(self._context, self._book, self._keeper)
        self._stopped = False

    @property
    def deadline(self) -> float | None:
        return None if self._keeper.closing else self._context.timers.deadline

    @property
    def config(self) -> Config:
        return self._context.config

    def handle(self, event: Event, now: float) -> list[Command]:
        """Fire the timers that `now` has passed, then take the event. Raises nothing."""
        if self._stopped:
            return []
        self._context.now = now
        if not self._keeper.closing:
            self._context.timers.fire(now)
            self._dispatch(event)
        elif isinstance(event, Answer):
            self._context.answer(event)
        if self._keeper.closing and not self._context.asking:
            self._context.emit(Stopped())
            self._stopped = True
        return self._context.take_commands()

    def _dispatch(self, event: Event) -> None:
        match event:
            case DatagramReceived():
                self._intake.receive(event)
            case Acquire():
                self._keeper.want(event.policy, local_port=event.local_port)
            case (
                SpiAllocated()
                | SpiRefused()
                | SaInstalled()
                | SaRefused()
                | PolicyFound()
                | NoPolicy()
            ):
                self._context.answer(event)
            case SaExpired() | SaGone():
                self._sa_event(event)
            case EstablishIsakmp():
                self._establish(event)
            case DeleteIsakmp():
                self._delete_isakmp(event)
            case DeleteIpsec():
                self._delete_ipsec(event)
            case DeletePolicySas():
                self._keeper.withdraw(event.policy)
            case Flush():
                self._flush(event)
            case Reload():
                self._context.config = event.config
            case AddressGone():
                self._address_gone(event)
            case Stop():
                self._stop()
            case TimerFired() | PolicyAdded() | PolicyRemoved():
                pass

    def _sa_event(self, event: SaExpired | SaGone) -> None:
        child = self._book.child_of(event.sa)
        if child is None:
            self._new_sa_event(event)
            return
        match event:
            case SaExpired(hard=False):
                child.soften()
            case SaExpired():
                self._keeper.children.child_expired(child)
            case SaGone():
                self._context.info(f"purged IPsec-SA spi={event.sa.spi}.")
                self._keeper.children.remove(child, tell=True)

    def _new_sa_event(self, event: SaExpired | SaGone) -> None:
        """About one of a set that is not complete yet."""
        for negotiation in [n for n in self._book.negotiations if n.makes(event.sa)]:
            if isinstance(event, SaExpired) and not event.hard:
                negotiation.aged = True
            else:
                negotiation.fail(f"the data plane has no IPsec-SA spi={event.sa.spi} any more")

    def _delete_ipsec(self, event: DeleteIpsec) -> None:
        children, child = self._keeper.children, self._book.child_of(event.sa)
        if child is not None:
            children.remove(child, tell=True)
        else:
            making = (n for n in self._book.negotiations if n.makes(event.sa))
            children.give_up(making, "deleted by an administrator")

    def _establish(self, event: EstablishIsakmp) -> None:
        context, config = self._context, self._context.config
        sa = self._book.established(event.remote, event.local.address)
        if sa is not None:
            context.report(EventKind.PHASE1_UP, sa.local, sa.peer)
            return
        if self._book.with_peer(event.remote, event.local.address):
            return  # on its way
        remote = (
            config.remote_named(event.remote_name)
            if event.remote_name
            else config.remote_for(event.remote)
        )
        if remote is None:
            context.error(f"no configuration found for {event.remote}.")
            context.report(EventKind.PHASE1_NO_RESPONSE, event.local, Endpoint(event.remote, 500))
            return
        context.info(f"accept a request to establish IKE-SA: {event.remote}")
        self._keeper.start_phase1(remote, event.local, Endpoint(event.remote, remote.port))

    def _delete_isakmp(self, event: DeleteIsakmp) -> None:
        sas = self._book.with_peer(event.remote, event.local)
        if event.children:
            children = self._keeper.children
            doomed = (n for n in self._book.negotiations if n.sa in sas)
            children.give_up(doomed, "deleted by an administrator")
            children.remove_all(self._book.children_with(event.remote, event.local))
        for sa in sas:
            self._context.info(f"purging ISAKMP-SA spi={sa.cookies}.")
            sa.delete()

    def _flush(self, event: Flush) -> None:
        if event.ipsec:
            self._keeper.children.give_up(self._book.negotiations, "flushed by an administrator")
            self._keeper.children.remove_all(self._book.children)
        if event.isakmp:
            for sa in self._book.isakmps():
                sa.delete()

    def _address_gone(self, event: AddressGone) -> None:
        """No way to tell anybody."""
        children = self._keeper.children
        for sa in self._book.isakmps():
            if sa.local.address == event.address:
                sa.close(EventKind.PHASE1_DOWN)
        interrupted = (n for n in self._book.negotiations if n.sa.local.address == event.address)
        children.give_up(interrupted, f"the address {event.address} is gone")
        for child in list(self._book.children):
            if child.local.address == event.address:
                children.remove(child, tell=False)

    def _stop(self) -> None:
        """What was asked of the data plane is waited for, so that it can be taken back."""
        self._keeper.closing = True
        self._keeper.children.give_up(self._book.negotiations, "the daemon stops")
        self._flush(Flush())
        self._context.report(EventKind.QUIT)

    # --- what administrators may look at ---

    def isakmp_sas(self) -> list[IsakmpView]:
        counts: dict[bytes, int] = {}
        for child in self._book.children:
            key = bytes(child.cookies)
            counts[key] = counts.get(key, 0) + 1
        return [isakmp_view(sa, counts.get(bytes(sa.cookies), 0)) for sa in self._book.isakmps()]

    def ipsec_sas(self) -> list[IpsecView]:
        return [child.view() for child in self._book.children]

    @property
    def padded(self) -> int:
        """Messages in the clear that had octets behind their last payload or behind their end."""
        return self._context.padded

    def schedule(self) -> list[TimerView]:
        return self._context.timers.view()
