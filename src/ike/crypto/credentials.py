"""What a side proves itself with in signature modes (RFC 2409, 5.1): private key, certificates."""

from dataclasses import dataclass

from wire.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """All DER: the certificate, its private key (PKCS #8), the CAs that peers must chain to.

    `chain` is sent after the certificate: its issuers from the nearest up, without the root.
    `crls` are what those CAs, and those below them, have revoked; a CA without one revokes nothing.
    """

    certificate: bytes
    private_key: Secret
    authorities: tuple[bytes, ...] = ()
    chain: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
