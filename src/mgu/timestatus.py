"""The status of `mgu timed`: /run/mgu/localntp/status.json, written after every round.

Times that pass are seconds before or after the writing, which is dated by CLOCK_BOOTTIME: the date
itself may jump, and a reader wants to know what is true now.
"""

import json
import time

from mgu.commands.localntp_text import as_text, document
from mgu.paths import TIME_STATUS, under_root
from ntp.messages import Outcome
from ntp.service import State
from wire.files import LARGEST, read, write_whole
from wire.lean import Any


def write(state: State, outcome: Outcome | None, action: str, now: float) -> str:
    """Write how things are `now` (monotonic s). Returns: it in one line. Raises: OSError."""
    text = _line(state, outcome, action)
    shown = document(outcome, action) if outcome else {}
    jump = state.jump
    shown |= {
        "text": text,
        "boottime": time.clock_gettime(time.CLOCK_BOOTTIME),
        "heard_ago_s": None if state.heard is None else now - state.heard,
        "next_round_in_s": None if state.next_round is None else state.next_round - now,
        "poll_s": 2**state.poll,
        "held_jump": jump
        and {
            "offset_ns": jump.offset,
            "seen_for_s": now - jump.since,
            "waits_for": jump.waits_for,
        },
    }
    write_whole(under_root(TIME_STATUS), json.dumps(shown).encode())
    return text.partition("\n")[0]


def read_now() -> dict[str, Any]:
    """What was written last, its passing times as of now; empty if nothing can be read."""
    try:
        shown = json.loads(read(under_root(TIME_STATUS), LARGEST))
        passed = time.clock_gettime(time.CLOCK_BOOTTIME) - float(shown["boottime"])
        if shown["heard_ago_s"] is not None:
            shown["heard_ago_s"] += passed
        if shown["next_round_in_s"] is not None:
            shown["next_round_in_s"] = max(shown["next_round_in_s"] - passed, 0.0)
        if shown["held_jump"]:
            shown["held_jump"]["seen_for_s"] += passed
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return shown if isinstance(shown, dict) and passed >= 0 else {}


def _line(state: State, outcome: Outcome | None, action: str) -> str:
    if state.jump:
        return f"a jump of the clock is held back; it waits for {state.jump.waits_for}"
    if outcome is None:
        return "no answer yet"
    return as_text(outcome, action) if outcome.trust else outcome.why
