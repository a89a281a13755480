"""Sequence numbers of an SA: sent once, accepted once (RFC 4303, 3.3.3, 3.4.3 and Appendix A).

What the cryptography does is handed in as a function: `Protect` makes the packet of a sequence
number, `Unprotect` checks and opens one. Both directions count octets of payload as Linux does:
the inner packet in tunnel mode, what follows the IP header in transport mode.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final

from xfrm.esp.reasons import Reason, Refused
from xfrm.model import Lifetime

# (sequence number of 64 bits, payload, next header) -> packet
Protect = Callable[[int, bytes, int], bytes]
# (packet, high half of the sequence number) -> next header, payload; raises Refused
Unprotect = Callable[[bytes, int], tuple[int, bytes]]

MAX_WINDOW: Final = 4096  # packets; the kernel's XFRMA_REPLAY_ESN_MAX
_NO_LIMIT: Final = 1 << 64
_CYCLE: Final = 1 << 32

SPI_SEQUENCE: Final = Struct("!II")


def _nobody() -> None:
    """Is told of nothing."""


class Outbound:
    """Seals the packets of one SA. `sequence` is the last number used, 0 before the first."""

    __slots__ = (
        "_crossed",
        "_last",
        "_next_octets",
        "_next_packets",
        "_octet_limit",
        "_protect",
        "_soft_octets",
        "_soft_packets",
        "octets",
        "sequence",
        "soft",
    )

    def __init__(
        self,
        protect: Protect,
        *,
        esn: bool,
        lifetime: Lifetime,
        crossed: Callable[[], object] = _nobody,
    ) -> None:
        """`crossed` is called when a soft or a hard limit of packets or octets is reached."""
        self._protect = protect
        self._crossed = crossed
        self._last = min((_NO_LIMIT if esn else _CYCLE) - 1, lifetime.hard_packets or _NO_LIMIT)
        self._octet_limit = lifetime.hard_octets or _NO_LIMIT
        self._soft_packets = lifetime.soft_packets or _NO_LIMIT
        self._soft_octets = lifetime.soft_octets or _NO_LIMIT
        self._next_packets = min(self._soft_packets, self._last)
        self._next_octets = min(self._soft_octets, self._octet_limit)
        self.sequence = 0
        self.octets = 0
        self.soft = False

    @property
    def packets(self) -> int:
        return self.sequence

    def seal(self, payload: bytes, next_header: int) -> bytes:
        """The packet from SPI to integrity check value.

        Raises Refused: OUT_SEQUENCE when the number would repeat (RFC 4303, 3.3.3), OUT_EXPIRED
        when a hard limit of octets or packets is reached.
        """
        sequence = self.sequence
        octets = self.octets
        if sequence >= self._last or octets >= self._octet_limit:
            raise Refused(self.exhausted())
        self.sequence = sequence = sequence + 1
        self.octets = octets = octets + len(payload)
        if sequence >= self._next_packets or octets >= self._next_octets:
            self._reached()
        return self._protect(sequence, payload, next_header)

    def _reached(self) -> None:
        """A limit: from now on the next one counts."""
        self.soft |= self.sequence >= self._soft_packets or self.octets >= self._soft_octets
        self._next_packets = _NO_LIMIT if self.sequence >= self._last else self._last
        self._next_octets = _NO_LIMIT if self.octets >= self._octet_limit else self._octet_limit
        self._crossed()

    def go_on_from(self, other: "Outbound") -> None:
        """Take over the numbers of an SA with the same keys: none may come twice."""
        self.sequence, self.octets = other.sequence, other.octets
        if self.sequence >= self._next_packets or self.octets >= self._next_octets:
            self._reached()

    def exhausted(self) -> Reason:
        """What stopped the SA."""
        cycle = self.sequence in (_CYCLE - 1, _NO_LIMIT - 1)
        return Reason.OUT_SEQUENCE if cycle else Reason.OUT_EXPIRED

    @property
    def spent(self) -> bool:
        """Whether a hard limit is reached: the next packet would be refused."""
        return self.sequence >= self._last or self.octets >= self._octet_limit


class Inbound:
    """Opens the packets of one SA, each number once.

    `bitmap` has bit i set when sequence number `top - i` was taken in; a `window` of 0 switches the
    check off, as with the kernel. Counters: `replayed` and `failed` are per reason refused.
    """

    __slots__ = (
        "_crossed",
        "_esn",
        "_mask",
        "_next_octets",
        "_next_packets",
        "_octet_limit",
        "_packet_limit",
        "_soft_octets",
        "_soft_packets",
        "_unprotect",
        "bitmap",
        "failed",
        "octets",
        "packets",
        "replayed",
        "soft",
        "top",
        "window",
    )

    def __init__(
        self,
        unprotect: Unprotect,
        *,
        window: int,
        esn: bool,
        lifetime: Lifetime,
        crossed: Callable[[], object] = _nobody,
    ) -> None:
        """`crossed` is called when a soft or a hard limit of packets or octets is reached."""
        if not 0 <= window <= MAX_WINDOW:
            raise ValueError(f"the replay window is {window} packets, but may be 0 to {MAX_WINDOW}")
        self._unprotect = unprotect
        self._crossed = crossed
        self._esn = esn
        self.window = window
        self._mask = (1 << window) - 1
        self._packet_limit = lifetime.hard_packets or _NO_LIMIT
        self._octet_limit = lifetime.hard_octets or _NO_LIMIT
        self._soft_packets = lifetime.soft_packets or _NO_LIMIT
        self._soft_octets = lifetime.soft_octets or _NO_LIMIT
        self._next_packets = min(self._soft_packets, self._packet_limit)
        self._next_octets = min(self._soft_octets, self._octet_limit)
        self.top = self.bitmap = 0
        self.octets = self.packets = self.replayed = self.failed = 0
        self.soft = False

    def open(self, packet: bytes, low: int) -> tuple[int, bytes]:
        """Next header and payload of `packet`, whose sequence number field is `low`.

        Raises Refused. The window moves only after the integrity check (RFC 4303, 3.4.3).
        """
        sequence = self._extended(low) if self._esn else low
        ahead = sequence - self.top
        if (
            ahead <= 0
            and self.window
            and (ahead <= -self.window or self.bitmap >> -ahead & 1 or sequence <= 0)
        ):
            self.replayed += 1
            raise Refused(Reason.IN_SEQUENCE)
        if self.packets >= self._packet_limit or self.octets >= self._octet_limit:
            raise Refused(Reason.IN_EXPIRED)
        try:
            opened = self._unprotect(packet, sequence >> 32)
        except Refused:
            self.failed += 1
            raise
        if ahead > 0:
            # A far jump must not make an integer of 4 GB: whatever is left of the window is gone.
            self.bitmap = ((self.bitmap << ahead) & self._mask | 1) if ahead < self.window else 1
            self.top = sequence
        else:
            self.bitmap |= 1 << -ahead if self.window else 0
        self.packets = packets = self.packets + 1
        self.octets = octets = self.octets + len(opened[1])
        if packets >= self._next_packets or octets >= self._next_octets:
            self._reached()
        return opened

    def _reached(self) -> None:
        """A limit: from now on the next one counts."""
        self.soft |= self.packets >= self._soft_packets or self.octets >= self._soft_octets
        self._next_packets = _NO_LIMIT if self.packets >= self._packet_limit else self._packet_limit
        self._next_octets = _NO_LIMIT if self.octets >= self._octet_limit else self._octet_limit
        self._crossed()

    @property
    def spent(self) -> bool:
        """Whether a hard limit is reached."""
        return self.packets >= self._packet_limit or self.octets >= self._octet_limit

    def go_on_from(self, other: "Inbound") -> None:
        """Take over window and counters of an SA with the same keys."""
        self.top, self.bitmap = other.top, other.bitmap & self._mask
        self.packets, self.octets = other.packets, other.octets
        self.replayed, self.failed = other.replayed, other.failed
        if self.packets >= self._next_packets or self.octets >= self._next_octets:
            self._reached()

    def _extended(self, low: int) -> int:
        """The 64-bit number that `low` stands for, by the window (RFC 4303, Appendix A2.2)."""
        top_high, top_low = divmod(self.top, _CYCLE)
        window = self.window or 1
        if top_low >= window - 1:  # case A: the window lies within one cycle
            high = top_high if low >= top_low - window + 1 else top_high + 1
        else:  # case B: the window spans two cycles
            high = top_high - 1 if low >= (top_low - window + 1) % _CYCLE else top_high
        return high << 32 | low  # below zero, and so refused, before the first cycle
