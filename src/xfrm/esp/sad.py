"""The security association database (RFC 4301, 4.4.2): which SA, since when, and until when."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from xfrm.dataplane import AlreadyThere, Expire, NoSuchEntry, Unsupported
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


class Entry:
    """One SA with what it has done. Only one of `outbound` and `inbound` is ever used.

    `added` is monotonic seconds; `used` the Unix second of its first packet, 0 before. With
    encapsulation, `peer` and `peer_port` are where its last authentic packet came from.
    """

    __slots__ = (
        "added", "date", "inbound", "outbound", "peer", "peer_port", "sa", "soft_told", "used",
    )  # fmt: skip

    def __init__(self, sa: SecurityAssociation, entropy: Entropy, now: float, date: int) -> None:
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
        self.outbound = Outbound(protect, esn=sa.esn, lifetime=sa.lifetime)
        self.inbound = Inbound(unprotect, window=sa.replay_window, esn=sa.esn, lifetime=sa.lifetime)

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
    Unix seconds."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._entries: dict[SaId, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, sa: SaId) -> Entry | None:
        return self._entries.get(sa)

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
        self._entries[larval.id] = Entry(larval, self._entropy, now, date)
        return spi

    def add(self, sa: SecurityAssociation, now: float, date: int) -> Entry:
        """Install `sa`. Raises AlreadyThere or Unsupported."""
        if sa.id in self._entries:
            raise AlreadyThere(f"{sa_name(sa)} is there already")
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
        entry = Entry(sa, self._entropy, old.added, old.date)
        entry.used = old.used
        entry.outbound.go_on_from(old.outbound)
        entry.inbound.go_on_from(old.inbound)
        self._entries[sa.id] = entry
        return entry

    def delete(self, sa: SaId) -> Entry:
        """Raises NoSuchEntry."""
        entry = self._entries.pop(sa, None)
        if entry is None:
            raise NoSuchEntry(f"there is no {sa_name(sa)}")
        return entry

    def outbound(self, template: Template, src: Address, dst: Address) -> Entry | None:
        """The SA for `template` between the tunnel's ends `src` and `dst`: one that is not soon to
        expire, and of these the newest."""
        best: Entry | None = None
        for entry in self._entries.values():  # in the order of their arrival
            sa = entry.sa
            if (
                sa.dst == dst
                and sa.src == src
                and sa.reqid == template.reqid  # 0 is no wildcard here, as in Linux
                and accepts(template, sa)
                and not sa.larval
                and not entry.spent
            ):
                best = entry if best is None or not entry.soft or best.soft else best
        return best

    def encapsulated(self, spi: int) -> Iterator[Entry]:
        """SAs of ESP in UDP with this SPI, at any address."""
        for entry in self._entries.values():
            if entry.sa.spi == spi and entry.sa.encapsulation is not None:
                yield entry

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to do next, as far as seconds decide."""
        deadlines = (entry.deadline() for entry in self._entries.values())
        return min((when for when in deadlines if when is not None), default=None)

    def expire(self, now: float) -> list[Expire]:
        """Soft and hard lifetimes that have passed; after a hard one the SA is gone."""
        passed: list[Expire] = []
        for name, entry in list(self._entries.items()):
            lifetime, age = entry.sa.lifetime, now - entry.added
            if entry.spent or (lifetime.hard_seconds is not None and age >= lifetime.hard_seconds):
                del self._entries[name]
                passed.append(Expire(sa=entry.snapshot(), hard=True))
                continue
            by_time = lifetime.soft_seconds is not None and age >= lifetime.soft_seconds
            if not entry.soft_told and (by_time or entry.soft):
                entry.soft_told = True
                passed.append(Expire(sa=entry.snapshot(), hard=False))
        return passed

    def _install(self, sa: SecurityAssociation, now: float, date: int) -> Entry:
        if sa.protocol not in (Protocol.ESP, Protocol.AH):
            raise Unsupported(f"the userspace data path has no {sa.protocol}; it has ESP and AH")
        if sa.protocol == Protocol.AH and sa.encapsulation is not None:
            raise Unsupported("AH does not pass NAT: there is no AH in UDP (RFC 3948, 1)")
        if sa.mark is not None or sa.if_id:
            raise Unsupported("marks and xfrm interfaces are for a kernel with ESP")
        try:
            entry = Entry(sa, self._entropy, now, date)
        except (BadAlgorithm, ValueError) as error:
            raise Unsupported(str(error)) from None
        self._entries.pop(sa.id, None)  # so that an updated larval SA counts as the newest
        self._entries[sa.id] = entry
        return entry


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
