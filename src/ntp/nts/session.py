"""What a key exchange leaves: two keys, the cookies, and where to ask -- RFC 8915, 4 and 5."""

from collections.abc import Callable
from dataclasses import dataclass

from ntp.errors import ServerError
from ntp.packet import Packet
from wire.secret import Secret


class NtsNak(ServerError):
    """The server cannot read our cookie: keys must be exchanged anew (RFC 8915, 5.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The result of one key exchange. `host` and `port`: where the time is served."""

    host: str
    port: int
    algorithm: int  # AEAD of the IANA registry
    c2s: Secret
    s2c: Secret
    cookies: tuple[bytes, ...]


class Session:
    """An `Authentication` (ntp.association)."""

    def __init__(self, material: Material, entropy: Callable[[int], bytes]) -> None:
        self.cookies = list(material.cookies)
        self._entropy = entropy

    def seal(self, header: bytes) -> "SealedRequest":
        raise NotImplementedError


class SealedRequest:
    octets = b""

    def verify(self, answer: Packet, octets: bytes) -> None:
        raise NotImplementedError
