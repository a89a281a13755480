"""The settings of a port. Names are those of IEEE Std 802.1X-2004, 8.2.4.1.2 and 8.2.9.1.2."""

from dataclasses import dataclass

from eapol.eap import EapType
from eapol.frame import VERSION


def above_zero(text: str) -> float:
    """Seconds of a command line. Raises: ValueError."""
    seconds = float(text)
    if not seconds > 0:
        raise ValueError(text)
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorSettings:
    """Seconds, octets; `reAuthMax` is a count.

    `retransmit`: the waits before each repetition of a request; after the last one the conversation
    is given up (RFC 3748, 4.3). A port without an answer is asked once every `txPeriod`.
    `serverTimeout`: for one answer of the authentication server.

    Of the own EAP-TLS server: `fragment_size`; `identities`, None accepts everybody with a valid
    certificate; `offers`, methods that are proposed before EAP-TLS, to see the peer's Nak;
    `notification`; `promise` False leaves the protected success of RFC 9190 out.
    """

    eapol_version: int = VERSION
    reAuthPeriod: float | None = None
    reAuthMax: int = 2
    quietPeriod: float = 60.0
    txPeriod: float = 30.0
    serverTimeout: float = 30.0
    retransmit: tuple[float, ...] = (3.0, 6.0, 12.0)
    fragment_size: int = 1020
    identities: frozenset[bytes] | None = None
    offers: tuple[EapType, ...] = ()
    notification: str | None = None
    promise: bool = True

    def __post_init__(self) -> None:
        """Raises: ValueError."""
        if self.reAuthPeriod is not None and not self.reAuthPeriod > 0:
            raise ValueError(f"reAuthPeriod must be above 0 s, not {self.reAuthPeriod:g}")
