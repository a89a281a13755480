"""One server: what it is asked, and what its answers say -- RFC 4330, 5; RFC 5905, 8; RFC 9769, 2.

A request tells nothing about us: version 4, mode 3, 64 random bits as transmit timestamp, and zeros
(RFC 9109 and the data minimisation draft). The random bits are what the answer must repeat; our
clock is not sent, as it may be at 1970.

Interleaved mode: the server's transmit timestamp is written before the packet really leaves. Asked
by a request that repeats the server's last receive timestamp as its origin, the server answers with
the stamp taken when its *previous* answer left; the sample is then that of the previous exchange.
Its answer repeats the request's *receive* timestamp, so that both modes can be told apart, and both
fields are random bits. After a loss the next request is a basic one.
"""

from collections.abc import Callable

from ntp import checks
from ntp.errors import ClockStepped, Skip
from ntp.packet import Header, Mode, Packet
from ntp.sample import Sample, Stamps, offset_and_delay
from ntp.timestamp import SECOND, power_of_two_to_ns, to_unix_ns
from wire.lean import Final, Protocol
from wire.record import Record

INTERLEAVE_WITHIN: Final = 64.0  # s; an older exchange says too little about the clock now
_STEP: Final = SECOND // 100  # ns; the two clocks of one machine differ less within a request
_SLACK: Final = SECOND // 2  # ns; a busy machine reads its two clocks so far apart, at worst

Entropy = Callable[[int], bytes]


class Sealed(Protocol):
    """One request as it goes out, and what its answer must prove."""

    @property
    def octets(self) -> bytes: ...

    def verify(self, answer: Packet, octets: bytes) -> None:
        """Raises NotAuthentic, which is passed over in silence, or a ServerError."""


class Authentication(Protocol):
    """How requests to one server are authenticated: a key, or NTS.

    `ready`: there is what the next request needs.
    """

    @property
    def ready(self) -> bool: ...

    def seal(self, header: bytes) -> Sealed: ...


class Request(Record, kw_only=True):
    """One datagram on its way. `transmit` and `receive` are the random bits in those fields."""

    octets: bytes
    transmit: int
    receive: int  # 0: basic mode
    sealed: Sealed | None
    at: float  # monotonic s


class _Exchange(Record, kw_only=True):
    """The last exchange, for an interleaved answer to complete. Dates in Unix ns."""

    stamps: Stamps
    receive: int  # the server's stamp, as on the wire
    reference: int  # when the server was last set, by the answer of this exchange
    at: float


class OnWire:
    """State of one server: the last exchange, the authentication, what it refused.

    Args: `pivot`, Unix ns, see ntp.timestamp; `timeout`, seconds that an answer may take.
    """

    def __init__(
        self,
        entropy: Entropy,
        *,
        pivot: int,
        authentication: Authentication | None = None,
        timeout: float = 5.0,
        interleaved: bool = True,
    ) -> None:
        self.pivot = pivot
        self.authentication = authentication
        self.interleaved = interleaved
        self.entropy = entropy
        self._timeout = round(timeout * SECOND)
        self._previous: _Exchange | None = None

    def request(self, now: float) -> Request:
        """A request to send from a fresh port; any earlier one is given up by it."""
        transmit, receive, origin = self._random(), 0, 0
        previous = self._previous
        if previous and now - previous.at <= INTERLEAVE_WITHIN:
            receive, origin = self._random(), previous.receive
        header = bytes(Header(Mode.CLIENT, origin=origin, receive=receive, transmit=transmit))
        sealed = self.authentication.seal(header) if self.authentication else None
        octets = sealed.octets if sealed else header
        return Request(octets=octets, transmit=transmit, receive=receive, sealed=sealed, at=now)

    def another(self) -> "OnWire":
        """One with another server, asked in the same way."""
        return OnWire(
            self.entropy,
            pivot=self.pivot,
            authentication=self.authentication,
            timeout=self._timeout / SECOND,
            interleaved=self.interleaved,
        )

    def lost(self) -> None:
        """The last request stays without an answer, or our clock was set: back to basic mode."""
        self._previous = None

    def receive(
        self, request: Request, octets: bytes, stamps: Stamps, now: float, own_id: bytes = bytes(4)
    ) -> Sample:
        """The measurement that an answer to `request` gives.

        Args: `own_id`, our address as a reference id.
        Raises: Skip, then wait on; ServerError, then this request is answered, with nothing to use.
        """
        origins = (request.transmit, request.receive) if request.receive else (request.transmit,)
        answer = checks.parse_answer(octets, origins)
        if request.sealed:
            request.sealed.verify(answer, octets)
        elif answer.mac and not answer.mac.digest:
            raise Skip("a crypto-NAK, although the request had no key")
        previous, self._previous = self._previous, None
        header = answer.header
        checks.check_server(header, own_id)
        this = _Exchange(stamps=stamps, receive=header.receive, reference=header.reference, at=now)
        self._check_own_clock(request, this, previous)
        measured = previous if previous and header.origin != request.transmit else this
        sample = self._measure(header, measured, this, authenticated=request.sealed is not None)
        if self.interleaved and stamps.by_kernel:
            self._previous = this
        return sample

    def _check_own_clock(
        self, request: Request, this: _Exchange, previous: _Exchange | None
    ) -> None:
        """The dates of the stamps must have passed as the monotonic time did."""
        stamps = this.stamps
        elapsed = round((this.at - request.at) * SECOND)
        if not 0 <= stamps.received - stamps.sent <= elapsed + _STEP:
            raise ClockStepped("our clock was set while the request was on its way")
        if previous:
            elapsed = round((this.at - previous.at) * SECOND)
            passed = stamps.received - previous.stamps.received
            if abs(passed - elapsed) > _SLACK:
                raise ClockStepped("our clock was set between two requests")

    def _measure(
        self, header: Header, measured: _Exchange, this: _Exchange, *, authenticated: bool
    ) -> Sample:
        stamps = measured.stamps
        t2 = to_unix_ns(measured.receive, self.pivot)
        t3 = to_unix_ns(header.transmit, self.pivot)
        offset, delay = offset_and_delay(stamps.sent, t2, t3, stamps.received)
        precision = power_of_two_to_ns(header.precision)
        distance = checks.root_distance(header)
        checks.check_numbers(
            delay=delay,
            processing=t3 - t2,
            since_reference=t3 - to_unix_ns(measured.reference, self.pivot)
            if measured.reference
            else None,
            precision=precision,
            timeout=self._timeout,
        )
        delay = max(delay, 0)
        return Sample(
            offset=offset,
            delay=delay,
            error=delay // 2 + distance + precision + checks.OUR_PRECISION,
            date=this.stamps.received + offset,
            at=this.at,
            stratum=header.stratum,
            leap=header.leap,
            reference_id=header.reference_id,
            root_distance=distance,
            by_kernel=stamps.by_kernel,
            interleaved=measured is not this,
            authenticated=authenticated,
        )

    def _random(self) -> int:
        value = 0
        while not value:
            value = int.from_bytes(self.entropy(8), "big")
        return value
