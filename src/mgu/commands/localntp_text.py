"""What localNTP prints about a round."""

import time

from ntp.messages import Outcome, Report, Verdict
from ntp.timestamp import SECOND
from wire.lean import Any, Final

SCHEMA_VERSION: Final = 1


def as_text(outcome: Outcome, action: str) -> str:
    """The result in one line, and a second one that names those who do not agree."""
    survivors = [report for report in outcome.servers if report.survivor]
    names = ", ".join(report.server for report in survivors)
    confidence = "authenticated" if outcome.authenticated else outcome.verdict.value
    done = "" if action == "none" else f"; {action}"
    lines = [
        f"offset {seconds(outcome.offset)} s, error bound {outcome.error / SECOND:.9f} s, "
        f"delay {outcome.delay / SECOND:.9f} s, from {names} ({confidence}){done}"
    ]
    if outcome.verdict is Verdict.UNCONFIRMED:
        date = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(outcome.date // SECOND))
        lines.append(f"note: {date} is the word of one server; nobody confirms it")
    lines += [
        f"note: {report.server}: {report.why}" for report in outcome.servers if not report.survivor
    ]
    return "\n".join(lines)


def as_json(outcome: Outcome, action: str) -> str:
    """The result as one JSON object on one line; durations in ns, dates in Unix ns."""
    import json

    usable = outcome.verdict.usable
    document = {
        "schema_version": SCHEMA_VERSION,
        "verdict": outcome.verdict.value,
        "why": outcome.why,
        "action": action,
        "offset_ns": outcome.offset if usable else None,
        "error_ns": outcome.error if usable else None,
        "delay_ns": outcome.delay if usable else None,
        "date_ns": outcome.date if usable else None,
        "leap": outcome.leap,
        "authenticated": outcome.authenticated,
        "servers": [_server(report) for report in outcome.servers],
    }
    return json.dumps(document)


def seconds(duration: int) -> str:
    """A signed duration in ns as seconds with all its digits."""
    whole, rest = divmod(abs(duration), SECOND)
    return f"{'-' if duration < 0 else '+'}{whole}.{rest:09}"


def _server(report: Report) -> dict[str, Any]:
    sample = report.sample
    document: dict[str, Any] = {
        "server": report.server,
        "address": str(report.address) if report.address else None,
        "survivor": report.survivor,
        "why": report.why,
    }
    if sample:
        document |= {
            "offset_ns": sample.offset,
            "delay_ns": sample.delay,
            "error_ns": sample.error,
            "stratum": sample.stratum,
            "leap": sample.leap,
            "kernel_stamps": sample.by_kernel,
            "interleaved": sample.interleaved,
            "authenticated": sample.authenticated,
        }
    return document
