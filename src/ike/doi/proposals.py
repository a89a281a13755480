"""Transforms as values (RFC 2409, appendix A; RFC 2407, 4.4 and 4.5), and their attributes.

Reading refuses what cannot be understood, for an attribute that is skipped could weaken what is
negotiated. Lifetimes are seconds and kilobytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ike.errors import AttributesNotSupported
from ike.isakmp.attributes import Attribute, numeric
from ike.isakmp.payloads import Transform
from ike.numbers.doi import (
    AhTransform,
    Authentication,
    EncapsulationMode,
    Encryption,
    EspTransform,
    Group,
    GroupType,
    Hash,
    Integrity,
    IpcompTransform,
    LifeType,
    Phase1Attribute,
    Phase2Attribute,
)
from ike.numbers.isakmp import ProtocolId
from ike.values import Mode

KEY_IKE = 1  # the one transform identifier of phase 1 (RFC 2407, 4.4.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    seconds: int | None = None
    kilobytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase1Suite:
    """One transform of phase 1. `key_bits` is None when the attribute is absent."""

    encryption: Encryption
    key_bits: int | None
    hash: Hash
    authentication: Authentication
    group: Group
    lifetime: Lifetime = Lifetime()

    def __str__(self) -> str:
        bits = f" {self.key_bits}" if self.key_bits else ""
        return (
            f"{_word(self.encryption)}{bits}, {_word(self.hash)}, "
            f"{_word(self.authentication)}, group {self.group:d}, {_lifetime(self.lifetime)}"
        )

    def transform(self, number: int) -> Transform:
        A = Phase1Attribute
        attributes = [numeric(A.ENCRYPTION, self.encryption)]
        if self.key_bits is not None:
            attributes.append(numeric(A.KEY_LENGTH, self.key_bits))
        attributes += [
            numeric(A.HASH, self.hash),
            numeric(A.AUTHENTICATION, self.authentication),
            numeric(A.GROUP, self.group),
            *_lifetime_attributes(A.LIFE_TYPE, A.LIFE_DURATION, self.lifetime),
        ]
        return Transform(number, KEY_IKE, tuple(attributes))

    @classmethod
    def read(cls, transform: Transform) -> "Phase1Suite":
        """Raises: AttributesNotSupported."""
        A = Phase1Attribute
        if transform.id != KEY_IKE:
            raise AttributesNotSupported(f"transform identifier {transform.id}, not KEY_IKE")
        values, lifetime = _numbers(transform.attributes, A.LIFE_TYPE, A.LIFE_DURATION)
        known = {A.ENCRYPTION, A.HASH, A.AUTHENTICATION, A.GROUP, A.GROUP_TYPE, A.KEY_LENGTH}
        if unknown := values.keys() - known:
            names = ", ".join(str(Phase1Attribute(number)) for number in sorted(unknown))
            raise AttributesNotSupported(f"attribute {names}")
        if values.get(A.GROUP_TYPE, GroupType.MODP) not in (GroupType.MODP, GroupType.ECP):
            raise AttributesNotSupported(f"group type {GroupType(values[A.GROUP_TYPE])}")
        try:
            return cls(
                encryption=Encryption(values[A.ENCRYPTION]),
                key_bits=values.get(A.KEY_LENGTH),
                hash=Hash(values[A.HASH]),
                authentication=Authentication(values[A.AUTHENTICATION]),
                group=Group(values[A.GROUP]),
                lifetime=lifetime,
            )
        except KeyError as error:
            raise AttributesNotSupported(f"attribute {error} is missing") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase2Suite:
    """One transform of phase 2: ESP with `encryption`, or AH without.

    `key_bits` is None when the attribute is absent; `group` NONE is no PFS. A transform without an
    encapsulation mode asks for transport mode here (RFC 2407, 4.5 leaves the default to the host).
    """

    protocol: ProtocolId
    encryption: EspTransform | None
    key_bits: int | None
    integrity: Integrity
    encapsulation: EncapsulationMode
    group: Group = Group.NONE
    lifetime: Lifetime = Lifetime()

    @property
    def mode(self) -> Mode:
        E = EncapsulationMode
        tunnel = {E.TUNNEL, E.UDP_TUNNEL, E.UDP_TUNNEL_DRAFT}
        return Mode.TUNNEL if self.encapsulation in tunnel else Mode.TRANSPORT

    @property
    def in_udp(self) -> bool:
        E = EncapsulationMode
        return self.encapsulation not in {E.TUNNEL, E.TRANSPORT}

    def __str__(self) -> str:
        bits = f" {self.key_bits}" if self.key_bits else ""
        cipher = f" {_word(self.encryption)}{bits}" if self.encryption is not None else ""
        pfs = f"pfs group {self.group:d}" if self.group else "no pfs"
        return (
            f"{self.protocol.name.lower()}{cipher}, {_word(self.integrity)}, "
            f"{_word(self.encapsulation)}, {pfs}, {_lifetime(self.lifetime)}"
        )

    def transform(self, number: int) -> Transform:
        A = Phase2Attribute
        attributes = [*_lifetime_attributes(A.LIFE_TYPE, A.LIFE_DURATION, self.lifetime)]
        if self.group:
            attributes.append(numeric(A.GROUP, self.group))
        attributes.append(numeric(A.ENCAPSULATION, self.encapsulation))
        if self.key_bits is not None:
            attributes.append(numeric(A.KEY_LENGTH, self.key_bits))
        if self.integrity:
            attributes.append(numeric(A.AUTHENTICATION, self.integrity))
        identifier: int = (
            AH_TRANSFORMS[self.integrity] if self.encryption is None else self.encryption
        )
        return Transform(number, identifier, tuple(attributes))

    @classmethod
    def read(cls, protocol: ProtocolId, transform: Transform) -> "Phase2Suite":
        """Raises: AttributesNotSupported."""
        A = Phase2Attribute
        if protocol not in (ProtocolId.AH, ProtocolId.ESP):
            raise AttributesNotSupported(f"protocol {protocol}")
        values, lifetime = _numbers(transform.attributes, A.LIFE_TYPE, A.LIFE_DURATION)
        known = {A.GROUP, A.ENCAPSULATION, A.AUTHENTICATION, A.KEY_LENGTH, A.ECN_TUNNEL}
        if unknown := values.keys() - known:
            names = ", ".join(str(Phase2Attribute(number)) for number in sorted(unknown))
            raise AttributesNotSupported(f"attribute {names}")
        integrity = Integrity(values.get(A.AUTHENTICATION, Integrity.NONE))
        if protocol == ProtocolId.AH and AH_TRANSFORMS.get(integrity) != transform.id:
            raise AttributesNotSupported(f"AH transform {transform.id} with {_word(integrity)}")
        return cls(
            protocol=protocol,
            encryption=EspTransform(transform.id) if protocol == ProtocolId.ESP else None,
            key_bits=values.get(A.KEY_LENGTH),
            integrity=integrity,
            encapsulation=EncapsulationMode(
                values.get(A.ENCAPSULATION, EncapsulationMode.TRANSPORT)
            ),
            group=Group(values.get(A.GROUP, Group.NONE)),
            lifetime=lifetime,
        )


AH_TRANSFORMS: dict[Integrity, AhTransform] = {
    Integrity.HMAC_MD5: AhTransform.MD5,
    Integrity.HMAC_SHA1: AhTransform.SHA1,
    Integrity.HMAC_SHA2_256: AhTransform.SHA2_256,
    Integrity.HMAC_SHA2_384: AhTransform.SHA2_384,
    Integrity.HMAC_SHA2_512: AhTransform.SHA2_512,
    Integrity.AES_XCBC_MAC: AhTransform.AES_XCBC_MAC,
}

INTEGRITY_KEY_OCTETS: dict[Integrity, int] = {
    Integrity.NONE: 0,
    Integrity.HMAC_MD5: 16,
    Integrity.HMAC_SHA1: 20,
    Integrity.HMAC_SHA2_256: 32,
    Integrity.HMAC_SHA2_384: 48,
    Integrity.HMAC_SHA2_512: 64,
    Integrity.AES_XCBC_MAC: 16,
}

_AES = (128, 192, 256)

# The key lengths of ESP in bits, the default first. Those with several take a KEY_LENGTH attribute.
ESP_KEY_BITS: dict[EspTransform, tuple[int, ...]] = {
    EspTransform.AES: _AES,
    EspTransform.TRIPLE_DES: (192,),
    EspTransform.DES: (64,),
    EspTransform.NULL: (0,),
    EspTransform.CAST: (128, *range(40, 128, 8)),
    EspTransform.BLOWFISH: (128, *range(40, 128, 8), *range(136, 449, 8)),
    EspTransform.CAMELLIA: _AES,
    EspTransform.AES_CTR: _AES,
    EspTransform.AES_CCM_8: _AES,
    EspTransform.AES_CCM_12: _AES,
    EspTransform.AES_CCM_16: _AES,
    EspTransform.AES_GCM_8: _AES,
    EspTransform.AES_GCM_12: _AES,
    EspTransform.AES_GCM_16: _AES,
}

# Octets of a nonce that KEYMAT has behind the key (RFC 3686, 5.1; RFC 4309, 7.1; RFC 4106, 8.1).
# They do not count in KEY_LENGTH.
NONCE_OCTETS: dict[EspTransform, int] = {
    EspTransform.AES_CTR: 4,
    EspTransform.AES_CCM_8: 3,
    EspTransform.AES_CCM_12: 3,
    EspTransform.AES_CCM_16: 3,
    EspTransform.AES_GCM_8: 4,
    EspTransform.AES_GCM_12: 4,
    EspTransform.AES_GCM_16: 4,
}

COMBINED = frozenset(NONCE_OCTETS) - {EspTransform.AES_CTR}
"""Ciphers that authenticate by themselves: no other integrity goes with them (RFC 4106, 8.3)."""

_ALONE_UNSAFE = frozenset({EspTransform.NULL, EspTransform.AES_CTR})


def goes_with(cipher: EspTransform, integrity: Integrity) -> bool:
    """Whether ESP may have both. Counter mode demands integrity (RFC 3686, 3); NULL, too, or
    there would be no protection at all (RFC 2406, 3.2.2)."""
    if cipher in COMBINED:
        return integrity == Integrity.NONE
    return integrity != Integrity.NONE or cipher not in _ALONE_UNSAFE


def shown_transform(protocol: ProtocolId, transform: Transform) -> str:
    """A transform as people read it, whether we understand it or not."""
    if protocol == ProtocolId.IPCOMP:
        return f"ipcomp {IpcompTransform(transform.id)}".lower()
    try:
        if protocol == ProtocolId.ISAKMP:
            return str(Phase1Suite.read(transform))
        return str(Phase2Suite.read(protocol, transform))
    except AttributesNotSupported as error:
        return f"{protocol.name.lower()} with {error}"


def lifetime_attributes(lifetime: Lifetime) -> tuple[Attribute, ...]:
    """As in phase 2 transforms and in RESPONDER-LIFETIME (RFC 2407, 4.6.3.1)."""
    return tuple(
        _lifetime_attributes(Phase2Attribute.LIFE_TYPE, Phase2Attribute.LIFE_DURATION, lifetime)
    )


def read_lifetime(attributes: Iterable[Attribute]) -> Lifetime:
    """The lifetime in a RESPONDER-LIFETIME notification. Raises: AttributesNotSupported."""
    A = Phase2Attribute
    return _numbers(attributes, A.LIFE_TYPE, A.LIFE_DURATION)[1]


def _lifetime_attributes(kind: int, duration: int, lifetime: Lifetime) -> list[Attribute]:
    found: list[Attribute] = []
    if lifetime.seconds is not None:
        found += [numeric(kind, LifeType.SECONDS), numeric(duration, lifetime.seconds)]
    if lifetime.kilobytes is not None:
        found += [numeric(kind, LifeType.KILOBYTES), numeric(duration, lifetime.kilobytes)]
    return found


def _numbers(
    attributes: Iterable[Attribute], life_type: int, life_duration: int
) -> tuple[dict[int, int], Lifetime]:
    """Attributes as numbers by class, the pairs of life type and duration apart."""
    values: dict[int, int] = {}
    life: dict[int, int] = {}
    pending: int | None = None
    for attribute in attributes:
        number = attribute.number
        if number is None:
            raise AttributesNotSupported(f"attribute {attribute.type} is not a number")
        if attribute.type == life_type:
            pending = number
        elif attribute.type == life_duration:
            if pending not in (LifeType.SECONDS, LifeType.KILOBYTES):
                raise AttributesNotSupported("a life duration without its type")
            if number == 0:
                raise AttributesNotSupported(
                    f"a life duration of 0 {LifeType(pending).name.lower()}"
                )
            life[pending] = min(number, 0xFFFFFFFF)
            pending = None
        elif attribute.type in values:
            raise AttributesNotSupported(f"attribute {attribute.type} twice")
        elif number >= 1 << 32:
            raise AttributesNotSupported(f"attribute {attribute.type} is too large")
        else:
            values[attribute.type] = number
    return values, Lifetime(
        seconds=life.get(LifeType.SECONDS), kilobytes=life.get(LifeType.KILOBYTES)
    )


def _word(
    number: Encryption | Hash | Authentication | EspTransform | Integrity | EncapsulationMode,
) -> str:
    """The number's name in racoon.conf's manner, for people."""
    return f"{number}".lower().replace("triple_des", "3des").replace("sha2_", "sha")


def _lifetime(lifetime: Lifetime) -> str:
    parts = [f"{lifetime.seconds} s"] if lifetime.seconds is not None else []
    if lifetime.kilobytes is not None:
        parts.append(f"{lifetime.kilobytes} kB")
    return " and ".join(parts) or "no lifetime"
