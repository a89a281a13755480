"""The options of a network block: how each is read into a `Network`, and written again.

wpa_supplicant's options fall into four kinds here. Those that matter on a wired port are rows of
`OPTIONS`; `eapol.method_options` has those about methods. Those that say nothing about such a port
(`IGNORED`) are accepted, so that a file that wpa_supplicant reads is read here. Those that ask for
something this supplicant does not do (`REFUSED`) are errors: to go on without a check that the
administrator asked for would be wrong. Anything else is an error, as it is in wpa_supplicant: a
misspelt `ca_cert` must not open the port.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from eapol import method_options
from eapol.conffile import ConfigError, octets_of, value_of
from eapol.method_options import Option, eap_remarks, name_inside, phase2_remarks, second
from eapol.phase1 import read_phase1, unknown_words, write_phase1
from eapol.settings import FRAGMENT_SIZE, Network
from wire.secret import Secret
from wire.source import nearest

WIRED: Final = "IEEE8021X"
"""The `key_mgmt` of a wired port."""

HASH: Final = "hash://server/sha256/"
SECRET_SHOWN: Final = "*"


_SECURITY_LEVEL: Final = re.compile(r"@SECLEVEL=([^:,\s]*)")


def with_option(network: Network, name: str, value: str) -> Network:
    """`network` with the option `name` set to `value`, as a line of the file has it.

    Raises ConfigError, without a position.
    """
    row = OPTIONS.get(name)
    if row is not None:
        return row.read(network, value)
    if name in IGNORED:
        return network
    refusal = REFUSED.get(name)
    if refusal is None:
        raise ConfigError(_unknown(name))
    if value not in refusal.harmless:
        raise ConfigError(f"{name} is not supported: {refusal.why}")  # a value may be a secret
    return network


def remarks(name: str, value: str) -> list[str]:
    """What to say of a line that was read, though parts of it have no effect."""
    if name == "eap":
        return eap_remarks(value)
    if name == "phase2":
        return phase2_remarks(value)
    return unknown_words(text_of(value)) if name == "phase1" else []


def warnings_of(network: Network) -> list[str]:
    """What works with this network and should not have to; `eapol.tls` warns of more."""
    found = {
        "allow_canned_success=1: whoever can send a frame to the port can make it authorized": (
            network.allow_canned_success
        ),
        "subject_match looks for text within the subject, which is easily forged; write"
        " domain_suffix_match": network.tls.subject_match is not None,
    }
    said = [sentence for sentence, holds in found.items() if holds]
    return [*said, *method_options.doubts(network), *method_options.passed_over(network)]


def option(network: Network, name: str) -> str | None:
    """The value of the option as GET_NETWORK shows it: a secret as `*`, None where it is unset."""
    row = OPTIONS.get(name)
    value = None if row is None else row.write(network)
    return SECRET_SHOWN if row is not None and row.secret and value is not None else value


def lines_of(network: Network) -> list[str]:
    """The lines of the block, secrets included: what `with_option` would read as `network`."""
    rows = ((name, row.write(network)) for name, row in OPTIONS.items())
    return [f"{name}={value}" for name, value in rows if value is not None]


def text_of(value: str) -> str:
    """A string value as text. Raises ConfigError."""
    try:
        return octets_of(value).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{value} is not text (UTF-8)") from error


_INT: Final = 2**31


def number_of(value: str, name: str, low: int = -_INT, high: int = _INT - 1) -> int:
    """A number of `low` to `high`; nothing is 0, as for strtol. Raises ConfigError."""
    match = _NUMBER.fullmatch(value or "0")
    found = None if match is None else int(match["sign"] + _based(match["digits"]), 0)
    if found is None or not low <= found <= high:
        bounds = "" if low == -_INT else f" of {low} to {high}"
        raise ConfigError(f"{name}={value} is not a number{bounds}")
    return found


_NUMBER: Final = re.compile(
    r"(?P<sign>[+-]?)(?P<digits>0[xX][0-9a-fA-F]{1,8}|0[0-7]{0,10}|[1-9][0-9]{0,9})"
)
"""As strtol reads it: 0x... is hexadecimal, 0... octal."""


def _based(digits: str) -> str:
    return f"0o{digits}" if re.fullmatch(r"0[0-7]+", digits) else digits


def _unknown(name: str) -> str:
    known = [*OPTIONS, *IGNORED, *REFUSED]
    return f"'{name}' is not an option of a network block{nearest(name, known)}"


# Readers and writers of single options


def _key_mgmt(network: Network, value: str) -> Network:
    if WIRED not in value.split():
        what = f"key_mgmt={value} is not for a wired port; write key_mgmt={WIRED}"
        raise ConfigError(what)
    return network


def _identity(network: Network, value: str) -> Network:
    return replace(network, identity=octets_of(value))


def _anonymous_identity(network: Network, value: str) -> Network:
    return replace(network, anonymous_identity=octets_of(value))


def _said(value: str, key: str) -> str:
    """A text that is not empty: an empty one would count as a check that was not configured."""
    text = text_of(value)
    if not text.strip():
        raise ConfigError(f'{key}={value} is empty; write {key}="VALUE", or remove the line')
    return text


def _ca_cert(network: Network, value: str) -> Network:
    name = _said(value, "ca_cert")
    if not name.startswith(HASH):
        tls = replace(network.tls, server_sha256=None)
        return replace(network, ca_cert=_file(name, "ca_cert"), tls=tls)
    try:
        digest = bytes.fromhex(name.removeprefix(HASH))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise ConfigError(f'ca_cert="{name}" must end in 64 hexadecimal digits')
    return replace(network, ca_cert=None, tls=replace(network.tls, server_sha256=digest))


def _write_ca_cert(network: Network) -> str | None:
    digest = network.tls.server_sha256
    return _quoted(network.ca_cert) if digest is None else f'"{HASH}{digest.hex()}"'


def _client_cert(network: Network, value: str) -> Network:
    return replace(network, client_cert=_file(_said(value, "client_cert"), "client_cert"))


def _private_key(network: Network, value: str) -> Network:
    return replace(network, private_key=_file(_said(value, "private_key"), "private_key"))


def _file(name: str, key: str) -> str:
    """A file or a blob; keys in tokens and key stores are not supported."""
    if "\0" in name:
        raise ConfigError(f"{key}: a file name cannot hold a zero octet")
    scheme, colon, _ = name.partition(":")
    if colon and "/" not in scheme and scheme != "blob":
        raise ConfigError(
            f'{key}="{name}" is not supported: keys and certificates come from files; write the'
            " path of a PEM, DER or PKCS #12 file"
        )
    return name


def _private_key_passwd(network: Network, value: str) -> Network:
    if value.startswith("ext:"):
        raise ConfigError("private_key_passwd=ext:... is not supported; write the passphrase")
    return replace(network, private_key_passwd=Secret(octets_of(value)))


def _write_passwd(network: Network) -> str | None:
    secret = network.private_key_passwd
    return None if secret is None else value_of(secret.reveal())


def _split(value: str, key: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in _said(value, key).split(";"))
    found = tuple(part for part in parts if part)
    if not found:
        raise ConfigError(f'{key}={value} holds no host name; write {key}="NAME;NAME"')
    return found


def _joined(parts: tuple[str, ...]) -> str | None:
    return _quoted(";".join(parts)) if parts else None


def _quoted(text: str | None) -> str | None:
    return None if text is None else value_of(text.encode())


def _domain_match(network: Network, value: str) -> Network:
    return replace(network, tls=replace(network.tls, domain_match=_split(value, "domain_match")))


def _domain_suffix_match(network: Network, value: str) -> Network:
    return replace(
        network, tls=replace(network.tls, domain_suffix_match=_split(value, "domain_suffix_match"))
    )


def _altsubject_match(network: Network, value: str) -> Network:
    names = _split(value, "altsubject_match")
    for name in names:
        kind, _, wanted = name.partition(":")
        if kind not in ("DNS", "EMAIL", "URI") or not wanted:
            raise ConfigError(f"altsubject_match: '{name}' is not DNS:NAME, EMAIL:NAME or URI:NAME")
    return replace(network, tls=replace(network.tls, altsubject_match=names))


def _subject_match(network: Network, value: str) -> Network:
    return replace(network, tls=replace(network.tls, subject_match=_said(value, "subject_match")))


def _openssl_ciphers(network: Network, value: str) -> Network:
    ciphers = _said(value, "openssl_ciphers")
    levels = {number_of(level, "@SECLEVEL", 0, 5) for level in _SECURITY_LEVEL.findall(ciphers)}
    if len(levels) > 1:
        raise ConfigError(f"openssl_ciphers={value} names two security levels; write one")
    tls = replace(network.tls, ciphers=ciphers, seclevel=next(iter(levels), None))
    return replace(network, tls=tls)


def _openssl_ecdh_curves(network: Network, value: str) -> Network:
    tls = replace(network.tls, curves=_said(value, "openssl_ecdh_curves"))
    return replace(network, tls=tls)


def _fragment_size(network: Network, value: str) -> Network:
    return replace(network, fragment_size=number_of(value, "fragment_size", 32, 65535))


def _write_fragment_size(network: Network) -> str | None:
    return None if network.fragment_size == FRAGMENT_SIZE else str(network.fragment_size)


def _eap_workaround(network: Network, value: str) -> Network:
    return replace(network, eap_workaround=number_of(value, "eap_workaround", 0, 1) == 1)


def _id_str(network: Network, value: str) -> Network:
    return replace(network, id_str=text_of(value))


def is_disabled(value: str) -> bool:
    """What `disabled=` says. Raises ConfigError."""
    return number_of(value, "disabled", high=2) != 0


def _disabled(network: Network, value: str) -> Network:
    return replace(network, disabled=is_disabled(value))


def _phase1(network: Network, value: str) -> Network:
    return read_phase1(network, text_of(value))


def _write_phase1(network: Network) -> str | None:
    words = write_phase1(network)
    return f'"{words}"' if words else None


def _eapol_flags(network: Network, value: str) -> Network:
    number_of(value, "eapol_flags")  # about the keys of wireless networks: 0 on a wire
    return network


_FIRST: Final[Mapping[str, Option]] = {
    "key_mgmt": Option(_key_mgmt, lambda _: WIRED),
    "eap": method_options.OPTIONS["eap"],
    "identity": Option(_identity, lambda n: value_of(n.identity) if n.identity else None),
    "anonymous_identity": Option(
        _anonymous_identity,
        lambda n: None if n.anonymous_identity is None else value_of(n.anonymous_identity),
    ),
    "password": method_options.OPTIONS["password"],
    "phase2": method_options.OPTIONS["phase2"],
    "ca_cert": Option(_ca_cert, _write_ca_cert),
    "client_cert": Option(_client_cert, lambda n: _quoted(n.client_cert)),
    "private_key": Option(_private_key, lambda n: _quoted(n.private_key)),
    "private_key_passwd": Option(_private_key_passwd, _write_passwd, secret=True),
    "domain_match": Option(_domain_match, lambda n: _joined(n.tls.domain_match)),
    "domain_suffix_match": Option(
        _domain_suffix_match, lambda n: _joined(n.tls.domain_suffix_match)
    ),
    "altsubject_match": Option(_altsubject_match, lambda n: _joined(n.tls.altsubject_match)),
    "subject_match": Option(_subject_match, lambda n: _quoted(n.tls.subject_match)),
    "phase1": Option(_phase1, _write_phase1),
    "openssl_ciphers": Option(_openssl_ciphers, lambda n: _quoted(n.tls.ciphers)),
    "openssl_ecdh_curves": Option(_openssl_ecdh_curves, lambda n: _quoted(n.tls.curves)),
    "fragment_size": Option(_fragment_size, _write_fragment_size),
    "eap_workaround": Option(_eap_workaround, lambda n: None if n.eap_workaround else "0"),
    "eapol_flags": Option(_eapol_flags, lambda _: "0"),
    "id_str": Option(_id_str, lambda n: _quoted(n.id_str) if n.id_str else None),
    "disabled": Option(_disabled, lambda n: "1" if n.disabled else None),
}

_SECOND: Final = """
ca_cert client_cert private_key private_key_passwd domain_match domain_suffix_match
altsubject_match subject_match
"""

OPTIONS: Final[Mapping[str, Option]] = {
    **_FIRST,
    **{name_inside(name): second(_FIRST[name]) for name in _SECOND.split()},
}
"""In the order in which a block is written."""


@dataclass(frozen=True, slots=True)
class Refusal:
    why: str
    harmless: tuple[str, ...] = ()
    """Values that ask for nothing."""


_TOKEN: Final = Refusal("keys come from files; write private_key=\"PATH\"", ("0",))  # fmt: skip
_SUBJECT: Final = Refusal("write domain_suffix_match or altsubject_match")
_STATUS: Final = Refusal("certificate status comes from CRLs in the ca_cert file", ("0",))
_MACSEC: Final = Refusal("MACsec is not part of this supplicant", ("0",))

REFUSED: Final[Mapping[str, Refusal]] = {
    "ca_path": Refusal('put the CA certificates into one file and write ca_cert="PATH"'),
    "ca_path2": Refusal('put the CA certificates into one file and write ca_cert2="PATH"'),
    "check_cert_subject": _SUBJECT,
    "check_cert_subject2": _SUBJECT,
    "ocsp": _STATUS,
    "ocsp2": _STATUS,
    "engine": _TOKEN,
    "engine_id": _TOKEN,
    "key_id": _TOKEN,
    "cert_id": _TOKEN,
    "ca_cert_id": _TOKEN,
    "pin": _TOKEN,
    "macsec_policy": _MACSEC,
    "mka_cak": _MACSEC,
    "mka_ckn": _MACSEC,
}

_WIRELESS: Final = """
ssid scan_ssid bssid bssid_hint bssid_blacklist bssid_whitelist bssid_ignore bssid_accept psk
mem_only_psk sae_password sae_password_id proto pairwise group group_mgmt auth_alg scan_freq
freq_list max_oper_chwidth wep_key0 wep_key1 wep_key2 wep_key3 wep_tx_keyidx mode frequency
fixed_freq ieee80211w peerkey mixed_cell wpa_ptk_rekey wpa_deny_ptk0_rekey group_rekey
wps_disabled bgscan ignore_broadcast_ssid disable_ht disable_ht40 disable_vht disable_sgi
disable_ldpc ht40_intolerant ht_mcs disable_max_amsdu ampdu_factor ampdu_density ht vht ht40 he
edmg vht_capa vht_capa_mask beacon_int dtim_period ap_max_inactivity mesh_fwding no_auto_peer
mesh_rssi_threshold pbss mac_addr update_identifier roaming_consortium_selection
ft_eap_pmksa_caching owe_group owe_only multi_ap_backhaul_sta transition_disable sae_pk
acs beacon_prot ocv proactive_key_caching background_scan_period bg_scan_period
dot11MeshConfirmTimeout dot11MeshHoldingTimeout dot11MeshMaxRetries dot11MeshRetryTimeout
dpp_connector dpp_csign dpp_netaccesskey dpp_netaccesskey_expiry dpp_pfs dpp_pp_key edmg_channel
enable_edmg fils_dh_group go_p2p_dev_addr mesh_basic_rates owe_ptk_workaround p2p_client_list
psk_list rx_stbc tx_stbc vht_center_freq1 vht_center_freq2 vht_rx_mcs_nss_1 vht_rx_mcs_nss_2
vht_rx_mcs_nss_3 vht_rx_mcs_nss_4 vht_rx_mcs_nss_5 vht_rx_mcs_nss_6 vht_rx_mcs_nss_7
vht_rx_mcs_nss_8 vht_tx_mcs_nss_1 vht_tx_mcs_nss_2 vht_tx_mcs_nss_3 vht_tx_mcs_nss_4
vht_tx_mcs_nss_5 vht_tx_mcs_nss_6 vht_tx_mcs_nss_7 vht_tx_mcs_nss_8
"""

_OTHER_METHODS: Final = """
pac_file imsi_identity milenage sim_num pcsc dh_file dh_file2 engine2
engine_id2 engine2_id key2_id key_id2 cert2_id cert_id2 ca_cert2_id ca_cert_id2 pin2
machine_identity machine_password machine_ca_cert machine_ca_path machine_client_cert
machine_private_key machine_private_key_passwd machine_dh_file machine_subject_match
machine_altsubject_match machine_domain_match machine_domain_suffix_match
machine_check_cert_subject machine_engine machine_engine_id machine_key_id machine_cert_id
machine_ca_cert_id machine_ocsp machine_pin machine_phase2
"""

_WITHOUT_EFFECT: Final = """
priority erp macsec_integ_only macsec_replay_protect macsec_replay_window macsec_port mka_priority
"""
WITHOUT_EFFECT: Final = frozenset(_WITHOUT_EFFECT.split())
"""They change nothing while one network is used, without MACsec and without an ERP server."""

IGNORED: Final = frozenset((_WIRELESS + _OTHER_METHODS).split()) | WITHOUT_EFFECT
