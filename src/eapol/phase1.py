"""The words of `phase1`: settings of TLS and of the tunnel.

`name=0` or `name=1`, with spaces between; a few know 2.
"""

from dataclasses import replace
from typing import Final

from eapol.conffile import ConfigError
from eapol.settings import (
    OLD_VERSIONS,
    CryptoBinding,
    Network,
    Phase2Auth,
    TlsPolicy,
    TlsVersion,
    TunnelPolicy,
)
from wire.source import nearest

_VERSION_WORDS: Final = {
    "tls_disable_tlsv1_0": TlsVersion.TLS_1_0,
    "tls_disable_tlsv1_1": TlsVersion.TLS_1_1,
    "tls_disable_tlsv1_2": TlsVersion.TLS_1_2,
    "tls_disable_tlsv1_3": TlsVersion.TLS_1_3,
}
_ORDER: Final = tuple(TlsVersion)

_UNUSED: Final = """
peap_outer_success sim_min_num_chal result_ind fast_provisioning
fast_max_pac_list_len fast_pac_format teap_compat teap_anon_dh tls_allow_md5
allow_unsafe_renegotiation
"""
"""Words of other methods, and two that would only weaken what is checked."""

_WITHOUT_EFFECT: Final = {
    "allow_unsafe_renegotiation": "nothing is renegotiated here",
    "tls_allow_md5": "write openssl_ciphers with @SECLEVEL=0",
}

_POLICY_WORDS: Final = """
tls_disable_time_checks tls_disable_session_ticket include_tls_length allow_canned_success
"""

_TUNNEL_WORDS: Final = "peapver peaplabel crypto_binding phase2_auth"

_REFUSED: Final = {
    "tls_ext_cert_check": "certificates cannot be approved over the control socket",
    "tls_suiteb": "set the cipher suites with openssl_ciphers",
    "tls_suiteb_no_ecdh": "set the cipher suites with openssl_ciphers",
}

_KNOWN: Final = frozenset(
    (*_VERSION_WORDS, *_REFUSED, *f"{_UNUSED} {_POLICY_WORDS} {_TUNNEL_WORDS}".split())
)
_MISSPELT: Final = 0.8  # as alike as tls_disable_tlsv1_0 and tls_disable_tls1_0


def read_phase1(network: Network, words: str) -> Network:
    """`network` with what `words` say, and the defaults for what they do not.

    What a value means that the word does not have is a guess, and a guess could turn a check off.
    A misspelt word could ask for a check.
    Raises ConfigError, without a position.
    """
    given = _given(words)
    for name in given.keys() - _KNOWN:
        if hint := nearest(name, _KNOWN, alike=_MISSPELT):
            raise ConfigError(f"phase1: '{name}' is not a word that this supplicant knows{hint}")
    for name, why in _REFUSED.items():
        if _is_on(given, name):
            raise ConfigError(f"phase1 {name}=1 is not supported: {why}")
    tls = replace(
        network.tls,
        check_time=not _is_on(given, "tls_disable_time_checks"),
        session_ticket=not _is_on(given, "tls_disable_session_ticket", default=True),
    )
    disabled = {
        version
        for name, version in _VERSION_WORDS.items()
        if _is_on(given, name, default=version in OLD_VERSIONS)
    }
    return replace(
        network,
        tls=_versions(tls, disabled),
        tunnel=_tunnel(given),
        include_tls_length=_is_on(given, "include_tls_length"),
        allow_canned_success=_is_on(given, "allow_canned_success"),
    )


def unknown_words(words: str) -> list[str]:
    """A sentence for each word that is unknown, or not supported."""
    said = [
        f"phase1: '{word}' is not a word that this supplicant knows; it has no effect"
        for word in words.split()
        if _flag(word)[0] not in _KNOWN
    ]
    given = dict(_flag(word) for word in words.split())
    for name, why in _WITHOUT_EFFECT.items():
        if given.get(name, "0") != "0":
            said.append(f"phase1: '{name}' has no effect: {why}")
    return said


def _tunnel(given: dict[str, str]) -> TunnelPolicy:
    default = TunnelPolicy()
    version = _number(given, "peapver", 1)
    binding = _number(given, "crypto_binding", 2)
    auth = _number(given, "phase2_auth", 2)
    return TunnelPolicy(
        peap_version=version,
        peap_label=_is_on(given, "peaplabel"),
        crypto_binding=default.crypto_binding if binding is None else CryptoBinding(binding),
        phase2_auth=default.phase2_auth if auth is None else Phase2Auth(auth),
    )


def _write_tunnel(tunnel: TunnelPolicy) -> list[str]:
    default = TunnelPolicy()
    words = []
    if tunnel.peap_version is not None:
        words.append(f"peapver={tunnel.peap_version}")
    if tunnel.peap_label:
        words.append("peaplabel=1")
    if tunnel.crypto_binding != default.crypto_binding:
        words.append(f"crypto_binding={int(tunnel.crypto_binding)}")
    if tunnel.phase2_auth != default.phase2_auth:
        words.append(f"phase2_auth={int(tunnel.phase2_auth)}")
    return words


def write_phase1(network: Network) -> str:
    """The words that differ from the defaults; empty if none does."""
    tls, default = network.tls, TlsPolicy()
    low, high = _ORDER.index(tls.min_version), _ORDER.index(tls.max_version)
    words = []
    for name, version in _VERSION_WORDS.items():
        enabled = low <= _ORDER.index(version) <= high
        if enabled != (version not in OLD_VERSIONS):
            words.append(f"{name}={int(not enabled)}")
    if tls.check_time != default.check_time:
        words.append("tls_disable_time_checks=1")
    if tls.session_ticket != default.session_ticket:
        words.append("tls_disable_session_ticket=0")
    if network.include_tls_length:
        words.append("include_tls_length=1")
    if network.allow_canned_success:
        words.append("allow_canned_success=1")
    return " ".join([*words, *_write_tunnel(network.tunnel)])


def _flag(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _given(words: str) -> dict[str, str]:
    """Differs: wpa_supplicant takes one of two values, which one depends on the word."""
    given: dict[str, str] = {}
    for name, value in map(_flag, words.split()):
        if given.setdefault(name, value) != value:
            raise ConfigError(f"phase1: '{name}' is {given[name]} and {value}; write it once")
    return given


def _number(given: dict[str, str], name: str, high: int) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if value not in map(str, range(high + 1)):
        raise ConfigError(f"phase1: '{name}={value}' is not a number of 0 to {high}")
    return int(value)


def _is_on(given: dict[str, str], name: str, *, default: bool = False) -> bool:
    value = given.get(name)
    if value is None:
        return default
    if value not in ("0", "1"):
        shown = f"{name}={value}" if value else name
        raise ConfigError(f"phase1: '{shown}' is neither on nor off; write {name}=0 or {name}=1")
    return value == "1"


def _versions(tls: TlsPolicy, disabled: set[TlsVersion]) -> TlsPolicy:
    """Differs: TLS 1.3 is on unless it is disabled (2.10 wants it enabled; 2.11 has it on, too)."""
    enabled = [version for version in TlsVersion if version not in disabled]
    if not enabled:
        raise ConfigError("phase1 disables every version of TLS")
    low, high = _ORDER.index(enabled[0]), _ORDER.index(enabled[-1])
    if len(enabled) != high - low + 1:
        names = ", ".join(version.value for version in enabled)
        raise ConfigError(f"phase1 leaves {names}: enable those in between, too")
    return replace(tls, min_version=enabled[0], max_version=enabled[-1])
