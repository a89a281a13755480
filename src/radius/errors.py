"""What can go wrong; whose fault it is decides the class."""

from enum import Enum

from wire.cursor import DecodeError


class RadiusError(Exception):
    """Everything that this package raises on purpose."""


class Malformed(RadiusError, DecodeError):
    """Octets that are no RADIUS packet (RFC 2865, 3 and 5)."""


class BadAttribute(RadiusError):
    """An attribute that an administrator wrote is not known, or cannot be sent."""


class NoSecret(RadiusError, ValueError):
    """A server whose answers anybody could make (RFC 2865, 3: the secret must not be empty)."""

    def __init__(self, server: str) -> None:
        super().__init__(
            f"{server}: the secret is empty, so answers are not authenticated; write the secret"
            " that the server has for this client"
        )


class Fault(Enum):
    """Why an answer is thrown away. The values are texts for people."""

    MALFORMED = "it is not a RADIUS packet"
    UNKNOWN_CODE = "its code is not that of an answer"
    UNASKED = "no request with its identifier is open"
    NO_MESSAGE_AUTHENTICATOR = "it has no Message-Authenticator (CVE-2024-3596)"
    BAD_MESSAGE_AUTHENTICATOR = "its Message-Authenticator was not made with our secret"
    BAD_AUTHENTICATOR = "its Response Authenticator was not made with our secret"
    FOREIGN_PROXY_STATE = "it has a Proxy-State that we did not send (CVE-2024-3596)"


class NotAuthentic(RadiusError):
    """An answer that does not prove that the server made it, for this request."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault
