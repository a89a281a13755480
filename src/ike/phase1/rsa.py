"""Phase 1 authenticated with RSA signatures (RFC 2409, 5.1)."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from ike.crypto import chains, signatures
from ike.crypto.credentials import Credentials
from ike.crypto.keys import skeyid_signatures
from ike.crypto.names import parse_name
from ike.doi.identity import address_identity, describe, own_identity
from ike.errors import InvalidCertificate, InvalidIdInformation, InvalidSignature, LocalError
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Certificate, Identification
from ike.isakmp.table import Count, one, optional
from ike.numbers.doi import IdType
from ike.numbers.isakmp import PayloadType as P
from ike.phase1.facts import Phase1
from wire import x509
from wire.cursor import DecodeError
from wire.secret import Secret

X509_SIGNATURE: Final = 4
"""Certificate encoding: X.509 Certificate - Signature (RFC 2408, 3.9)."""


class RsaSignature:
    proof: tuple[Count, ...] = (one(P.SIG), optional(P.CERT, chains.MAX_CHAIN))

    def prepare(self, facts: Phase1) -> None:
        credentials = self._credentials(facts)
        if not credentials.certificate:
            raise LocalError(
                f"remote {facts.remote.name}: rsasig needs certificate_type x509 CERT KEY"
            )
        by_a_ca = facts.remote.verify_cert and facts.remote.peers_certificate is None
        if by_a_ca and not credentials.authorities:
            raise LocalError(f"remote {facts.remote.name}: no CA to check the peer by (ca_type)")

    def skeyid(self, facts: Phase1, shared: Secret) -> Secret:
        return skeyid_signatures(facts.hash_spec, facts.nonces, shared)

    def requests(self, facts: Phase1) -> list[Payload]:
        """Certificate requests: by which CAs we check."""
        if not facts.remote.send_cr:
            return []
        names = [signatures.load(ca).subject.der for ca in self._credentials(facts).authorities]
        return [Payload(P.CERT_REQUEST, bytes(Certificate(X509_SIGNATURE, name))) for name in names]

    def identity(self, facts: Phase1) -> Identification:
        identifier = facts.remote.my_identifier
        if identifier is not None and identifier.type == IdType.DER_ASN1_DN:
            own = signatures.load(self._credentials(facts).certificate)
            return Identification(IdType.DER_ASN1_DN, own.subject.der)
        return own_identity(identifier, facts.local.address)

    def prove(self, facts: Phase1, digest: bytes) -> list[Payload]:
        credentials = self._credentials(facts)
        signature = Payload(P.SIG, signatures.sign(credentials, digest))
        if not facts.remote.send_cert:
            return [signature]
        shown = (credentials.certificate, *credentials.chain)
        bodies = [bytes(Certificate(X509_SIGNATURE, der)) for der in shown]
        return [*(Payload(P.CERT, body) for body in bodies), signature]

    def verify(
        self, facts: Phase1, message: Message, identity: Identification, digest: bytes
    ) -> tuple[Identification, ...]:
        pinned = facts.remote.peers_certificate
        found = [signatures.load(pinned)] if pinned is not None else _certificates(message)
        leaf = _signer(found, message.first(P.SIG), digest)
        if not facts.remote.verify_cert:
            return (identity,)
        if pinned is None:
            ours = self._credentials(facts)
            chains.check_chain(leaf, found, ours.authorities, ours.crls, facts.date())
        names = _names(leaf)
        self._check_identity(leaf, names, identity)
        return (identity, *names)

    def _check_identity(
        self, leaf: x509.Certificate, names: Sequence[Identification], identity: Identification
    ) -> None:
        """The identity must be the certificate's (RFC 4945, 3.1). Raises: InvalidIdInformation."""
        if identity.type == IdType.DER_ASN1_DN:
            try:
                same = parse_name(identity.data) == parse_name(leaf.subject.der)
            except DecodeError as error:
                raise InvalidIdInformation(f"a name that cannot be read: {error}") from error
            if not same:
                raise InvalidIdInformation("ID mismatched with ASN1 SubjectName.")
        elif not any(_same(name, identity) for name in names):
            raise InvalidIdInformation(
                f"ID mismatched with subjectAltName: {describe(identity)} is not in the "
                f"certificate of {leaf.subject}"
            )

    def _credentials(self, facts: Phase1) -> Credentials:
        if facts.remote.credentials is None:
            raise LocalError(f"remote {facts.remote.name}: rsasig needs certificate_type")
        return facts.remote.credentials


def _certificates(message: Message) -> list[x509.Certificate]:
    """What the peer sent, without what cannot be read (RFC 4945, 3.3.10).

    Raises: InvalidCertificate if nothing is left.
    """
    found, wrong = [], InvalidCertificate("no peer's CERT payload found.")
    for sent in map(Certificate.parse, message.all(P.CERT)):
        if sent.encoding != X509_SIGNATURE:
            continue
        try:
            found.append(signatures.load(sent.data))
        except InvalidCertificate as error:
            wrong = error
    if not found:
        raise wrong
    return found


def _signer(found: list[x509.Certificate], signature: bytes, digest: bytes) -> x509.Certificate:
    """The certificate whose key has signed: the order says nothing (RFC 4945, 3.3.10.3).

    Raises: InvalidCertificate, InvalidSignature: what is wrong with the first, if none has.
    """
    reasons: list[InvalidCertificate | InvalidSignature] = []
    for certificate in found:
        try:
            signatures.check_signature(certificate, signature, digest)
        except (InvalidCertificate, InvalidSignature) as error:
            reasons.append(error)
        else:
            return certificate
    raise reasons[0]


def _names(leaf: x509.Certificate) -> list[Identification]:
    """What the certificate's holder is called: its subject, and its subjectAltName."""
    found = [Identification(IdType.DER_ASN1_DN, leaf.subject.der)]
    for kind, octets in leaf.alternative_names:
        if kind == x509.DNS_NAME:
            found.append(Identification(IdType.FQDN, octets))
        elif kind == x509.RFC822_NAME:
            found.append(Identification(IdType.USER_FQDN, octets))
        elif kind == x509.IP_ADDRESS and len(octets) in (4, 16):
            found.append(address_identity(ip_address(octets)))
    return found


def _same(name: Identification, identity: Identification) -> bool:
    """Protocol and port of an identity in phase 1 (17 and 500, or none) are no part of the name."""
    return name.type == identity.type and name.data.lower() == identity.data.lower()
