"""Packets (RFC 2865, 3 and 5), and the proof that one is an answer (RFC 3579, 3.2).

These checks come before anything else looks at the octets, `radius.codec` included: pyrad takes an
attribute that runs over the end of its packet, and decodes before it verifies.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from radius.errors import BadAttribute, Fault, Malformed, NotAuthentic
from radius.numbers import ANSWERS, LONGEST_PACKET, LONGEST_VALUE, AttributeType, Code
from wire.secret import Secret

_HEADER: Final = struct.Struct("!BBH16s")  # code, identifier, length in octets, authenticator
_PROOF: Final = 16  # octets of a Message-Authenticator
_PROOF_FOLLOWS: Final = bytes((AttributeType.MESSAGE_AUTHENTICATOR, 2 + _PROOF))

Attribute = tuple[int, bytes]
"""Type and value of one attribute. A Vendor-Specific one stays whole."""

Attributes = tuple[Attribute, ...]
"""In the order of the packet, which counts (RFC 2865, 5; RFC 3579, 3.1)."""


@dataclass(frozen=True, slots=True)
class Packet:
    """`octets` are those of the packet, without what followed it in its datagram."""

    code: Code
    identifier: int
    authenticator: bytes
    attributes: Attributes
    octets: bytes

    @classmethod
    def parse(cls, datagram: bytes) -> Self:
        """Raises: Malformed."""
        if len(datagram) < _HEADER.size:
            raise Malformed(f"{len(datagram)} octets are shorter than a header", 0)
        code, identifier, length, authenticator = _HEADER.unpack_from(datagram)
        if not _HEADER.size <= length <= min(len(datagram), LONGEST_PACKET):
            raise Malformed(f"length {length} of a packet in {len(datagram)} octets", 2)
        octets = datagram[:length]  # the rest is padding (RFC 2865, 3)
        return cls(Code(code), identifier, authenticator, tuple(_attributes(octets)), octets)

    def values(self, wanted: AttributeType) -> list[bytes]:
        return [value for kind, value in self.attributes if kind == wanted]

    def first(self, wanted: AttributeType) -> bytes | None:
        return next((value for kind, value in self.attributes if kind == wanted), None)

    def integer(self, wanted: AttributeType) -> int | None:
        """The first one's number; None if it has another length than an integer (RFC 2865, 5)."""
        found = self.first(wanted)
        return int.from_bytes(found, "big") if found is not None and len(found) == 4 else None


def _attributes(octets: bytes) -> Iterator[Attribute]:
    at, end = _HEADER.size, len(octets)
    while at < end:
        size = octets[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            raise Malformed(f"attribute of length {size}, {end - at} octets left", at)
        yield octets[at], octets[at + 2 : at + size]
        at += size


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that was sent, as far as its answer depends on it."""

    code: Code
    identifier: int
    authenticator: bytes
    proxy_states: tuple[bytes, ...] = ()
    octets: bytes = b""


def made(
    code: Code, identifier: int, authenticator: bytes, secret: Secret, attributes: Attributes
) -> Request:
    """A request with its Message-Authenticator as the first attribute (CVE-2024-3596).

    Not by pyrad, which takes 33 microseconds for it, more than all else that an Access-Request of
    `Client` costs; this takes 6. Raises: BadAttribute for what no packet can hold.
    """
    if any(len(value) > LONGEST_VALUE for _, value in attributes):
        raise BadAttribute(f"an attribute has more than {LONGEST_VALUE} octets (RFC 2865, 5)")
    body = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)
    length = _HEADER.size + 2 + _PROOF + len(body)
    if length > LONGEST_PACKET:
        what = f"the request would have {length} octets, more than {LONGEST_PACKET} (RFC 2865, 3)"
        raise BadAttribute(what)
    head = _HEADER.pack(code, identifier, length, authenticator) + _PROOF_FOLLOWS
    proof = hmac.digest(secret.reveal(), head + bytes(_PROOF) + body, "md5")
    proxied = tuple(value for kind, value in attributes if kind == AttributeType.PROXY_STATE)
    return Request(
        code=code,
        identifier=identifier,
        authenticator=authenticator,
        proxy_states=proxied,
        octets=head + proof + body,
    )


def prove(answer: Packet, request: Request, secret: Secret, *, signed: bool = True) -> None:
    """Check that `answer` was made for `request` with `secret`; the Message-Authenticator first.

    `signed` False takes an answer without Message-Authenticator, which MD5 alone protects then.
    Raises: NotAuthentic.
    """
    if answer.code not in ANSWERS[request.code]:
        raise NotAuthentic(Fault.UNKNOWN_CODE)
    if answer.identifier != request.identifier:
        raise NotAuthentic(Fault.UNASKED)
    key, octets = secret.reveal(), answer.octets
    head = octets[:4] + request.authenticator
    at = _message_authenticator(answer)
    if at is not None:
        blank = head + octets[20:at] + bytes(_PROOF) + octets[at + _PROOF :]
        proof = hmac.digest(key, blank, "md5")
        if not hmac.compare_digest(proof, octets[at : at + _PROOF]):
            raise NotAuthentic(Fault.BAD_MESSAGE_AUTHENTICATOR)
    elif signed:
        raise NotAuthentic(_unsigned(answer, head, key))
    if not hmac.compare_digest(_response_authenticator(octets, head, key), answer.authenticator):
        raise NotAuthentic(Fault.BAD_AUTHENTICATOR)
    returned = answer.values(AttributeType.PROXY_STATE)
    if returned and tuple(returned) != request.proxy_states:
        raise NotAuthentic(Fault.FOREIGN_PROXY_STATE)


def _response_authenticator(octets: bytes, head: bytes, key: bytes) -> bytes:
    return hashlib.md5(head + octets[20:] + key, usedforsecurity=False).digest()


def _unsigned(answer: Packet, head: bytes, key: bytes) -> Fault:
    """A server that is merely old is told apart from a stranger, for the sentence to people."""
    ours = _response_authenticator(answer.octets, head, key)
    known = hmac.compare_digest(ours, answer.authenticator)
    return Fault.NO_MESSAGE_AUTHENTICATOR if known else Fault.BAD_AUTHENTICATOR


def _message_authenticator(answer: Packet) -> int | None:
    """Where its value begins. Raises: NotAuthentic if it has another length, or comes twice."""
    at, found = _HEADER.size, None
    for kind, value in answer.attributes:
        if kind == AttributeType.MESSAGE_AUTHENTICATOR:
            if found is not None or len(value) != _PROOF:
                raise NotAuthentic(Fault.BAD_MESSAGE_AUTHENTICATOR)
            found = at + 2
        at += 2 + len(value)
    return found
