"""What the supplicant reports to its listeners: the CTRL-EVENT lines of the control interface.

Each notice is a value; `str()` is the line that wpa_supplicant prints, `level` its priority
there (2 debug, 3 info, 4 warning).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, Self

from eapol.eap import EapType

DEBUG: Final = 2
INFO: Final = 3
WARNING: Final = 4

PAE_GROUP: Final = "01:80:c2:00:00:03"


def printable(text: str) -> str:
    """`text` of others for a line of a log: what is not printable is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class _Event:
    level: ClassVar[int] = INFO


@dataclass(frozen=True, slots=True)
class Associated(_Event):
    def __str__(self) -> str:
        return f"Associated with {PAE_GROUP}"


@dataclass(frozen=True, slots=True)
class SubnetStatusUpdate(_Event):
    def __str__(self) -> str:
        return "CTRL-EVENT-SUBNET-STATUS-UPDATE status=0"


@dataclass(frozen=True, slots=True)
class EapStarted(_Event):
    def __str__(self) -> str:
        return "CTRL-EVENT-EAP-STARTED EAP authentication started"


@dataclass(frozen=True, slots=True)
class EapStatus(_Event):
    """One step of an authentication; `parameter` depends on `status`."""

    status: str
    parameter: str = ""

    def __str__(self) -> str:
        return f"CTRL-EVENT-EAP-STATUS status='{self.status}' parameter='{self.parameter}'"


@dataclass(frozen=True, slots=True)
class ProposedMethod(_Event):
    vendor: int
    method: int
    refused: bool = False

    def __str__(self) -> str:
        nak = " -> NAK" if self.refused else ""
        return f"CTRL-EVENT-EAP-PROPOSED-METHOD vendor={self.vendor} method={self.method:d}{nak}"


@dataclass(frozen=True, slots=True)
class MethodSelected(_Event):
    method: EapType

    def __str__(self) -> str:
        return (
            f"CTRL-EVENT-EAP-METHOD EAP vendor 0 method {int(self.method)} ({self.method}) selected"
        )


@dataclass(frozen=True, slots=True)
class PeerCertificate(_Event):
    """A certificate of the server's chain; `sha256` is that of the DER octets, hexadecimal."""

    depth: int
    subject: str
    sha256: str

    def __str__(self) -> str:
        return (
            f"CTRL-EVENT-EAP-PEER-CERT depth={self.depth} subject='{self.subject}'"
            f" hash={self.sha256}"
        )


@dataclass(frozen=True, slots=True)
class PeerCertificateOctets(_Event):
    """The same certificate whole; for listeners, not for the log."""

    depth: int
    subject: str
    der: bytes

    def __str__(self) -> str:
        return (
            f"CTRL-EVENT-EAP-PEER-CERT depth={self.depth} subject='{self.subject}'"
            f" cert={self.der.hex()}"
        )


@dataclass(frozen=True, slots=True)
class PeerAlternativeName(_Event):
    """A subject alternative name of the server, such as `DNS:radius.example`."""

    depth: int
    name: str

    def __str__(self) -> str:
        return f"CTRL-EVENT-EAP-PEER-ALT depth={self.depth} {self.name}"


class CertFault(IntEnum):
    """The `reason=` of CTRL-EVENT-EAP-TLS-CERT-ERROR."""

    UNSPECIFIED = 0
    UNTRUSTED = 1
    REVOKED = 2
    NOT_YET_VALID = 3
    EXPIRED = 4
    SUBJECT_MISMATCH = 5
    ALTSUBJECT_MISMATCH = 6
    BAD_CERTIFICATE = 7
    SERVER_CHAIN_PROBE = 8
    DOMAIN_SUFFIX_MISMATCH = 9
    DOMAIN_MISMATCH = 10


@dataclass(frozen=True, slots=True)
class CertificateError(_Event):
    reason: CertFault
    depth: int
    subject: str
    error: str

    def __str__(self) -> str:
        return (
            f"CTRL-EVENT-EAP-TLS-CERT-ERROR reason={int(self.reason)} depth={self.depth}"
            f" subject='{self.subject}' err='{self.error}'"
        )


@dataclass(frozen=True, slots=True)
class EapSuccess(_Event):
    def __str__(self) -> str:
        return "CTRL-EVENT-EAP-SUCCESS EAP authentication completed successfully"


@dataclass(frozen=True, slots=True)
class EapFailure(_Event):
    def __str__(self) -> str:
        return "CTRL-EVENT-EAP-FAILURE EAP authentication failed"


@dataclass(frozen=True, slots=True)
class Connected(_Event):
    id_str: str = ""

    def __str__(self) -> str:
        network = f"[id=0 id_str={self.id_str}]"
        return f"CTRL-EVENT-CONNECTED - Connection to {PAE_GROUP} completed {network}"


@dataclass(frozen=True, slots=True)
class Disconnected(_Event):
    locally_generated: bool = True

    def __str__(self) -> str:
        local = " locally_generated=1" if self.locally_generated else ""
        return f"CTRL-EVENT-DISCONNECTED bssid={PAE_GROUP} reason=3{local}"


@dataclass(frozen=True, slots=True)
class PassphraseAsked(_Event):
    def __str__(self) -> str:
        return "CTRL-REQ-PASSPHRASE-0:Private key passphrase needed for SSID "


NOTIFICATION_OCTETS: Final = 1015
"""Of the text of a Notification (RFC 3748, 5.2)."""


@dataclass(frozen=True, slots=True)
class ServerSays(_Event):
    """The displayable message of an EAP-Request/Notification (RFC 3748, 5.2), or of a method."""

    message: str

    @classmethod
    def of(cls, octets: bytes) -> Self:
        """Of what came, no more than a Notification may have: a server must not fill the log."""
        return cls(printable(octets[:NOTIFICATION_OCTETS].decode("utf-8", "replace")))

    def __str__(self) -> str:
        return f"CTRL-EVENT-EAP-NOTIFICATION {self.message}"


@dataclass(frozen=True, slots=True)
class Warned(_Event):
    """Something that works and should not have to, or a failure in words; said to people."""

    level: ClassVar[int] = WARNING
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Noted(_Event):
    """News that is neither good nor bad; said to people."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class StateEntered(_Event):
    """A state machine moved; `machine` is SUPP_PAE, SUPP_BE or EAP."""

    level: ClassVar[int] = DEBUG
    machine: str
    state: str

    def __str__(self) -> str:
        return f"EAPOL: {self.machine} entering state {self.state}"


@dataclass(frozen=True, slots=True)
class Terminating(_Event):
    def __str__(self) -> str:
        return "CTRL-EVENT-TERMINATING "


Notice = (
    Associated
    | SubnetStatusUpdate
    | EapStarted
    | EapStatus
    | ProposedMethod
    | MethodSelected
    | PeerCertificate
    | PeerCertificateOctets
    | PeerAlternativeName
    | CertificateError
    | EapSuccess
    | EapFailure
    | Connected
    | Disconnected
    | PassphraseAsked
    | ServerSays
    | Warned
    | Noted
    | StateEntered
    | Terminating
)
