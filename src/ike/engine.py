"""The keying daemon's core (RFC 2407, 2408, 2409): datagrams and requests in, commands out.

engine     one event after the other, what administrators ask, what they may look at
admission  datagrams: whose they are, whom to let in
peer       who owns what: a peer its ISAKMP SAs and connections, a connection its SA bundles
phase2     one Quick Mode each
sa         one ISAKMP SA and what it protects; one SA bundle
phase1     Main and Aggressive Mode, and how each side is authenticated
doi, crypto, isakmp, numbers   what the octets mean; keys and proofs; octets; assigned numbers
"""

from collections import Counter
from collections.abc import Callable

from ike.absence import Absence
from ike.admission import Admission
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
    PolicyAdded,
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
from ike.peer import renewal, takedown
from ike.peer.connection import Connection
from ike.peer.databases import Databases
from ike.peer.half_open import HalfOpen
from ike.peer.pad import Pad
from ike.phase1.weak import Weakness
from ike.phase2.negotiation import Negotiation
from ike.sa.views import isakmp_view
from ike.values import Endpoint, IpsecView, IsakmpView, PolicyEntry, TimerView
from wire.timer import TimerFired


class Engine:
    """`handle(event, now)` and `deadline`; `now` is monotonic seconds.

    `entropy(n)` gives n random octets: cookies, nonces, exponents and message IDs come from it.
    """

    def __init__(self, config: Config, *, entropy: Callable[[int], bytes]) -> None:
        self._context = Context(config, entropy)
        self._db = Databases(self._context, Weakness(self._context), HalfOpen())
        self._db.pad = self._pad = Pad(self._db)
        self._admission = Admission(self._db)
        self._absence = Absence(self._context)
        self._stopped = False

    @property
    def deadline(self) -> float | None:
        return None if self._db.closing else self._context.timers.deadline

    @property
    def config(self) -> Config:
        return self._context.config

    def handle(self, event: Event, now: float) -> list[Command]:
        """Fire the timers that `now` has passed, then take the event. Raises nothing."""
        if self._stopped:
            return []
        self._context.now = now
        if not self._db.closing:
            if self._absence.ends():
                self._came_back()
            self._context.timers.fire(now)
            self._dispatch(event)
            self._absence.watch(anything=bool(self._db.sad or self._db.cookies))
        elif isinstance(event, Answer):
            self._context.answer(event)
        if self._db.closing and not self._context.asking:
            self._context.emit(Stopped())
            self._stopped = True
        return self._context.take_commands()

    def _came_back(self) -> None:
        """After suspend the peers have deleted our SAs. The next packet starts again."""
        self._context.warning(
            "this machine was suspended for minutes: all SAs are deleted and negotiated again when"
            " needed"
        )
        for peer in self._pad:
            takedown.disconnected(peer, "the machine was suspended")
        for sa in self._db.half_open:
            sa.close(EventKind.PHASE1_DOWN)

    def _dispatch(self, event: Event) -> None:
        match event:
            case DatagramReceived():
                self._admission.receive(event)
            case SpiAllocated() | SpiRefused() | SaInstalled() | SaRefused():
                self._context.answer(event)
            case PolicyAdded():
                self._policy_added(event)
            case PolicyRemoved():
                self._policy_removed(event)
            case Acquire():
                self._acquire(event)
            case SaExpired() | SaGone():
                self._sa_event(event)
            case EstablishIsakmp():
                self._establish(event)
            case DeleteIsakmp():
                self._delete_isakmp(event)
            case DeleteIpsec():
                self._delete_ipsec(event)
            case DeletePolicySas():
                self._withdraw(event.policy)
            case Flush():
                self._flush(event)
            case Reload():
                self._context.config = event.config
                self._pad.reload(event.config)
                self._admission.reload(event.config)
            case AddressGone():
                for peer in self._pad:
                    takedown.address_gone(peer, event.address)
            case Stop():
                self._stop()
            case TimerFired():
                pass

    # --- policies ---

    def _policy_added(self, event: PolicyAdded) -> None:
        connection = self._connection(event.policy, generated=event.generated)
        connection.removed = False

    def _policy_removed(self, event: PolicyRemoved) -> None:
        connection = self._db.spd.find(event.policy)
        if connection is None or connection.policy != event.policy:
            return  # news of one that another has replaced
        if connection.installed:
            connection.removed = True
            connection.generated = False
            connection.release()

    def _connection(self, policy: PolicyEntry, *, generated: bool = False) -> Connection:
        found = self._db.spd.find(policy)
        if found is not None and found.policy == policy:
            return found
        peer = found.peer if found is not None else self._pad.peer_of(policy)
        if found is not None:  # it asks for something else now
            found.withdraw("the policy has changed")
            self._db.spd.remove(found)
            peer.drop(found)
            self._pad.forget_if_idle(peer)
            peer = self._pad.peer_of(policy) if peer.is_idle else peer
        connection = peer.connection(policy, generated=generated)
        connection.installed = True
        return connection

    def _acquire(self, event: Acquire) -> None:
        connection = self._connection(event.policy)
        connection.local_port = event.local_port
        connection.want()

    def _withdraw(self, policy: PolicyEntry) -> None:
        connection = self._db.spd.find(policy)
        if connection is not None and connection.policy == policy:  # else another has replaced it
            connection.withdraw("the policy is gone")

    # --- SAs ---

    def _sa_event(self, event: SaExpired | SaGone) -> None:
        connection = self._db.sad.get(event.sa)
        found = connection.find(event.sa) if connection is not None else None
        if connection is None or found is None:
            return
        if isinstance(found, Negotiation):  # of a set that is not complete yet
            if isinstance(event, SaExpired) and not event.hard:
                found.aged = True
            else:
                found.fail(f"the data plane has no IPsec-SA spi={event.sa.spi} any more")
            return
        match event:
            case SaExpired(hard=False):
                renewal.soften(connection, found)
            case SaExpired():
                connection.expire(found)
            case SaGone():
                self._context.info(f"purged IPsec-SA spi={event.sa.spi}.")
                connection.remove(found, tell=True)

    def _delete_ipsec(self, event: DeleteIpsec) -> None:
        connection = self._db.sad.get(event.sa)
        found = connection.find(event.sa) if connection is not None else None
        if isinstance(found, Negotiation):
            found.wanted_here = False
            found.fail("deleted by an administrator")
        elif connection is not None and found is not None:
            connection.remove(found, tell=True)

    # --- administrators ---

    def _establish(self, event: EstablishIsakmp) -> None:
        context = self._context
        peer = self._pad.peer_at(event.remote, event.remote_name)
        coming = peer.coming(event.remote, event.local.address)
        for sa in coming:
            if sa.established:
                context.report(EventKind.PHASE1_UP, sa.local, sa.remote)
                return
        if coming or self._db.half_open.arriving(event.remote, event.local.address):
            return  # on its way
        if peer.remote is None:
            context.error(f"no configuration found for {event.remote}.")
            context.report(EventKind.PHASE1_NO_RESPONSE, event.local, Endpoint(event.remote, 500))
            self._pad.forget_if_idle(peer)
            return
        context.info(f"accept a request to establish IKE-SA: {event.remote}")
        peer.start_phase1(event.local, Endpoint(event.remote, peer.remote.port))

    def _delete_isakmp(self, event: DeleteIsakmp) -> None:
        for peer in self._pad.at(event.remote):
            takedown.disconnected(
                peer, "deleted by an administrator", local=event.local, bundles=event.children
            )

    def _flush(self, event: Flush) -> None:
        for peer in self._pad:
            if event.ipsec:
                for connection in list(peer.connections.values()):
                    connection.withdraw("flushed by an administrator")
            if event.isakmp:
                for sa in list(peer.isakmp_sas):
                    sa.delete()
        if event.isakmp:
            for sa in self._db.half_open:
                sa.delete()

    def _stop(self) -> None:
        """What was asked of the data plane is waited for, so that it can be taken back."""
        self._db.closing = True
        for peer in self._pad:
            for connection in list(peer.connections.values()):
                connection.give_up("the daemon stops")
        self._flush(Flush())
        self._context.report(EventKind.QUIT)

    # --- what administrators may look at ---

    def last_failures(self) -> dict[str, str]:
        """Why the last negotiation with a peer failed, where none has succeeded since."""
        return {str(peer): peer.last_failure for peer in self._pad if peer.last_failure}

    @property
    def padded(self) -> int:
        """How many datagrams had octets behind their message, or behind its last payload."""
        return self._context.padded

    def isakmp_sas(self) -> list[IsakmpView]:
        views = []
        for peer in self._pad:
            made = Counter(bytes(bundle.cookies) for _, bundle in peer.bundles())
            views += [isakmp_view(sa, made[bytes(sa.cookies)]) for sa in peer.isakmp_sas]
        return views + [isakmp_view(sa, 0) for sa in self._db.half_open]

    def ipsec_sas(self) -> list[IpsecView]:
        return [bundle.view() for peer in self._pad for _, bundle in peer.bundles()]

    def schedule(self) -> list[TimerView]:
        return self._context.timers.view()
