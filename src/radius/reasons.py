"""Why a request has no answer, as one sentence that says what to do."""

from collections import Counter

from radius.errors import Fault
from radius.events import Cause, Server


def reason(
    server: Server, faults: Counter[Fault], refusals: int, broke: str, seconds: float
) -> tuple[Cause, str]:
    """The likeliest cause first: what came and was no answer says more than silence."""
    if faults[Fault.NO_MESSAGE_AUTHENTICATOR]:
        return Cause.UNSIGNED, (
            f"{server} answers without Message-Authenticator, which an on-path attacker can forge"
            " (CVE-2024-3596); update the server, or allow it if this is a laboratory"
        )
    if faults:
        fault, count = faults.most_common(1)[0]
        return Cause.UNPROVEN, (
            f"{server} sent {count} answer{'s' * (count > 1)} that cannot be accepted:"
            f" {fault.value}; is the secret the same on both sides?"
        )
    if refusals:
        return Cause.REFUSED, (
            f"{server} refuses: no program listens at this port; is the server running, and is"
            " this its port for authentication?"
        )
    if broke:
        return Cause.UNREACHABLE, f"{server} cannot be asked: {broke}"
    return Cause.SILENT, (
        f"no answer from {server} within {round(seconds, 1):g} s; is the address right, does a"
        " packet filter drop UDP, does the server know this client's address, and is the secret the"
        " same? A server with another secret does not answer; see its log"
    )
