"""The settings of one network: the network block of wpa_supplicant.conf as a value.

Names are those of wpa_supplicant.conf. File names stay names here; `Credentials` holds what
was in the files, so that the core never touches the file system.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final

from eapol.eap import EapType
from wire.secret import Secret

FRAGMENT_SIZE: Final = 1398


class TlsVersion(Enum):
    """Versions of TLS, in the words that `wpa_cli status` prints."""

    TLS_1_0 = "TLSv1"
    TLS_1_1 = "TLSv1.1"
    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


OLD_VERSIONS: Final = frozenset({TlsVersion.TLS_1_0, TlsVersion.TLS_1_1})
"""Off unless they are asked for (RFC 8996); their signatures are SHA-1."""


class Groups(Enum):
    """Key exchange groups offered; HYBRID adds ML-KEM and makes a ClientHello of 1500 octets."""

    CLASSIC = "classic"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPolicy:
    """How TLS is spoken and the server's certificate judged.

    `seclevel` is OpenSSL's security level (0 to 5) where the configuration names one.
    `check_time` False is `tls_disable_time_checks=1`. `session_ticket` is that of TLS 1.2 only.
    `curves` is openssl_ecdh_curves, the groups offered, in place of `groups`.
    `server_sha256` accepts one certificate, of any issuer; its names are checked all the same.
    """

    min_version: TlsVersion = TlsVersion.TLS_1_2
    max_version: TlsVersion = TlsVersion.TLS_1_3
    seclevel: int | None = None
    ciphers: str | None = None
    groups: Groups = Groups.CLASSIC
    curves: str | None = None
    check_time: bool = True
    session_ticket: bool = False
    resume: bool = True
    domain_suffix_match: tuple[str, ...] = ()
    domain_match: tuple[str, ...] = ()
    altsubject_match: tuple[str, ...] = ()
    subject_match: str | None = None
    server_sha256: bytes | None = None

    @property
    def security_level(self) -> int:
        """What was named; otherwise 1, which takes RSA-1024, and 0 where TLS 1.0 or 1.1 is on,
        as in Debian's wpa_supplicant."""
        if self.seclevel is not None:
            return self.seclevel
        return 0 if self.min_version in OLD_VERSIONS else 1

    @property
    def offered(self) -> str:
        """The versions, for people."""
        low, high = self.min_version.value, self.max_version.value
        return low if low == high else f"{low} to {high}"

    @property
    def names_wanted(self) -> tuple[str, ...]:
        """The options that say which names the server's certificate must have."""
        wanted = {
            "domain_match": self.domain_match,
            "domain_suffix_match": self.domain_suffix_match,
            "altsubject_match": self.altsubject_match,
            "subject_match": self.subject_match,
        }
        return tuple(option for option, value in wanted.items() if value)


class CryptoBinding(IntEnum):
    """`crypto_binding` of phase1: whether PEAP's tunnel and inner method must prove to be one."""

    OFF = 0
    OPTIONAL = 1
    REQUIRED = 2


class Phase2Auth(IntEnum):
    """`phase2_auth` of phase1: when the inner method must have succeeded."""

    NEVER = 0
    INITIAL = 1
    ALWAYS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelPolicy:
    """The words of phase1 about PEAP, EAP-TTLS, EAP-FAST and TEAP."""

    peap_version: int | None = None
    peap_label: bool = False
    crypto_binding: CryptoBinding = CryptoBinding.OPTIONAL
    phase2_auth: Phase2Auth = Phase2Auth.INITIAL

    def may_skip_inner(self, *, resumed: bool) -> bool:
        """Whether the server may say success without an inner method.

        Differs: with INITIAL wpa_supplicant 2.11 lets it do so where a client certificate is
        configured, too, whether or not the server asked for it; here that takes NEVER.
        """
        match self.phase2_auth:
            case Phase2Auth.NEVER:
                return True
            case Phase2Auth.INITIAL:
                return resumed
            case Phase2Auth.ALWAYS:
                return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase2:
    """The words of `phase2`: what may run inside of a tunnel, in order of preference.

    `auth`: names such as MSCHAPV2; `autheap`: the same for EAP within EAP-TTLS. None: whatever
    there is.
    """

    auth: tuple[str, ...] = ()
    autheap: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerTls:
    """The options that end in 2: EAP-TLS inside of a tunnel."""

    ca_cert: str | None = None
    client_cert: str | None = None
    private_key: str | None = None
    private_key_passwd: Secret | None = None
    tls: TlsPolicy = field(default_factory=TlsPolicy)


@dataclass(frozen=True, slots=True)
class Password:
    """`password`: the text, octet for octet; `hashed`: its NtPasswordHash (RFC 2759, 8.3)."""

    secret: Secret
    hashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network block.

    `eap` are the methods, in order of preference. `identity` is what EAP-Response/Identity carries,
    octet for octet; `anonymous_identity` takes its place outside of TLS if set. `fragment_size` is
    TLS octets in one EAP packet; the driver's MTU clamps it. `ca_cert` None means that the server
    is not verified.
    """

    eap: tuple[EapType, ...] = (EapType.TLS,)
    identity: bytes = b""
    anonymous_identity: bytes | None = None
    password: Password | None = None
    phase2: Phase2 = field(default_factory=Phase2)
    tunnel: TunnelPolicy = field(default_factory=TunnelPolicy)
    inner: InnerTls | None = None
    ca_cert: str | None = None
    client_cert: str | None = None
    private_key: str | None = None
    private_key_passwd: Secret | None = None
    tls: TlsPolicy = field(default_factory=TlsPolicy)
    fragment_size: int = FRAGMENT_SIZE
    include_tls_length: bool = False
    allow_canned_success: bool = False
    eap_workaround: bool = True
    id_str: str = ""
    disabled: bool = False

    @property
    def outer_identity(self) -> bytes:
        """The identity that is sent in clear."""
        return self.identity if self.anonymous_identity is None else self.anonymous_identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """The constants of IEEE Std 802.1X-2004, 8.2.11.1.2 and 8.2.12.1.2, and RFC 4137, 4.1; seconds.

    `maxStart` is a count.
    """

    startPeriod: int = 30
    maxStart: int = 3
    heldPeriod: int = 60
    authPeriod: int = 30
    ClientTimeout: int = 60


@dataclass(frozen=True, slots=True)
class NamedOctets:
    """What a file holds, and the name that errors give it."""

    name: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class NamedSecret:
    """What a private file holds, and the name that errors give it."""

    name: str
    secret: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What was in the files of a network.

    `ca`: certificates and CRLs, PEM or one DER certificate. `certificate`: the client's
    certificate first, then its chain. `key`: PEM, DER, or PKCS #12 (then `certificate` may be
    None). `inner`: policy and credentials of EAP-TLS inside of a tunnel.
    """

    ca: NamedOctets | None = None
    certificate: NamedOctets | None = None
    key: NamedSecret | None = None
    passphrase: Secret | None = None
    inner: "tuple[TlsPolicy, Credentials] | None" = None
