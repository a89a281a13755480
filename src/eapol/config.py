"""wpa_supplicant.conf: read into values, and written from them.

The syntax is `eapol.conffile`'s, the options of a network block are `eapol.options`'.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, ParamSpec, TypeVar

from eapol.conffile import BLOB, UNSET, Assignment, Block, ConfigError, hidden, read, value_of
from eapol.method_options import unusable
from eapol.methods.table import needs_tls
from eapol.options import (
    IGNORED,
    OPTIONS,
    WIRED,
    WITHOUT_EFFECT,
    is_disabled,
    lines_of,
    number_of,
    remarks,
    text_of,
    warnings_of,
    with_option,
)
from eapol.settings import Network
from wire.source import Notice, Notices, Place, Source, nearest, octets_of

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["Config", "ConfigError", "check", "parse", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole file. `networks` come in the order in which they are preferred (`priority`).

    `ctrl_interface` is the directory of the control sockets, None for no socket. `warnings` are
    sentences with their place, about what works and should not have to, and about what has no
    effect; `notices` are the latter.
    """

    networks: tuple[Network, ...] = ()
    ctrl_interface: str | None = None
    ctrl_interface_group: str | None = None
    eapol_version: int = 1
    fast_reauth: bool = True
    openssl_ciphers: str | None = None
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()

    @property
    def network(self) -> Network | None:
        """The network to use: the first that is not disabled."""
        return next((network for network in self.networks if not network.disabled), None)


def parse(source: str, name: str, *, wired: bool = True) -> Config:
    """The configuration in `source`. `wired` False takes networks of every key_mgmt: what EAP
    itself needs is the same. Raises ConfigError with `name`, the line and the remedy."""
    config, blocks, blobs = Config(), list[Block](), dict[str, bytes]()
    told, notices = list[str](), Notices()
    for item in read(Source(name, source.removeprefix("\ufeff"), SECRETS)):
        if isinstance(item, Assignment):
            config = _at(item.key.place, _with_global, config, item)
            if item.key in _IGNORED or item.key.startswith(_IGNORED_FAMILIES):
                notices.passed_over(item.key.place, f"'{item.key}' has no effect here")
        elif item.kind.startswith(BLOB):
            blobs[item.kind.removeprefix(BLOB)] = _at(item.kind.place, _blob, item.raw)
        elif item.kind == "network":
            blocks.append(item)
        elif item.kind == "cred":
            notices.passed_over(item.kind.place, "cred is about Hotspot 2.0; it has no effect")
        else:
            what = f"'{item.kind}' is not a kind of block{nearest(item.kind, ['network', 'cred'])}"
            raise ConfigError(what, item.kind.place)
    usable = _wired(blocks, notices) if wired else [_without(block) for block in blocks]
    ranked = sorted(usable, key=lambda block: -_priority(block))
    networks = _networks(ranked, config, told, notices)
    if all(network.disabled for network in networks):
        told.append(
            f"{name}: no network block is enabled, so the port is not authenticated; net8021x"
            " writes one"
        )
    warnings = (*map(str, notices), *told)
    return replace(
        config, networks=networks, blobs=blobs, warnings=warnings, notices=tuple(notices)
    )


def text(config: Config) -> str:
    """The file that `parse` reads as `config`, with its secrets, without its comments."""
    lines = []
    if config.ctrl_interface is not None:
        group = config.ctrl_interface_group
        directory = config.ctrl_interface
        lines.append(f"ctrl_interface={f'DIR={directory} GROUP={group}' if group else directory}")
    lines.append(f"eapol_version={config.eapol_version}")
    lines.append("ap_scan=0")
    if not config.fast_reauth:
        lines.append("fast_reauth=0")
    if config.openssl_ciphers is not None:
        lines.append(f"openssl_ciphers={config.openssl_ciphers}")
    for network in config.networks:
        lines += ["network={", *(f"\t{line}" for line in lines_of(network)), "}"]
    for name, octets in config.blobs.items():
        lines += [f"{BLOB}{name}={{", *base64.encodebytes(octets).decode().split(), "}"]
    return "\n".join([*lines, ""])


def check(network: Network) -> None:
    """Raise ConfigError, without a position, if no method can begin with this network."""
    if not network.identity:
        raise ConfigError('identity is missing; write identity="NAME"')
    if (lacking := unusable(network)) is not None:
        raise ConfigError(lacking)
    names = network.tls.names_wanted if needs_tls(network) else ()
    if names and network.ca_cert is None and network.tls.server_sha256 is None:
        raise ConfigError(
            f"{names[0]} without ca_cert checks nothing: anybody can make a certificate with that"
            ' name; write ca_cert="PATH" of the CA that issued the server\'s certificate'
        )


def _wired(blocks: list[Block], notices: Notices) -> list[Block]:
    """The networks for a wired port. Others are passed over with a notice, because a file may
    serve a wireless interface, too; where nothing else is, the first is an error."""
    wired, others = [], []
    for block in blocks:
        found = block.last("key_mgmt")
        if found is not None and WIRED in found.value.split():
            wired.append(block)
            continue
        given = f"key_mgmt={found.value}" if found else "a network without key_mgmt"
        place = (found.key if found else block.kind).place
        others.append((place, f"{given} is not for a wired port"))
    if others and not wired:
        place, what = others[0]
        raise ConfigError(f"{what}; write key_mgmt={WIRED}", place)
    for place, what in others:
        notices.passed_over(place, f"{what}; passed over")
    return wired


def _without(block: Block) -> Block:
    """The network without key_mgmt."""
    kept = tuple(entry for entry in block.assignments if entry.key != "key_mgmt")
    return replace(block, assignments=kept)


def _networks(
    ranked: list[Block], config: Config, told: list[str], notices: Notices
) -> tuple[Network, ...]:
    """The networks. One that is not used anyway may be of a kind that is not supported."""
    networks: list[Network] = []
    for block in ranked:
        chosen = any(not network.disabled for network in networks)
        inner, said = list[str](), Notices()
        try:
            networks.append(_network(block, config, inner, said))
        except ConfigError as error:
            if not chosen and not _is_disabled(block):
                raise
            why = "of lower priority" if chosen else "disabled"
            what = f"{error.sentence}; this network is {why}, and is passed over"
            notices.passed_over(error.place or block.kind.place, what)
            continue
        told += inner
        for notice in said:
            notices.passed_over(notice.place, notice.sentence)
    return tuple(networks)


def _is_disabled(block: Block) -> bool:
    found = block.last("disabled")
    return found is not None and _at(found.value.place, is_disabled, found.value)


def _network(block: Block, config: Config, told: list[str], notices: Notices) -> Network:
    policy = replace(Network().tls, resume=config.fast_reauth)
    network = Network(tls=policy)
    if config.openssl_ciphers is not None:
        ciphers = value_of(octets_of(config.openssl_ciphers))
        network = with_option(network, "openssl_ciphers", ciphers)
    effective = _effective(block)
    last = {entry.key: entry for entry in effective}
    for entry in effective:
        if (counts := last[entry.key]).value != entry.value:
            what = f"'{entry.key}' is set again in line {counts.key.line}, which counts"
            notices.passed_over(entry.key.place, what)
        network = _at(entry.key.place, with_option, network, entry.key, entry.value)
        if entry.key in IGNORED and entry.key not in WITHOUT_EFFECT:
            notices.passed_over(entry.key.place, f"'{entry.key}' has no effect on a wired port")
        for remark in remarks(entry.key, entry.value):
            notices.passed_over(entry.value.place, remark)
    if not network.disabled:
        _at(block.kind.place, check, network)
        told += [f"{block.kind.place}: {warning}" for warning in warnings_of(network)]
    return network


def _effective(block: Block) -> list[Assignment]:
    """The lines, without those that a later `key=NULL` takes back."""
    kept: list[Assignment] = []
    for entry in block.assignments:
        if entry.value == UNSET and entry.key not in _NO_TEXTS:
            kept = [each for each in kept if each.key != entry.key]
        else:
            kept.append(entry)
    return kept


_NO_TEXTS: Final = ("key_mgmt", "eap", "disabled", "priority", "fragment_size", "eap_workaround")


def _priority(block: Block) -> int:
    found = block.last("priority")
    if found is None:
        return 0
    return _at(found.value.place, number_of, found.value, "priority")


def _at(place: Place, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """The result of `call`; a ConfigError gets the position that only the caller knows."""
    try:
        return call(*args, **named)
    except ConfigError as error:
        raise ConfigError(error.sentence, error.place or place) from None


# Lines outside of the blocks


def _with_global(config: Config, entry: Assignment) -> Config:
    reader = _GLOBALS.get(entry.key)
    if reader is not None:
        return reader(config, entry.value)
    if entry.key in _IGNORED or entry.key.startswith(_IGNORED_FAMILIES):
        return config
    if entry.key in _REFUSED:
        raise ConfigError(f"{entry.key} is not supported: {_REFUSED[entry.key]}")
    known = [*_GLOBALS, *_IGNORED, *_REFUSED]
    raise ConfigError(f"'{entry.key}' is not an option{nearest(entry.key, known)}")


def _ctrl_interface(config: Config, value: str) -> Config:
    if value.startswith(("udp:", "udp6:", "@")):
        what = f"ctrl_interface={value} is not supported; write ctrl_interface=/run/wpa_supplicant"
        raise ConfigError(what)
    if not value.startswith("DIR="):
        return replace(config, ctrl_interface=value or None)
    match = re.fullmatch(r"DIR=(?P<directory>\S+)(\s+GROUP=(?P<group>\S+))?", value)
    if match is None:
        raise ConfigError(f"ctrl_interface={value} is not of the form DIR=PATH GROUP=NAME")
    return replace(
        config,
        ctrl_interface=match["directory"],
        ctrl_interface_group=match["group"] or config.ctrl_interface_group,
    )


def _ctrl_interface_group(config: Config, value: str) -> Config:
    if not value:
        raise ConfigError("ctrl_interface_group= names no group; remove the line")
    return replace(config, ctrl_interface_group=value)


def _eapol_version(config: Config, value: str) -> Config:
    return replace(config, eapol_version=number_of(value, "eapol_version", 1, 3))


def _fast_reauth(config: Config, value: str) -> Config:
    return replace(config, fast_reauth=number_of(value, "fast_reauth") != 0)


def _update_config(config: Config, value: str) -> Config:
    number_of(value, "update_config", 0, 1)  # 0 in effect: the file is the administrator's
    return config


def _openssl_ciphers(config: Config, value: str) -> Config:
    ciphers = text_of(value) if value.startswith('"') else value
    as_value = value_of(octets_of(ciphers))
    with_option(Network(), "openssl_ciphers", as_value)  # or refused here
    return replace(config, openssl_ciphers=ciphers)


def _ap_scan(config: Config, value: str) -> Config:
    number_of(value, "ap_scan")  # 0 in effect: there is nothing to scan on a wire
    return config


def _blob(raw: str) -> bytes:
    """As in wpa_supplicant, what is not base64 is skipped, and padding may be missing."""
    try:
        digits = re.sub(r"[^A-Za-z0-9+/]", "", raw)
        found = base64.b64decode(digits + "=" * (-len(digits) % 4))
    except ValueError as error:
        raise ConfigError(f"the blob is not base64: {error}") from None
    if not found:
        raise ConfigError("the blob is not base64: there is nothing in it")
    return found


_GLOBALS: Final[Mapping[str, Callable[[Config, str], Config]]] = {
    "ctrl_interface": _ctrl_interface,
    "ctrl_interface_group": _ctrl_interface_group,
    "eapol_version": _eapol_version,
    "fast_reauth": _fast_reauth,
    "update_config": _update_config,
    "openssl_ciphers": _openssl_ciphers,
    "ap_scan": _ap_scan,
}

SECRETS: Final = hidden([*_GLOBALS, *(name for name, row in OPTIONS.items() if not row.secret)])

_REFUSED: Final = {
    "ext_password_backend": "write the passphrase as private_key_passwd",
    "driver_param": "remove the line; the wired driver has no parameters",
}

_WITHOUT_EFFECT: Final = """
cert_in_cb country update_identifier bss_max_count bss_expiration_age bss_expiration_scan_count
disable_scan_offload filter_ssids filter_rssi max_num_sta disassoc_low_ack okc pmf sae_groups
sae_pwe sae_pmkid_in_assoc dtim_period beacon_int ap_vendor_elements ap_assocresp_elements
ignore_old_scan_res freq_list initial_freq_list scan_cur_freq scan_res_valid_for_connect
sched_scan_interval sched_scan_start_delay sched_scan_plans tdls_external_control osu_dir
wowlan_triggers wowlan_disconnect_on_deinit bgscan autoscan mac_addr rand_addr_lifetime
preassoc_mac_addr gas_rand_mac_addr gas_rand_addr_lifetime gas_address3 key_mgmt_offload
user_mpm max_peer_links mesh_max_inactivity mesh_fwding dot11RSNASAERetransPeriod
passive_scan reassoc_same_bss_optim wps_priority wpa_rsc_relaxation coloc_intf_reporting
p2p_disabled interworking hessid access_network_type go_interworking go_access_network_type
go_internet go_venue_group go_venue_type auto_interworking nfc external_sim
dot11RSNAConfigPMKLifetime dot11RSNAConfigPMKReauthThreshold dot11RSNAConfigSATimeout
uuid auto_uuid device_name manufacturer model_name model_number serial_number device_type
os_version config_methods wps_cred_processing wps_cred_add_sae wps_vendor_ext_m1 sec_device_type
persistent_reconnect changed_parameters load_dynamic_eap ft_eap_method multi_ap_backhaul_sta
extended_key_id bssid_filter disallow_aps no_keep_alive no_ctrl_interface opensc_engine_path
pkcs11_engine_path pkcs11_module_path pcsc_reader pcsc_pin relative_rssi relative_band_adjust
non_pref_chan mbo_cell_capa oce disable_btm ap_isolate disassoc_imminent_rssi_threshold pbc_in_m1
"""
"""About wireless networks, and modules for keys in tokens, which no network may use here."""

_IGNORED: Final = frozenset(_WITHOUT_EFFECT.split())
_IGNORED_FAMILIES: Final = (
    "p2p_",
    "wps_",
    "dpp_",
    "mesh_",
    "hs20",
    "go_",
    "ip_addr_",
    "fst_",
    "ftm_",
    "tx_queue_",
    "wmm_ac_",
)
