"""NAT traversal (RFC 3947): finding out who is behind a NAT.

Each side hashes both ends' addresses as it sees them; a hash that does not come out the same at the
other side was changed on the way. The drafts 02 and 03 do the same with other numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ike.crypto.keys import Cookies
from ike.crypto.prf import HashSpec
from ike.isakmp.message import Payload
from ike.isakmp.vendor import NAT_TRAVERSAL, Vendor
from ike.numbers.isakmp import PayloadType
from ike.values import Endpoint

KEEPALIVE: Final = b"\xff"  # RFC 3948, 2.3


@dataclass(slots=True)
class Nat:
    """What is known of NATs on the path. `version` None: no NAT traversal."""

    version: Vendor | None = None
    me: bool = False
    peer: bool = False
    forced: bool = False

    @property
    def detected(self) -> bool:
        """Whether packets must travel in UDP."""
        return self.version is not None and (self.me or self.peer or self.forced)

    @property
    def draft(self) -> bool:
        """Whether to use the drafts' numbers."""
        return self.version not in (None, Vendor.RFC_3947)

    @property
    def discovery_type(self) -> PayloadType:
        return PayloadType.NAT_D_DRAFT if self.draft else PayloadType.NAT_D

    @property
    def original_address_type(self) -> PayloadType:
        return PayloadType.NAT_OA_DRAFT if self.draft else PayloadType.NAT_OA

    def __str__(self) -> str:
        if not self.detected:
            return "NAT not detected "
        return f"NAT detected: {'ME ' if self.me else ''}{'PEER' if self.peer else ''}"


def common_version(theirs: set[Vendor]) -> Vendor | None:
    """The version to use with a peer that announced these."""
    return next((version for version in NAT_TRAVERSAL if version in theirs), None)


def address_hash(spec: HashSpec, cookies: Cookies, end: Endpoint) -> bytes:
    """HASH(CKY-I | CKY-R | IP | Port) (RFC 3947, 3.2)."""
    return spec.digest(bytes(cookies) + end.address.packed + end.port.to_bytes(2))


def discovery_payloads(
    nat: Nat,
    spec: HashSpec,
    cookies: Cookies,
    *,
    local: Endpoint,
    peer: Endpoint,
    disguise: bytes = b"",
) -> list[Payload]:
    """The peer's address first, then ours. `disguise` stands for ours when a NAT is pretended."""
    ours = disguise or address_hash(spec, cookies, local)
    kind = nat.discovery_type
    return [Payload(kind, address_hash(spec, cookies, peer)), Payload(kind, ours)]


def discover(
    nat: Nat,
    spec: HashSpec,
    cookies: Cookies,
    received: Sequence[bytes],
    *,
    local: Endpoint,
    peer: Endpoint,
) -> None:
    """Compare the peer's NAT-D payloads with what we see. Without any, there is no traversal."""
    if len(received) < 2:
        nat.version = None
        return
    nat.me = received[0] != address_hash(spec, cookies, local)
    nat.peer = address_hash(spec, cookies, peer) not in received[1:]
