"""The checks of a datagram: whether it is an answer, and whether it can be measured.

Their order matters (RFC 5905, 8 and 9.2; RFC 8633; RFC 9109). First, whether the datagram answers
our request: until then no field counts, not even a kiss code (otherwise one forged packet could
silence a server). The driver's connected socket has checked address and port. Then, whether the
server has time to give. Last, whether the numbers can be true.
"""

from collections.abc import Container

from ntp.errors import Implausible, KissOfDeath, Malformed, Skip, Unusable
from ntp.packet import Header, Leap, Mode, Packet
from ntp.sample import MAXDISP
from ntp.timestamp import SECOND, short_to_ns
from wire.lean import Final

MAX_OCTETS: Final = 2048  # more than any answer to what we ask
MAX_PROCESSING: Final = SECOND  # ns; T3 - T2 of a server that works
MAXSTRAT: Final = 16
OUR_PRECISION: Final = 100  # ns; reading a clock and stamping a packet


def parse_answer(octets: bytes, origins: Container[int]) -> Packet:
    """The packet in `octets` if it answers a request that carried one of `origins`.

    Raises: Skip (Malformed) for a packet that an off-path attacker could have sent; nothing of it
    may be used.
    """
    if len(octets) > MAX_OCTETS:
        raise Malformed(f"{len(octets)} octets are too many")
    header = Header.parse(octets)
    if header.mode != Mode.SERVER:
        raise Skip(f"mode {header.mode} is not the mode of a server")
    if not 1 <= header.version <= 4:
        raise Skip(f"version {header.version} is not known")
    if header.origin not in origins:
        raise Skip("it does not answer our request")
    return Packet.parse(octets, header)


def check_server(header: Header, own_reference_id: bytes) -> None:
    """Raises KissOfDeath, or Unusable if the server has no time to give."""
    if header.stratum == 0:
        raise KissOfDeath(header.reference_id)
    if header.leap == Leap.UNSYNCHRONIZED:
        raise Unusable("the server is not synchronised (leap indicator 3)")
    if header.stratum >= MAXSTRAT:
        raise Unusable(f"the server is not synchronised (stratum {header.stratum})")
    if header.receive == 0 or header.transmit == 0:
        raise Unusable("the server's timestamps are zero")
    if header.stratum > 1 and header.reference_id == own_reference_id:
        raise Unusable("the server is synchronised to this host")


def root_distance(header: Header) -> int:
    """How far the server may be from its reference, in ns; Unusable beyond MAXDISP."""
    distance = short_to_ns(header.root_delay) // 2 + short_to_ns(header.root_dispersion)
    if distance >= MAXDISP:
        raise Unusable(
            f"the server is up to {distance / SECOND:.0f} s wrong by its own root distance"
        )
    return distance


def check_numbers(
    *, delay: int, processing: int, since_reference: int | None, precision: int, timeout: int
) -> None:
    """Raises Implausible if the times contradict each other.

    Args, ns: round-trip `delay`; T3 - T2; T3 - reference, None if the server gives none; precision
    of the server; `timeout`, longer than which no reply can have taken.
    """
    if processing < 0:
        raise Implausible("the reply was sent before the request arrived")
    if processing >= MAX_PROCESSING:
        raise Implausible(f"the server took {processing / SECOND:.1f} s to answer")
    if delay < -precision - OUR_PRECISION:
        raise Implausible(f"the round trip took {delay / SECOND:.6f} s")
    if delay > timeout:
        raise Implausible(f"the round trip took {delay / SECOND:.1f} s, longer than we waited")
    if since_reference is not None and since_reference < -precision:
        raise Implausible("the server's reference timestamp is later than its transmit timestamp")
