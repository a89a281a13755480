"""Certificates and revocation lists out of the octets of files, in all forms that OpenSSL reads.

PEM in any surroundings, also `X509` and `TRUSTED CERTIFICATE`; DER; PKCS #7 bundles in either. The
readers of `eapol` and `ike` share it: they have the same files and the same question.
"""

from typing import Final

from wire import der, pem
from wire.cursor import DecodeError
from wire.x509 import ANY_USAGE, Certificate, RevocationList

_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_CONTENT: Final = 0xA0
_REJECTED: Final = 0xA0


def certificates(octets: bytes, usage: str | None = None) -> list[Certificate]:
    """All certificates, in order; there may be none.

    `usage` is what they are to vouch for; those that are marked for other usages are left out.

    Raises: DecodeError, ValueError.
    """
    if not pem.is_pem(octets):
        try:
            return [Certificate.parse(octets)]
        except DecodeError:
            return bundled(octets)
    if pem.is_cut(octets):
        raise ValueError("a block of PEM has no end")
    found: list[Certificate] = []
    for block in pem.blocks(octets):
        if block.label in pem.BUNDLES:
            found += bundled(block.octets())
        elif block.label in pem.CERTIFICATES:
            contents = block.octets()
            is_marked = usage is not None and block.label == pem.TRUSTED
            if not is_marked or is_trusted_for(contents, usage or ""):
                found.append(Certificate.parse(contents))
    return found


def revocation_lists(octets: bytes) -> list[RevocationList]:
    """All lists of a PEM file; there may be none. Raises: DecodeError, ValueError."""
    if pem.is_cut(octets):
        raise ValueError("a block of PEM has no end")
    blocks = [each for each in pem.blocks(octets) if each.label in pem.REVOCATION_LISTS]
    return [RevocationList.parse(block.octets()) for block in blocks]


def is_trusted_for(octets: bytes, usage: str) -> bool:
    """Whether a TRUSTED CERTIFICATE, which says what else it is for, may vouch for `usage`.

    What stands behind the certificate is OpenSSL's X509_CERT_AUX: usages, and [0] rejected ones.
    """
    parts = list(der.elements(octets))[1:]
    for part in parts[0].inside() if parts else []:
        if part.tag in (der.SEQUENCE, _REJECTED):
            named = set(map(der.dotted, der.elements(part.contents)))
            if bool(named & {usage, ANY_USAGE}) == (part.tag == _REJECTED):
                return False
    return True


def bundled(octets: bytes) -> list[Certificate]:
    """The certificates of a PKCS #7 SignedData (RFC 2315, 9.1). Raises: DecodeError."""
    parts = der.element(octets).inside()
    if len(parts) < 2 or der.dotted(parts[0]) != _SIGNED_DATA:
        raise DecodeError("no SignedData", 0)
    signed = der.element(parts[1].contents).inside()
    return [
        Certificate.parse(each.octets)
        for part in signed
        if part.tag == _CONTENT
        for each in der.elements(part.contents)
    ]
