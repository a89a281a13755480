"""`racoonctl status`: what the daemon holds, as text or as JSON (schema_version 2.0)."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from ike.config import Config
from ike.numbers.doi import Group
from ike.numbers.isakmp import ProtocolId
from ike.values import IpsecView, IsakmpView, Network, Phase1State

SCHEMA_VERSION: Final = "2.0"

Json = dict[str, "Json | list[Json] | str | int | bool | None"]


def status_json(
    config: Config, phase1: Sequence[IsakmpView], phase2: Sequence[IpsecView], now: datetime
) -> str:
    """One line of JSON. SPIs show their upper half only, keys not at all."""
    document: Json = {
        "schema_version": SCHEMA_VERSION,
        "timestamp": _timestamp(now),
        "phase1": [_phase1(config, view) for view in phase1],
        "phase2": [_phase2(view) for view in phase2],
    }
    return json.dumps(document, separators=(",", ":"))


def status_text(
    config: Config,
    phase1: Sequence[IsakmpView],
    phase2: Sequence[IpsecView],
    now: datetime,
    *,
    verbose: bool,
) -> str:
    """What a person reads; without `verbose` one line a security association."""
    lines = [f"racoon status at {_timestamp(now)}"]
    for view in phase1:
        lines += _phase1_text(config, view) if verbose else [_phase1_line(view)]
    for child in phase2:
        lines += _phase2_text(child) if verbose else [_phase2_line(child)]
    return "\n".join(lines)


def _timestamp(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _phase1_index(view: IsakmpView | IpsecView) -> str:
    return f"0x{view.initiator_cookie.hex()}{view.responder_cookie.hex()}"


def _state1(view: IsakmpView) -> str:
    if view.state < Phase1State.ESTABLISHED:
        return "negotiating"
    return view.state.name.lower()


def _state2(view: IpsecView) -> str:
    return "established" if view.established else "negotiating"


def _masked(spi: int) -> str:
    return f"0x{spi >> 16:04x}****"


def _group(number: int) -> str | None:
    return Group(number).name if number else None


def _phase1(config: Config, view: IsakmpView) -> Json:
    remote = config.remote_named(view.remote_name)
    proposal: Json = {
        "encryption_algorithm": view.encryption,
        "hash_algorithm": view.hash,
        "authentication_method": view.authentication,
        "dh_group": _group(view.group),
        "lifetime_time": view.lifetime_seconds,
    }
    return {
        "index": _phase1_index(view),
        "state": _state1(view),
        "remote_id": view.remote_id or str(view.remote.address),
        "local_id": view.local_id or str(view.local.address),
        "version": "1.0",
        "exchange_mode": view.exchange.name,
        "proposal": proposal,
        "dpd": {"supported": view.dpd, "fails": view.dpd_fails},
        "remote_config": {
            "anonymous": remote is not None and remote.address is None,
            "passive": remote is not None and remote.passive,
            "generate_policy": _generate_policy(remote.generate_policy.value if remote else "off"),
        },
    }


def _generate_policy(word: str) -> str:
    return "none" if word == "off" else word


def _any(number: int) -> str:
    return str(number) if number else "any"


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
            "src": _network(selector.local),
            "dst": _network(selector.remote),
            "protocol": _any(selector.protocol),
            "src_port": _any(selector.local_port),
            "dst_port": _any(selector.remote_port),
        },
        "proposal": {
            "encryption_algorithm": view.encryption,
            "authentication_algorithm": view.integrity,
            "pfs_group": view.pfs_group or None,
            "effective_group": view.effective_group,
            "lifetime_time": view.lifetime_seconds,
            "lifetime_bytes": view.lifetime_kilobytes * 1024,
        },
        "reqid_in": view.reqid,
        "reqid_out": view.reqid,
        "ok": view.established,
    }


_network: Callable[[Network], str] = str


def _protocol(view: IpsecView) -> str:
    return ProtocolId(view.protocol).name


def _phase1_line(view: IsakmpView) -> str:
    return f"Phase 1: {_phase1_index(view)} {_state1(view)} {view.local} -> {view.remote}"


def _phase2_line(view: IpsecView) -> str:
    selector = view.selector
    return f"Phase 2: 0x{view.message_id:08x} {_state2(view)} {selector.local} -> {selector.remote}"


def _phase1_text(config: Config, view: IsakmpView) -> list[str]:
    remote = config.remote_named(view.remote_name)
    anonymous = _yes(remote is not None and remote.address is None)
    passive = _yes(remote is not None and remote.passive)
    generate = _generate_policy(remote.generate_policy.value if remote else "off")
    return [
        "",
        f"Phase 1: {_phase1_index(view)}",
        f"  state:          {_state1(view)}",
        f"  remote:         {view.remote_id or view.remote.address}",
        f"  local:          {view.local_id or view.local.address}",
        f"  version:        1.0  exchange_mode: {view.exchange.name}",
        f"  encryption:     {view.encryption}  hash: {view.hash}  "
        f"auth: {view.authentication}  dh: {_group(view.group) or '(none)'}",
        f"  lifetime:       {view.lifetime_seconds}s",
        f"  dpd:            supported={_yes(view.dpd)} fails={view.dpd_fails}",
        f"  remote_config:  anonymous={anonymous} passive={passive} generate_policy={generate}",
    ]


def _phase2_text(view: IpsecView) -> list[str]:
    selector = view.selector
    return [
        "",
        f"Phase 2: 0x{view.message_id:08x}",
        f"  phase1:         {_phase1_index(view)}",
        f"  state:          {_state2(view)}  protocol: {_protocol(view)}  mode: {view.mode.value}",
        f"  spi:            in={_masked(view.spi_in)} out={_masked(view.spi_out)}",
        f"  selector:       {selector.local} -> {selector.remote}  "
        f"proto={_any(selector.protocol)} sport={_any(selector.local_port)} "
        f"dport={_any(selector.remote_port)}",
        f"  encryption:     {view.encryption}  auth: {view.integrity}",
        f"  pfs_group:      {view.pfs_group or '(none)'}",
        f"  effective_group: {view.effective_group}",
        f"  lifetime:       {view.lifetime_seconds}s / {view.lifetime_kilobytes * 1024} bytes",
        f"  reqid:          in={view.reqid} out={view.reqid}  ok={_yes(view.established)}",
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
