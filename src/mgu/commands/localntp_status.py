"""localNTP -s: what is configured, whether the service runs, and how right the clock is now."""

import json
import sys
import time
from typing import Any, Final

from mgu import exits, services, timeconf, timekeeping, timestatus
from mgu.commands.localntp_text import seconds, trust_document
from ntp.timestamp import SECOND, date_text

SCHEMA_VERSION: Final = 1
LOOK: Final = 0.05  # seconds between two looks
_LEAPS: Final = {
    1: "a second is inserted at the end of the month",
    2: "a second is removed at the end of the month",
}


def show(*, as_json: bool) -> int:
    """Print the state. Raises: ConfigurationError; OSError."""
    shown = _document()
    print(json.dumps(shown) if as_json else "\n".join(_lines(shown)))
    return exits.OK


def wait(patience: float) -> int:
    """Until the date is right, `patience` s at most. Raises: ConfigurationError; OSError."""
    limit = time.monotonic() + patience
    while timekeeping.trust() is None:
        if time.monotonic() >= limit:
            return _not_right(f"the date is not right after {patience:g} s; 'localNTP -s' says why")
        if not timeconf.configured().servers:
            return _not_right("no time server is configured; run: localNTP -a -n ADDRESS")
        time.sleep(LOOK)
    return exits.OK


def _not_right(why: str) -> int:
    print(f"localNTP: {why}", file=sys.stderr)
    return exits.FAILED


def _document() -> dict[str, Any]:
    clock = timekeeping.gateway_clock()
    trust = timekeeping.trust()
    running = services.running("localntp")
    last = timestatus.read_now()
    discipline = clock.discipline()
    return {
        "schema_version": SCHEMA_VERSION,
        "date_ns": clock.now(),
        "floor_ns": timekeeping.floor().latest,
        "servers": [server.host for server in timeconf.configured().servers],
        "enabled": services.enabled("localntp"),
        "running": running,
        "synchronized": trust is not None,
        "trust": trust_document(trust),
        "kernel": discipline
        and {
            "synchronized": discipline.synchronized,
            "error_ns": discipline.error,
            "frequency_ppm": discipline.frequency,
            "leap": discipline.leap,
        },
        "heard_ago_s": last.pop("heard_ago_s", None),
        "next_round_in_s": last.pop("next_round_in_s", None) if running else None,
        "poll_s": last.pop("poll_s", None) if running else None,
        "held_jump": last.pop("held_jump", None) if running else None,
        "last": last or None,
    }


def _lines(shown: dict[str, Any]) -> list[str]:
    state = "running" if shown["running"] else "stopped"
    boot = "started at boot" if shown["enabled"] else "not started at boot"
    none = "none configured (localNTP -a -n ...)"
    lines = [
        f"date          {date_text(shown['date_ns'])}",
        f"synchronized  {_synchronized(shown)}",
        f"servers       {', '.join(shown['servers']) or none}",
        f"service       {state}, {boot}",
        f"floor         {date_text(shown['floor_ns'])}",
    ]
    lines += _rounds(shown) + _jump(shown["held_jump"]) + _kernel(shown["kernel"])
    last = shown["last"]
    if last:
        lines.append(f"last answer   {last.get('text', '')}")
        lines += [_server(server) for server in last.get("servers", ())]
    return lines


def _synchronized(shown: dict[str, Any]) -> str:
    trust = shown["trust"]
    if trust is None:
        return "no"
    by = f" by {', '.join(trust['by'])}" if trust["by"] else ""
    since = date_text(trust["since_ns"])
    return f"yes, {trust['level']}{by}, since {since}, within {trust['error_ns'] / SECOND:.6f} s"


def _rounds(shown: dict[str, Any]) -> list[str]:
    heard, due = shown["heard_ago_s"], shown["next_round_in_s"]
    if not shown["running"]:
        return []
    ago = "never" if heard is None else f"{heard:.0f} s ago"
    after = "now" if due is None else f"in {due:.0f} s"
    return [f"rounds        last successful one {ago}, next one {after}, every {shown['poll_s']} s"]


def _jump(jump: dict[str, Any] | None) -> list[str]:
    if not jump:
        return []
    offset = seconds(jump["offset_ns"])
    return [
        f"held jump     {offset} s, seen for {jump['seen_for_s']:.0f} s; "
        f"waits for {jump['waits_for']}"
    ]


def _kernel(kernel: dict[str, Any] | None) -> list[str]:
    if not kernel:
        return []
    state = "synchronised" if kernel["synchronized"] else "not synchronised"
    leap = f"; {_LEAPS[kernel['leap']]}" if kernel["leap"] in _LEAPS else ""
    return [
        f"kernel        {state}, error bound {kernel['error_ns'] / SECOND:.6f} s, "
        f"frequency {kernel['frequency_ppm']:+.3f} ppm{leap}"
    ]


def _server(server: dict[str, Any]) -> str:
    line = f"  {server['server']}: reach {server['reach']}"
    if "offset_ns" in server:
        line += (
            f", stratum {server['stratum']}, leap {server['leap']}, "
            f"offset {seconds(server['offset_ns'])} s, jitter {server['jitter_ns'] / SECOND:.9f} s"
        )
    return f"{line} ({server['why']})" if server["why"] else line
