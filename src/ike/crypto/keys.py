"""Key material (RFC 2409, 5, 5.5 and appendix B)."""

from dataclasses import dataclass

from ike.crypto.ciphers import CIPHERS, CbcCipher
from ike.crypto.prf import HASHES, HashSpec
from ike.numbers.doi import Encryption, Hash
from wire.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonces:
    """The bodies Ni_b and Nr_b."""

    initiator: bytes
    responder: bytes

    def __bytes__(self) -> bytes:
        return self.initiator + self.responder


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookies:
    initiator: bytes
    responder: bytes

    def __bytes__(self) -> bytes:
        return self.initiator + self.responder

    def __str__(self) -> str:
        return f"{self.initiator.hex()}:{self.responder.hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicValues:
    """g^xi and g^xr, as long as the group's prime."""

    initiator: bytes
    responder: bytes


def skeyid_pre_shared_key(spec: HashSpec, key: Secret, nonces: Nonces) -> Secret:
    """SKEYID = prf(pre-shared-key, Ni_b | Nr_b)."""
    return Secret(spec.prf(key.reveal(), bytes(nonces)))


def skeyid_signatures(spec: HashSpec, nonces: Nonces, shared: Secret) -> Secret:
    """SKEYID = prf(Ni_b | Nr_b, g^xy)."""
    return Secret(spec.prf(bytes(nonces), shared.reveal()))


class Phase1Keys:
    """What both sides share once SKEYID and g^xy are known.

    Phase 1 and phase 2 messages are encrypted under one key with chained initialization vectors;
    `cipher` is that key, `first_iv` starts phase 1, `phase2_iv` any exchange after it.
    """

    __slots__ = ("SKEYID", "SKEYID_a", "SKEYID_d", "cipher", "cookies", "encryption_key", "spec")

    def __init__(
        self,
        *,
        hash_algorithm: Hash,
        encryption: Encryption,
        key_bits: int | None,
        skeyid: Secret,
        shared: Secret,
        cookies: Cookies,
    ) -> None:
        self.spec = HASHES[hash_algorithm]
        self.cookies = cookies
        prf, secret = self.spec.prf, skeyid.reveal()
        suffix = shared.reveal() + bytes(cookies)
        d = prf(secret, suffix + b"\0")
        a = prf(secret, d + suffix + b"\1")
        e = prf(secret, a + suffix + b"\2")
        self.SKEYID = skeyid
        self.SKEYID_d = Secret(d)
        self.SKEYID_a = Secret(a)
        octets = (key_bits or CIPHERS[encryption].key_bits[0]) // 8
        self.encryption_key = expanded_key(self.spec, Secret(e), octets)
        self.cipher = CbcCipher(encryption, self.encryption_key)

    def first_iv(self, public: PublicValues) -> bytes:
        """Appendix B: hash(g^xi | g^xr), cut to a block."""
        return self.spec.digest(public.initiator + public.responder)[: self.cipher.block]

    def phase2_iv(self, last_block: bytes, message_id: int) -> bytes:
        """Appendix B: hash(last CBC block of phase 1 | M-ID), cut to a block."""
        return self.spec.digest(last_block + message_id.to_bytes(4))[: self.cipher.block]

    def phase1_hash_i(self, public: PublicValues, sa_i: bytes, id_i: bytes) -> bytes:
        """HASH_I = prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)."""
        cookies = self.cookies
        return self.spec.prf(
            self.SKEYID.reveal(),
            public.initiator
            + public.responder
            + cookies.initiator
            + cookies.responder
            + sa_i
            + id_i,
        )

    def phase1_hash_r(self, public: PublicValues, sa_i: bytes, id_r: bytes) -> bytes:
        """HASH_R = prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)."""
        cookies = self.cookies
        return self.spec.prf(
            self.SKEYID.reveal(),
            public.responder
            + public.initiator
            + cookies.responder
            + cookies.initiator
            + sa_i
            + id_r,
        )

    def phase2_hash(self, *parts: bytes) -> bytes:
        """prf(SKEYID_a, ...): HASH(1) to HASH(3) and those of Informational exchanges."""
        return self.spec.prf(self.SKEYID_a.reveal(), b"".join(parts))

    def keymat(
        self, size: int, *, protocol: int, spi: bytes, nonces: Nonces, shared: Secret | None
    ) -> Secret:
        """`size` octets of KEYMAT for one direction of one SA; `shared` is g(qm)^xy with PFS."""
        seed = (shared.reveal() if shared else b"") + bytes([protocol]) + spi + bytes(nonces)
        key, out, block = self.SKEYID_d.reveal(), b"", b""
        while len(out) < size:
            block = self.spec.prf(key, block + seed)
            out += block
        return Secret(out[:size])


def expanded_key(spec: HashSpec, skeyid_e: Secret, size: int) -> Secret:
    """Appendix B: SKEYID_e cut to `size` octets, or when it is too short
    K1 | K2 | ... with K1 = prf(SKEYID_e, 0) and Kn = prf(SKEYID_e, Kn-1).
    """
    if len(skeyid_e) >= size:
        return Secret(skeyid_e.reveal()[:size])
    out, block = b"", b"\0"
    while len(out) < size:
        block = spec.prf(skeyid_e.reveal(), block)
        out += block
    return Secret(out[:size])
