"""What people and machines read of authentications: text, JSON, JUnit, certificates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from mgu.eapoltest.session import Outcome, Result
from radius.events import Server

SCHEMA_VERSION: Final = 1


def exit_code(results: Sequence[Result]) -> int:
    """That of the first authentication that failed."""
    return next((each.outcome.exit_code for each in results if not _good(each)), 0)


def lines(result: Result) -> list[str]:
    """One authentication for people."""
    spent = f"{1000 * result.seconds:.1f} ms, {result.rounds} Access-Requests"
    tls = result.tls
    if result.method is not None:
        over = f", {tls.version}, {tls.cipher}{', resumed' if tls.resumed else ''}" if tls else ""
        spent = f"EAP-{result.method}{over}, {spent}"
    shown = [f"{'SUCCESS' if _good(result) else 'FAILURE'} ({spent})"]
    if result.reason:
        shown.append(f"  why: {result.reason}")
    shown += (f"  {name} = {value}" for name, value in result.attributes)
    return shown


def summary(results: Sequence[Result]) -> list[str]:
    """The last two lines, in eapol_test's words."""
    agreed = sum(result.keys is True for result in results)
    differ = sum(result.keys is False for result in results)
    good = exit_code(results) == 0
    return [f"MPPE keys OK: {agreed}  mismatch: {differ}", "SUCCESS" if good else "FAILURE"]


def document(results: Sequence[Result], servers: Sequence[Server]) -> dict[str, Any]:
    """As docs/eapol-test.schema.json says."""
    return {
        "schema_version": SCHEMA_VERSION,
        "success": exit_code(results) == 0,
        "exit_code": exit_code(results),
        "servers": [str(server) for server in servers],
        "authentications": [_object(result, servers) for result in results],
    }


def _object(result: Result, servers: Sequence[Server]) -> dict[str, Any]:
    tls = result.tls
    return {
        "outcome": result.outcome.value,
        "reason": result.reason,
        "milliseconds": round(1000 * result.seconds, 3),
        "access_requests": result.rounds,
        "server": str(servers[result.server]) if result.server is not None else None,
        "method": result.method,
        "tls": None
        if tls is None
        else {"version": tls.version, "cipher": tls.cipher, "resumed": tls.resumed},
        "mppe_keys_agree": result.keys,
        "eap_key_name_agrees": result.key_name,
        "reply_message": result.message,
        "attributes": [{"name": name, "value": value} for name, value in result.attributes],
    }


def junit(results: Sequence[Result], name: str) -> bytes:
    """One test case an authentication."""
    failed = sum(not _good(result) for result in results)
    seconds = sum(result.seconds for result in results)
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": f"eapol-test {name}", "tests": str(len(results)), "failures": str(failed),
            "errors": "0", "time": f"{seconds:.6f}",
        },
    )  # fmt: skip
    for number, result in enumerate(results, 1):
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {
                "classname": "eapol-test", "name": f"authentication {number}",
                "time": f"{result.seconds:.6f}",
            },
        )  # fmt: skip
        if not _good(result):
            why = _printable(result.reason)
            failure = {"type": result.outcome.value, "message": why}
            ElementTree.SubElement(case, "failure", failure).text = why
    octets: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return octets + b"\n"


def pem(results: Sequence[Result]) -> bytes:
    """The server's chain as it came in the first authentication that had one."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = next((result.certificates for result in results if result.certificates), ())
    shown = (x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in chain)
    return b"".join(shown)


def folder_missing(path: Path | None) -> str | None:
    """Said before the authentication, whose result would be lost."""
    if path is not None and not path.parent.is_dir():
        return f"{path}: its directory does not exist"
    return None


def _printable(text: str) -> str:
    """XML has no way to write most control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _good(result: Result) -> bool:
    return result.outcome is Outcome.ACCEPTED
