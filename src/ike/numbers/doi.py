"""Assigned numbers of the IPsec DOI and of IKE (RFC 2407, 4.4 to 4.6; RFC 2409, appendix A)."""

from typing import Final

from wire.open_enum import OpenEnum

IPSEC_DOI: Final = 1
SIT_IDENTITY_ONLY: Final = 1


class IdType(OpenEnum):
    """Identification types (RFC 2407, 4.6.2.1)."""

    IPV4_ADDR = 1
    FQDN = 2
    USER_FQDN = 3
    IPV4_ADDR_SUBNET = 4
    IPV6_ADDR = 5
    IPV6_ADDR_SUBNET = 6
    IPV4_ADDR_RANGE = 7
    IPV6_ADDR_RANGE = 8
    DER_ASN1_DN = 9
    DER_ASN1_GN = 10
    KEY_ID = 11


class Phase1Attribute(OpenEnum):
    """Attribute classes of a phase 1 transform (RFC 2409, appendix A)."""

    ENCRYPTION = 1
    HASH = 2
    AUTHENTICATION = 3
    GROUP = 4
    GROUP_TYPE = 5
    GROUP_PRIME = 6
    GROUP_GENERATOR_1 = 7
    GROUP_GENERATOR_2 = 8
    GROUP_CURVE_A = 9
    GROUP_CURVE_B = 10
    LIFE_TYPE = 11
    LIFE_DURATION = 12
    PRF = 13
    KEY_LENGTH = 14
    FIELD_SIZE = 15
    GROUP_ORDER = 16


class Encryption(OpenEnum):
    """Encryption algorithms of phase 1 (RFC 2409, appendix A; AES: RFC 3602)."""

    DES = 1
    IDEA = 2
    BLOWFISH = 3
    RC5 = 4
    TRIPLE_DES = 5
    CAST = 6
    AES = 7
    CAMELLIA = 8


class Hash(OpenEnum):
    """Hash algorithms of phase 1 (RFC 2409, appendix A; IANA)."""

    MD5 = 1
    SHA1 = 2
    TIGER = 3
    SHA2_256 = 4
    SHA2_384 = 5
    SHA2_512 = 6


class Authentication(OpenEnum):
    """Authentication methods of phase 1 (RFC 2409, appendix A)."""

    PRE_SHARED_KEY = 1
    DSS_SIGNATURE = 2
    RSA_SIGNATURE = 3
    RSA_ENCRYPTION = 4
    RSA_ENCRYPTION_REVISED = 5


class Group(OpenEnum):
    """Diffie-Hellman groups (RFC 2409, 6; 3526; 5903; 5114; 6954; 8031)."""

    NONE = 0
    MODP768 = 1
    MODP1024 = 2
    MODP1536 = 5
    MODP2048 = 14
    MODP3072 = 15
    MODP4096 = 16
    MODP6144 = 17
    MODP8192 = 18
    ECP256 = 19
    ECP384 = 20
    ECP521 = 21
    ECP192 = 25
    ECP224 = 26
    ECP224BP = 27
    ECP256BP = 28
    ECP384BP = 29
    ECP512BP = 30
    CURVE25519 = 31


class GroupType(OpenEnum):
    """What a group is made of (RFC 2409, appendix A); a group with a number says it already."""

    MODP = 1
    ECP = 2
    EC2N = 3


class LifeType(OpenEnum):
    SECONDS = 1
    KILOBYTES = 2


class EspTransform(OpenEnum):
    """ESP transform identifiers (RFC 2407, 4.4.4; RFC 3602, 3686, 4309, 4106, 4312)."""

    DES_IV64 = 1
    DES = 2
    TRIPLE_DES = 3
    RC5 = 4
    IDEA = 5
    CAST = 6
    BLOWFISH = 7
    NULL = 11
    AES = 12
    AES_CTR = 13
    AES_CCM_8 = 14
    AES_CCM_12 = 15
    AES_CCM_16 = 16
    AES_GCM_8 = 18
    AES_GCM_12 = 19
    AES_GCM_16 = 20
    CAMELLIA = 22


class AhTransform(OpenEnum):
    """AH transform identifiers (RFC 2407, 4.4.3; RFC 4868; RFC 3566)."""

    MD5 = 2
    SHA1 = 3
    DES = 4
    SHA2_256 = 5
    SHA2_384 = 6
    SHA2_512 = 7
    AES_XCBC_MAC = 9


class IpcompTransform(OpenEnum):
    """IPCOMP transform identifiers (RFC 2407, 4.4.5)."""

    OUI = 1
    DEFLATE = 2
    LZS = 3


class Phase2Attribute(OpenEnum):
    """Attribute classes of an IPsec transform (RFC 2407, 4.5)."""

    LIFE_TYPE = 1
    LIFE_DURATION = 2
    GROUP = 3
    ENCAPSULATION = 4
    AUTHENTICATION = 5
    KEY_LENGTH = 6
    KEY_ROUNDS = 7
    COMPRESS_DICTIONARY_SIZE = 8
    COMPRESS_PRIVATE_ALGORITHM = 9
    ECN_TUNNEL = 10


class EncapsulationMode(OpenEnum):
    """RFC 2407, 4.5; in UDP by RFC 3947, 5.1, and by its drafts."""

    TUNNEL = 1
    TRANSPORT = 2
    UDP_TUNNEL = 3
    UDP_TRANSPORT = 4
    UDP_TUNNEL_DRAFT = 61443
    UDP_TRANSPORT_DRAFT = 61444


class Integrity(OpenEnum):
    """Authentication algorithms of ESP and AH (RFC 2407, 4.5; RFC 4868; RFC 3566)."""

    NONE = 0
    HMAC_MD5 = 1
    HMAC_SHA1 = 2
    DES_MAC = 3
    KPDK = 4
    HMAC_SHA2_256 = 5
    HMAC_SHA2_384 = 6
    HMAC_SHA2_512 = 7
    AES_XCBC_MAC = 9
