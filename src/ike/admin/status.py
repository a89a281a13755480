"""`racoonctl status`: what the daemon holds, as text or as JSON (schema_version 2.0).

Names and layout are those of the living racoon fork (racoon-ipsec-tools), whose schema it is. The
text shows what the JSON has.
Differs: `dh_group` is the group's name; the fork names a type of group there, by the group's number
("ECP" for modp1024). `dropped_datagrams` and `last_failures` (by peer) are ours.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from ike.config import Config
from ike.numbers.doi import Group
from ike.numbers.isakmp import ProtocolId
from ike.values import IpsecView, IsakmpView

SCHEMA_VERSION: Final = "2.0"

Json = dict[str, "Json | list[Json] | str | int | bool | None"]

_CIPHERS: Final = {
    "DES": "DES-CBC",
    "TRIPLE_DES": "3DES-CBC",
    "AES": "AES-CBC",
    "CAST": "CAST-CBC",
    "BLOWFISH": "BLOWFISH-CBC",
    "CAMELLIA": "CAMELLIA-CBC",
}
_HASHES: Final = {"SHA1": "SHA", "SHA2_256": "SHA256", "SHA2_384": "SHA384", "SHA2_512": "SHA512"}
_METHODS: Final = {"PRE_SHARED_KEY": "pre-shared key", "RSA_SIGNATURE": "RSA signatures"}
_INTEGRITIES: Final = {
    "HMAC_MD5": "hmac-md5",
    "HMAC_SHA1": "hmac-sha1",
    "HMAC_SHA2_256": "hmac-sha256",
    "HMAC_SHA2_384": "hmac-sha384",
    "HMAC_SHA2_512": "hmac-sha512",
}
_AH_TRANSFORMS: Final = {
    "HMAC_MD5": "MD5",
    "HMAC_SHA1": "SHA",
    "HMAC_SHA2_256": "SHA256",
    "HMAC_SHA2_384": "SHA384",
    "HMAC_SHA2_512": "SHA512",
}


def status_json(
    config: Config,
    phase1: Sequence[IsakmpView],
    phase2: Sequence[IpsecView] | None,
    now: datetime,
    dropped: Mapping[str, int],
    failures: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """One line of JSON. SPIs show their upper half only, keys not at all.

    `phase2` of None: without -v, phase 2 is not shown. `dropped`: datagrams, by reason.
    `failures`: why the last negotiation failed, by peer.
    """
    document: Json = {
        "schema_version": SCHEMA_VERSION,
        "timestamp": _timestamp(now),
        "phase1": [_phase1(config, view) for view in phase1],
    }
    if phase2 is not None:
        document["phase2"] = [_phase2(view) for view in phase2]
    document["dropped_datagrams"] = {**dropped}
    if failures:
        document["last_failures"] = {**failures}
    return json.dumps(document, separators=(",", ":"))


def status_text(
    config: Config,
    phase1: Sequence[IsakmpView],
    phase2: Sequence[IpsecView] | None,
    now: datetime,
    dropped: Mapping[str, int],
    failures: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """What a person reads; the arguments are those of `status_json`."""
    lines = [f"racoon status at {_timestamp(now)}", ""]
    for view in phase1:
        lines += _phase1_text(config, view)
    if not phase1:
        lines.append("(no phase 1 SAs)")
    for child in phase2 or ():
        lines += _phase2_text(child)
    if phase2 is not None and not phase2:
        lines.append("(no phase 2 SAs)")
    if dropped:
        counts = ", ".join(f"{reason}: {count}" for reason, count in dropped.items())
        lines.append(f"Dropped datagrams: {counts}")
    lines += [f"Last failure with {peer}: {text}" for peer, text in failures.items()]
    return "\n".join(lines) + "\n"


def _timestamp(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _phase1_index(view: IsakmpView | IpsecView) -> str:
    return f"0x{view.initiator_cookie.hex()}{view.responder_cookie.hex()}"


def _state1(view: IsakmpView) -> str:
    return view.state.name.lower().replace("_", "")


def _state2(view: IpsecView) -> str:
    return "established" if view.established else "msg1sent"


def _masked(spi: int) -> str:
    return f"0x{spi >> 16:04x}****"


def _named(table: Mapping[str, str], name: str) -> str | None:
    """The fork's name of an algorithm; none for none."""
    return table.get(name, name) if name not in ("", "NONE") else None


def _cipher2(view: IpsecView) -> str | None:
    return _named(_CIPHERS, view.encryption)  # AH has none


def _integrity(view: IpsecView) -> str | None:
    table = _AH_TRANSFORMS if view.protocol == ProtocolId.AH else _INTEGRITIES
    return _named(table, view.integrity)


def _group(number: int) -> str:
    return Group(number).name


def _phase1(config: Config, view: IsakmpView) -> Json:
    made: Json = {
        "index": _phase1_index(view),
        "state": _state1(view),
        "remote_id": view.remote_id or str(view.remote.address),
        "local_id": view.local_id or str(view.local.address),
        "version": "1.0",
        "exchange_mode": view.exchange.name,
    }
    if view.group:  # else nothing is agreed yet
        made["proposal"] = {
            "encryption_algorithm": _named(_CIPHERS, view.encryption),
            "hash_algorithm": _named(_HASHES, view.hash),
            "authentication_method": _named(_METHODS, view.authentication),
            "dh_group": _group(view.group),
            "lifetime_time": view.lifetime_seconds,
        }
    made["dpd"] = {"supported": view.dpd, "fails": view.dpd_fails}
    if view.nat:
        made["natt"] = {"enabled": True}
    anonymous, passive, policy = _remote(config, view)
    made["remote_config"] = {
        "anonymous": anonymous,
        "passive": passive,
        "generate_policy": policy,
    }
    return made


def _remote(config: Config, view: IsakmpView) -> tuple[bool, bool, str]:
    """Whether it is anonymous, whether passive, and its generate_policy."""
    remote = config.remote_named(view.remote_name)
    if remote is None:  # it left the configuration
        return False, False, "none"
    word = remote.generate_policy.value
    return remote.address is None, remote.passive, "none" if word == "off" else word


def _any(number: int) -> int | str:
    return number or "any"


def _phase2(view: IpsecView) -> Json:
    selector = view.selector
    return {
        "index": f"0x{view.message_id:08x}",
        "phase1_index": _phase1_index(view),
        "state": _state2(view),
        "spi_in": _masked(view.spi_in),
        "spi_out": _masked(view.spi_out),
        "protocol": _protocol(view),
        "encmode": view.mode.value,
        "selectors": {
            "src": str(selector.local),
            "dst": str(selector.remote),
            "protocol": _any(selector.protocol),
            "src_port": _any(selector.local_port),
            "dst_port": _any(selector.remote_port),
        },
        "proposal": {
            "encryption_algorithm": _cipher2(view),
            "authentication_algorithm": _integrity(view),
            "pfs_group": view.pfs_group or None,
            "effective_group": view.effective_group,
            "lifetime_time": view.lifetime_seconds,
            "lifetime_bytes": view.lifetime_kilobytes * 1024,
        },
        "reqid_in": view.reqid,
        "reqid_out": view.reqid,
        "ok": view.established,
    }


def _protocol(view: IpsecView) -> str:
    return ProtocolId(view.protocol).name


def _phase1_text(config: Config, view: IsakmpView) -> list[str]:
    anonymous, passive, policy = _remote(config, view)
    lines = [
        f"Phase 1: {_phase1_index(view)}",
        f"  state:          {_state1(view)}",
        f"  remote:         {view.remote_id or view.remote.address}",
        f"  local:          {view.local_id or view.local.address}",
        f"  version:        1.0  exchange_mode: {view.exchange.name}",
    ]
    if view.group:
        lines += [
            f"  encryption:     {_named(_CIPHERS, view.encryption)}"
            f"  hash: {_named(_HASHES, view.hash)}"
            f"  auth: {_named(_METHODS, view.authentication)}  dh: {_group(view.group)}",
            f"  lifetime:       {view.lifetime_seconds}s",
        ]
    lines.append(f"  dpd:            supported={_yes(view.dpd)} fails={view.dpd_fails}")
    if view.nat:
        lines.append("  natt:           enabled=yes")
    return [
        *lines,
        f"  remote_config:  anonymous={_yes(anonymous)} passive={_yes(passive)} "
        f"generate_policy={policy}",
        "",
    ]


def _phase2_text(view: IpsecView) -> list[str]:
    selector = view.selector
    return [
        f"Phase 2: 0x{view.message_id:08x}",
        f"  phase1:         {_phase1_index(view)}",
        f"  state:          {_state2(view)}  protocol: {_protocol(view)}  mode: {view.mode.value}",
        f"  spi:            in={_masked(view.spi_in)} out={_masked(view.spi_out)}",
        f"  selector:       {selector.local} -> {selector.remote}  "
        f"proto={_any(selector.protocol)} sport={_any(selector.local_port)} "
        f"dport={_any(selector.remote_port)}",
        f"  encryption:     {_cipher2(view) or '(none)'}  auth: {_integrity(view) or '(none)'}",
        f"  pfs_group:      {view.pfs_group or '(none)'}",
        f"  effective_group: {view.effective_group}",
        f"  lifetime:       {view.lifetime_seconds}s / {view.lifetime_kilobytes * 1024} bytes",
        f"  reqid:          in={view.reqid} out={view.reqid}  ok={_yes(view.established)}",
        "",
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
