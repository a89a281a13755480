"""What localNTP prints about a round."""

import time

from ntp.messages import Outcome, Report, Verdict
from ntp.timestamp import SECOND
from ntp.trust import Trust
from wire.lean import Any, Final

SCHEMA_VERSION: Final = 1


def as_text(outcome: Outcome, action: str) -> str:
    """The result in one line, and a second one that names those who do not agree."""
    survivors = [report for report in outcome.servers if report.survivor]
    names = ", ".join(report.server for report in survivors)
    confidence = outcome.trust.level if outcome.trust else outcome.verdict.value
    done = "" if action == "none" else f"; {action}"
    lines = [
        f"offset {seconds(outcome.offset)} s, error bound {outcome.error / SECOND:.9f} s, "
        f"delay {outcome.delay / SECOND:.9f} s, from {names} ({confidence}){done}"
    ]
    if outcome.verdict is Verdict.UNCONFIRMED:
        date = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(outcome.date // SECOND))
        few = "one server" if len(survivors) == 1 else "too few of the servers configured"
        lines.append(f"note: {date} comes from {few} and is not confirmed")
    lines += [
        f"note: {report.server}: {report.why}" for report in outcome.servers if not report.survivor
    ]
    return "\n".join(lines)


def as_json(outcome: Outcome, action: str) -> str:
    """The result as one JSON object on one line."""
    import json

    return json.dumps(document(outcome, action))


def document(outcome: Outcome, action: str) -> dict[str, Any]:
    """The result for programs; durations in ns, dates in Unix ns."""
    usable = outcome.trust is not None
    return {
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
        "trust": trust_document(outcome.trust),
        "servers": [_server(report) for report in outcome.servers],
    }


def trust_document(trust: Trust | None) -> dict[str, Any] | None:
    """How far a date may be trusted, by whom, since when, within which error."""
    if trust is None:
        return None
    return {
        "level": str(trust.level),
        "by": list(trust.by),
        "since_ns": trust.since,
        "error_ns": trust.error,
    }


def seconds(duration: int) -> str:
    """A signed duration in ns as seconds with all its digits."""
    whole, rest = divmod(abs(duration), SECOND)
    return f"{'-' if duration < 0 else '+'}{whole}.{rest:09}"


def _server(report: Report) -> dict[str, Any]:
    sample = report.sample
    known: dict[str, Any] = {
        "server": report.server,
        "address": str(report.address) if report.address else None,
        "survivor": report.survivor,
        "why": report.why,
        "reach": f"{report.reach:03o}",
        "jitter_ns": report.jitter,
    }
    if sample:
        known |= {
            "offset_ns": sample.offset,
            "delay_ns": sample.delay,
            "error_ns": sample.error,
            "stratum": sample.stratum,
            "leap": sample.leap,
            "kernel_stamps": sample.by_kernel,
            "interleaved": sample.interleaved,
            "authenticated": sample.authenticated,
        }
    return known
