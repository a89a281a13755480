"""localNTP -s: what is configured, whether the service runs, and how right the clock is."""

import json
import sys
import time
from typing import Any, Final

from mgu import exits, services, timeconf, timekeeping
from mgu.paths import TIME_STATUS, TIME_SYNCHRONIZED, under_root
from ntp.timestamp import date_text

SCHEMA_VERSION: Final = 1
LOOK: Final = 0.05  # seconds between two looks


def show(*, as_json: bool) -> int:
    """Print the state. Raises: ConfigurationError; OSError."""
    clock = timekeeping.gateway_clock()
    document = {
        "schema_version": SCHEMA_VERSION,
        "date_ns": clock.now(),
        "floor_ns": timekeeping.floor(),
        "servers": [server.host for server in timeconf.configured().servers],
        "enabled": services.enabled("localntp"),
        "running": services.running("localntp"),
        "synchronized": under_root(TIME_SYNCHRONIZED).exists(),
        "last": _last(),
    }
    print(json.dumps(document) if as_json else _text(document))
    return exits.OK


def wait(seconds: float) -> int:
    """Until the date is right, `seconds` at most. Raises: ConfigurationError; OSError."""
    limit = time.monotonic() + seconds
    mark = under_root(TIME_SYNCHRONIZED)
    while not mark.exists():
        if time.monotonic() >= limit:
            return _not_right(f"the date is not right after {seconds:g} s; 'localNTP -s' says why")
        if not timeconf.configured().servers:
            return _not_right("nobody is asked for the time; do: localNTP -a -n ADDRESS")
        time.sleep(LOOK)
    return exits.OK


def _not_right(why: str) -> int:
    print(f"localNTP: {why}", file=sys.stderr)
    return exits.FAILED


def _last() -> dict[str, Any] | None:
    """What the service wrote after its last round."""
    try:
        last = json.loads(under_root(TIME_STATUS).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return last if isinstance(last, dict) else None


def _text(document: dict[str, Any]) -> str:
    state = "running" if document["running"] else "stopped"
    boot = "started at boot" if document["enabled"] else "not started at boot"
    lines = [
        f"date          {date_text(document['date_ns'])}",
        f"synchronized  {'yes' if document['synchronized'] else 'no'}",
        f"servers       {', '.join(document['servers']) or 'none configured (localNTP -a -n ...)'}",
        f"service       {state}, {boot}",
        f"floor         {date_text(document['floor_ns'])}",
    ]
    last = document["last"]
    if last:
        lines.append(f"last answer   {last.get('text', '')}")
    return "\n".join(lines)
