"""Assigned numbers of ISAKMP (RFC 2408, 3.1 and 3.14.1; RFC 3947; RFC 3706).

A number without a name here survives decoding and encoding (`wire.open_enum`).
"""

from enum import IntFlag
from typing import Final

from wire.open_enum import OpenEnum

VERSION_1_0: Final = 0x10


class PayloadType(OpenEnum):
    """RFC 2408, 3.1; NAT-D and NAT-OA by RFC 3947, 3.2, and by its draft 02 and 03."""

    NONE = 0
    SA = 1
    PROPOSAL = 2
    TRANSFORM = 3
    KE = 4
    ID = 5
    CERT = 6
    CERT_REQUEST = 7
    HASH = 8
    SIG = 9
    NONCE = 10
    NOTIFY = 11
    DELETE = 12
    VENDOR = 13
    ATTRIBUTES = 14  # mode configuration, draft-dukes-ike-mode-cfg
    NAT_D = 20
    NAT_OA = 21
    NAT_D_DRAFT = 130
    NAT_OA_DRAFT = 131
    FRAGMENT = 132  # Cisco's IKE fragmentation


class ExchangeType(OpenEnum):
    """RFC 2408, 3.1; Quick and New Group Mode by RFC 2409, appendix A."""

    NONE = 0
    BASE = 1
    MAIN = 2  # Identity Protection
    AUTHENTICATION_ONLY = 3
    AGGRESSIVE = 4
    INFORMATIONAL = 5
    TRANSACTION = 6
    QUICK = 32
    NEW_GROUP = 33


class Flags(IntFlag):
    """The header's flags (RFC 2408, 3.1)."""

    NONE = 0
    ENCRYPTED = 1
    COMMIT = 2
    AUTHENTICATION_ONLY = 4


class ProtocolId(OpenEnum):
    """Security protocol identifiers (RFC 2407, 4.4.1)."""

    ANY = 0
    ISAKMP = 1
    AH = 2
    ESP = 3
    IPCOMP = 4


class NotifyType(OpenEnum):
    """Notify message types (RFC 2408, 3.14.1; RFC 2407, 4.6.3; RFC 3706, 5.3)."""

    INVALID_PAYLOAD_TYPE = 1
    DOI_NOT_SUPPORTED = 2
    SITUATION_NOT_SUPPORTED = 3
    INVALID_COOKIE = 4
    INVALID_MAJOR_VERSION = 5
    INVALID_MINOR_VERSION = 6
    INVALID_EXCHANGE_TYPE = 7
    INVALID_FLAGS = 8
    INVALID_MESSAGE_ID = 9
    INVALID_PROTOCOL_ID = 10
    INVALID_SPI = 11
    INVALID_TRANSFORM_ID = 12
    ATTRIBUTES_NOT_SUPPORTED = 13
    NO_PROPOSAL_CHOSEN = 14
    BAD_PROPOSAL_SYNTAX = 15
    PAYLOAD_MALFORMED = 16
    INVALID_KEY_INFORMATION = 17
    INVALID_ID_INFORMATION = 18
    INVALID_CERT_ENCODING = 19
    INVALID_CERTIFICATE = 20
    CERT_TYPE_UNSUPPORTED = 21
    INVALID_CERT_AUTHORITY = 22
    INVALID_HASH_INFORMATION = 23
    AUTHENTICATION_FAILED = 24
    INVALID_SIGNATURE = 25
    ADDRESS_NOTIFICATION = 26
    NOTIFY_SA_LIFETIME = 27
    CERTIFICATE_UNAVAILABLE = 28
    UNSUPPORTED_EXCHANGE_TYPE = 29
    UNEQUAL_PAYLOAD_LENGTHS = 30
    CONNECTED = 16384
    RESPONDER_LIFETIME = 24576
    REPLAY_STATUS = 24577
    INITIAL_CONTACT = 24578
    R_U_THERE = 36136
    R_U_THERE_ACK = 36137

    def __str__(self) -> str:
        return self._name_.replace("_", "-")

    @property
    def is_error(self) -> bool:
        """1 to 8191 are errors, 8192 to 16383 private errors (RFC 2408, 3.14.1)."""
        return self < 16384
