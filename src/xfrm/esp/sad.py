"""The security association database (RFC 4301, 4.4.2): which SA, since when, and until when."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, TypeVar

from xfrm.dataplane import AlreadyThere, Expire, Mapping, NoSuchEntry, Unsupported
from xfrm.esp import ah, transform
from xfrm.esp.replay import Inbound, Outbound
from xfrm.esp.transform import BadAlgorithm, Entropy
from xfrm.model import (
    Address,
    Lifetime,
    Mode,
    Protocol,
    SaId,
    SecurityAssociation,
    Template,
    Usage,
)
from xfrm.names import sa_name

LOWEST_SPI: Final = 256  # 1 to 255 are reserved (RFC 4303, 2.1)
# As long as an IKE peer may take to answer with all repeats; strongSwan has the same number.
LARVAL_SECONDS: Final = 165
_SPARE: Final = 64  # timers of SAs that are gone, beside one for each that is there

Ends = tuple[Address, Address, Protocol, Mode, int]
"""Source, destination, protocol, mode, reqid: what a policy looks an SA up by."""


def ends_of(sa: SecurityAssociation) -> Ends:
    return sa.src, sa.dst, sa.protocol, sa.mode, sa.reqid


class Entry:
    """One SA with what it has done. Only one of `outbound` and `inbound` is ever used.

    `added` is monotonic seconds; `used` the Unix second of its first packet, 0 before. With
    encapsulation, `peer` and `peer_port` are where its last authentic packet came from.
    """

    __slots__ = (
        "added", "date", "inbound", "outbound", "peer", "peer_port", "sa", "soft_told", "used",
    )  # fmt: skip

    def __init__(
        self,
        sa: SecurityAssociation,
        entropy: Entropy,
        now: float,
        date: int,
        crossed: "Callable[[Entry], object]",
    ) -> None:
        """`crossed` is called when a limit of packets or octets is reached."""
        self.sa = sa
        self.added = now
        self.date = date
        self.used = 0
        self.soft_told = False
        self.peer = sa.src
        self.peer_port = sa.encapsulation.src_port if sa.encapsulation is not None else 0
        if sa.larval:
            return
        esp = sa.protocol == Protocol.ESP
        protect, unprotect = transform.transforms(sa, entropy) if esp else ah.transforms(sa)
        tell = partial(crossed, self)
        self.outbound = Outbound(protect, esn=sa.esn, lifetime=sa.lifetime, crossed=tell)
        self.inbound = Inbound(
            unprotect, window=sa.replay_window, esn=sa.esn, lifetime=sa.lifetime, crossed=tell
        )

    @property
    def soft(self) -> bool:
        return not self.sa.larval and (self.soft_told or self.outbound.soft or self.inbound.soft)

    @property
    def spent(self) -> bool:
        return not self.sa.larval and (self.outbound.spent or self.inbound.spent)

    def moved_to(self, peer: Address, port: int) -> bool:
        """Note where an authentic packet came from; whether that is new."""
        moved = (peer, port) != (self.peer, self.peer_port)
        self.peer, self.peer_port = peer, port
        return moved

    def mapping(self) -> Mapping:
        """What tells that its peer's UDP comes from elsewhere now."""
        ports = self.sa.encapsulation
        return Mapping(
            sa=self.sa.id,
            reqid=self.sa.reqid,
            old_src=self.sa.src,
            old_port=ports.src_port if ports is not None else 0,
            new_src=self.peer,
            new_port=self.peer_port,
        )

    def snapshot(self) -> SecurityAssociation:
        """The SA with its usage so far."""
        if self.sa.larval:
            return replace(self.sa, usage=Usage(added=self.date))
        octets = self.outbound.octets + self.inbound.octets
        packets = self.outbound.packets + self.inbound.packets
        usage = Usage(octets=octets, packets=packets, added=self.date, used=self.used)
        return replace(self.sa, usage=usage)

    def deadline(self) -> float | None:
        """When its soft or hard lifetime in seconds passes next."""
        hard, soft = self.sa.lifetime.hard_seconds, self.sa.lifetime.soft_seconds
        if soft is not None and not self.soft_told and (hard is None or soft < hard):
            return self.added + soft
        return None if hard is None else self.added + hard


class Sad:
    """All SAs, ours and our peers'. The caller has the clocks: `now` is monotonic seconds, `date`
    Unix seconds.

    SAs are found by name, by SPI where a peer is behind a NAT, and by their ends; what they cost
    does not depend on how many there are. `due` says that a limit of packets or octets was
    reached, so that `expire` has something to do.
    """

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._entries: dict[SaId, Entry] = {}
        self._by_ends: dict[Ends, dict[SaId, Entry]] = {}  # each in the order of their arrival
        self._in_udp: dict[int, dict[SaId, Entry]] = {}  # by SPI
        self._timers: list[tuple[float, int, Entry]] = []  # a heap; of entries gone, too
        self._turn = count()
        self._crossed: list[Entry] = []

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, sa: SaId) -> Entry | None:
        return self._entries.get(sa)

    @property
    def due(self) -> bool:
        return bool(self._crossed)

    def allocate(
        self, src: Address, dst: Address, protocol: Protocol, mode: Mode, reqid: int,
        now: float, date: int,
    ) -> int:  # fmt: skip
        """Reserve a random SPI at `dst` with a larval SA, which expires after LARVAL_SECONDS."""
        while True:
            spi = int.from_bytes(self._entropy(4), "big")
            if spi >= LOWEST_SPI and SaId(dst, protocol, spi) not in self._entries:
                break
        larval = SecurityAssociation(
            src=src, dst=dst, spi=spi, protocol=protocol, mode=mode, reqid=reqid, larval=True,
            lifetime=Lifetime(hard_seconds=LARVAL_SECONDS),
        )  # fmt: skip
        self._put(self._made(larval, now, date))
        return spi

    def add(self, sa: SecurityAssociation, now: float, date: int) -> Entry:
        """Install `sa`. Raises AlreadyThere or Unsupported."""
        if sa.id in self._entries:
            raise AlreadyThere(f"{sa_name(sa)} already exists")
        return self._install(sa, now, date)

    def update(self, sa: SecurityAssociation, now: float, date: int) -> Entry:
        """Replace the SA; one with the same keys keeps its sequence numbers and counters.

        Raises NoSuchEntry or Unsupported.
        """
        old = self._entries.get(sa.id)
        if old is None:
            raise NoSuchEntry(f"there is no {sa_name(sa)} to update")
        if old.sa.larval or _keys(old.sa) != _keys(sa):
            return self._install(sa, now, date)
        # Numbers that start again under the same key would reuse GCM's IVs.
        entry = self._made(sa, old.added, old.date)
        entry.used = old.used
        entry.outbound.go_on_from(old.outbound)
        entry.inbound.go_on_from(old.inbound)
        self._put(entry)
        return entry

    def delete(self, sa: SaId) -> Entry:
        """Raises NoSuchEntry."""
        entry = self._entries.get(sa)
        if entry is None:
            raise NoSuchEntry(f"there is no {sa_name(sa)}")
        self._take_out(entry)
        return entry

    def outbound(self, template: Template, src: Address, dst: Address) -> Entry | None:
        """The SA for `template` between the tunnel's ends `src` and `dst`: one that is not soon to
        expire, and of these the newest."""
        best: Entry | None = None
        # A reqid of 0 is no wildcard here, as in Linux.
        ends = src, dst, template.protocol, template.mode, template.reqid
        for entry in self._by_ends.get(ends, {}).values():
            if accepts(template, entry.sa) and not entry.spent:
                best = entry if best is None or not entry.soft or best.soft else best
        return best

    def encapsulated(self, spi: int) -> Iterable[Entry]:
        """SAs of ESP in UDP with this SPI, at any address."""
        return self._in_udp.get(spi, {}).values()

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to do next, as far as seconds decide."""
        while self._timers and not self._is_here(self._timers[0][2]):
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def expire(self, now: float) -> list[Expire]:
        """Soft and hard lifetimes that have passed; after a hard one the SA is gone."""
        due, self._crossed = self._crossed, []
        timed: list[Entry] = []
        while self._timers and self._timers[0][0] <= now:
            timed.append(heappop(self._timers)[2])
        passed = [self._passed(entry, now) for entry in dict.fromkeys((*due, *timed))]
        for entry in timed:
            self._set_timer(entry)
        return [each for each in passed if each is not None]

    def _passed(self, entry: Entry, now: float) -> Expire | None:
        if not self._is_here(entry):
            return None
        lifetime, age = entry.sa.lifetime, now - entry.added
        if entry.spent or (lifetime.hard_seconds is not None and age >= lifetime.hard_seconds):
            self._take_out(entry)
            return Expire(sa=entry.snapshot(), hard=True)
        by_time = lifetime.soft_seconds is not None and age >= lifetime.soft_seconds
        if not entry.soft_told and (by_time or entry.soft):
            entry.soft_told = True
            return Expire(sa=entry.snapshot(), hard=False)
        return None

    def _install(self, sa: SecurityAssociation, now: float, date: int) -> Entry:
        if sa.protocol not in (Protocol.ESP, Protocol.AH):
            raise Unsupported(f"the userspace data path has no {sa.protocol}; it has ESP and AH")
        if sa.protocol == Protocol.AH and sa.encapsulation is not None:
            raise Unsupported("AH does not pass NAT: there is no AH in UDP (RFC 3948, 1)")
        if sa.mark is not None or sa.if_id:
            raise Unsupported(
                "the userspace data path does not support marks and xfrm interfaces: they need a"
                " kernel with ESP"
            )
        try:
            entry = self._made(sa, now, date)
        except (BadAlgorithm, ValueError) as error:
            raise Unsupported(str(error)) from None
        old = self._entries.get(sa.id)
        if old is not None:  # so that an updated larval SA counts as the newest
            self._take_out(old)
        self._put(entry)
        return entry

    # Indexes

    def _made(self, sa: SecurityAssociation, now: float, date: int) -> Entry:
        return Entry(sa, self._entropy, now, date, self._note_crossed)

    def _note_crossed(self, entry: Entry) -> None:
        self._crossed.append(entry)

    def _put(self, entry: Entry) -> None:
        """In place of the one of its name, if any."""
        sa, name = entry.sa, entry.sa.id
        old = self._entries.get(name)
        if old is not None:
            self._unindex(old, keep=ends_of(sa))
        self._entries[name] = entry
        if not sa.larval:
            self._by_ends.setdefault(ends_of(sa), {})[name] = entry
        if sa.encapsulation is not None:
            self._in_udp.setdefault(sa.spi, {})[name] = entry
        self._set_timer(entry)

    def _take_out(self, entry: Entry) -> None:
        del self._entries[entry.sa.id]
        self._unindex(entry)

    def _unindex(self, entry: Entry, keep: Ends | None = None) -> None:
        """`keep`: the ends in whose list its place stays, for the one that follows it."""
        name, ends = entry.sa.id, ends_of(entry.sa)
        if ends != keep:
            _remove(self._by_ends, ends, name)
        _remove(self._in_udp, entry.sa.spi, name)

    def _is_here(self, entry: Entry) -> bool:
        return self._entries.get(entry.sa.id) is entry

    def _set_timer(self, entry: Entry) -> None:
        deadline = entry.deadline()
        if deadline is None or not self._is_here(entry):
            return
        heappush(self._timers, (deadline, next(self._turn), entry))
        if len(self._timers) > 2 * len(self._entries) + _SPARE:
            self._timers = [timer for timer in self._timers if self._is_here(timer[2])]
            heapify(self._timers)


K = TypeVar("K")


def _remove(index: dict[K, dict[SaId, Entry]], key: K, name: SaId) -> None:
    entries = index.get(key)
    if entries is not None and entries.pop(name, None) is not None and not entries:
        del index[key]


def accepts(template: Template, sa: SecurityAssociation) -> bool:
    """Whether a packet that came by `sa` is what an inbound policy asks for.

    As Linux decides: a reqid of 0 in the template accepts all, and the ends count in tunnel mode.
    """
    return (
        sa.protocol == template.protocol
        and sa.mode == template.mode
        and template.reqid in (0, sa.reqid)
        and template.spi in (0, sa.spi)
        and (sa.mode != Mode.TUNNEL or (sa.src == template.src and sa.dst == template.dst))
    )


def _keys(sa: SecurityAssociation) -> tuple[object, ...]:
    return sa.encryption, sa.authentication, sa.aead, sa.esn
