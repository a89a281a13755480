"""Errors by whose fault they are: ours, or the peer's with the notification that answers it."""

from collections.abc import Callable
from functools import wraps
from typing import ClassVar, ParamSpec, TypeVar

from ike.numbers.isakmp import NotifyType
from wire.cursor import DecodeError

P = ParamSpec("P")
R = TypeVar("R")


class IkeError(Exception):
    """The base of all errors of this package."""


class LocalError(IkeError):
    """We cannot, because of our configuration or our data plane; the text says what to change."""


class PeerError(IkeError):
    """The peer broke the protocol; `notify` is the answer, if one is due (RFC 2408, 3.14.1)."""

    notify: ClassVar[NotifyType | None] = None


class OutOfTurn(PeerError):
    """An unexpected message: dropped, no answer (it may be late or forged)."""


class PayloadMalformed(PeerError):
    notify = NotifyType.PAYLOAD_MALFORMED


class UnequalPayloadLengths(PeerError):
    notify = NotifyType.UNEQUAL_PAYLOAD_LENGTHS


class InvalidPayloadType(PeerError):
    notify = NotifyType.INVALID_PAYLOAD_TYPE


class InvalidCookie(PeerError):
    notify = NotifyType.INVALID_COOKIE


class InvalidMajorVersion(PeerError):
    notify = NotifyType.INVALID_MAJOR_VERSION


class InvalidMinorVersion(PeerError):
    notify = NotifyType.INVALID_MINOR_VERSION


class InvalidExchangeType(PeerError):
    notify = NotifyType.INVALID_EXCHANGE_TYPE


class UnsupportedExchangeType(PeerError):
    notify = NotifyType.UNSUPPORTED_EXCHANGE_TYPE


class InvalidFlags(PeerError):
    notify = NotifyType.INVALID_FLAGS


class InvalidMessageId(PeerError):
    notify = NotifyType.INVALID_MESSAGE_ID


class DoiNotSupported(PeerError):
    notify = NotifyType.DOI_NOT_SUPPORTED


class SituationNotSupported(PeerError):
    notify = NotifyType.SITUATION_NOT_SUPPORTED


class BadProposalSyntax(PeerError):
    notify = NotifyType.BAD_PROPOSAL_SYNTAX


class AttributesNotSupported(PeerError):
    notify = NotifyType.ATTRIBUTES_NOT_SUPPORTED


class NoProposalChosen(PeerError):
    """Nothing offered is allowed here; the text shows both sides."""

    notify = NotifyType.NO_PROPOSAL_CHOSEN


class InvalidKeyInformation(PeerError):
    notify = NotifyType.INVALID_KEY_INFORMATION


class InvalidIdInformation(PeerError):
    notify = NotifyType.INVALID_ID_INFORMATION


class InvalidHashInformation(PeerError):
    notify = NotifyType.INVALID_HASH_INFORMATION


class AuthenticationFailed(PeerError):
    notify = NotifyType.AUTHENTICATION_FAILED


class InvalidSignature(PeerError):
    notify = NotifyType.INVALID_SIGNATURE


class InvalidCertificate(PeerError):
    notify = NotifyType.INVALID_CERTIFICATE


def decoder(parse: Callable[P, R]) -> Callable[P, R]:
    """Let a parser's DecodeError, whatever it read, leave as PayloadMalformed."""

    @wraps(parse)
    def parsed(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return parse(*args, **kwargs)
        except DecodeError as error:
            raise PayloadMalformed(str(error)) from error

    return parsed
