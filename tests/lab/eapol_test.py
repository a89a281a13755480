"""Debian's eapol_test and ours, asked the same: what they conclude, in one form."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eapol.config import Config, text
from eapol.settings import Network
from lab import require
from lab.netns import Namespace
from lab.peers.freeradius import SECRET
from lab.process import Process

_ATTRIBUTE = re.compile(r"Attribute (\d+) \(([^)]*)\) length=(\d+)\n +Value: (.*)")
_KEYS = re.compile(r"MPPE keys OK: (\d+)  mismatch: (\d+)")
_UNSHOWN = ("Vendor-Specific", "EAP-Message", "Message-Authenticator")


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """`attributes` are names and values, as text, of the last Access-Accept."""

    exit_code: int
    keys: tuple[int, int] = (0, 0)
    attributes: frozenset[tuple[str, str]] = frozenset()
    output: str = field(default="", compare=False)
    document: dict[str, Any] = field(default_factory=dict, compare=False)


def configuration(folder: Path, network: Network, *, resume: bool = True, more: str = "") -> Path:
    """A file that both read. `more` are further lines of the network."""
    path = folder / "station.conf"
    written = text(Config(networks=(network,), fast_reauth=resume))
    if more:
        written = written.replace("network={\n", f"network={{\n\t{more}\n")
    path.write_text(written)
    return path


def theirs(namespace: Namespace, *options: str) -> Conclusion:
    """Raises: AssertionError if it does not end."""
    output, code = _run(namespace, [require.program("eapol_test"), *options], "eapol_test")
    accepts = output.split("(Access-Accept)")
    found = _ATTRIBUTE.findall(accepts[-1].partition("RADIUS packet matching")[0])
    shown = {
        (name.lower(), value.strip("'"))
        for _, name, _, value in (found if len(accepts) > 1 else ())
        if name not in _UNSHOWN
    }
    return Conclusion(
        exit_code=code,
        keys=_keys(output),
        attributes=frozenset(shown),
        output=output,
    )


def ours(namespace: Namespace, *options: str) -> Conclusion:
    argv = [sys.executable, "-m", "mgu.main", "eapol-test", "--json", *options]
    output, code = _run(namespace, argv, "eapol-test")
    found = re.search(r"^\{$.*", output, re.MULTILINE | re.DOTALL)  # behind what was warned of
    if code == 255 or found is None:
        return Conclusion(exit_code=code, output=output)
    document = json.loads(found[0])
    each = document["authentications"]
    assert document["exit_code"] == code
    agreed = [one["mppe_keys_agree"] for one in each]
    shown = {(a["name"].lower(), a["value"]) for a in each[-1]["attributes"]}
    shown = {(name, value) for name, value in shown if not name.startswith("ms-")}  # of a vendor
    return Conclusion(
        exit_code=code,
        keys=(agreed.count(True), agreed.count(False)),
        attributes=frozenset(shown if each[-1]["outcome"] == "accepted" else ()),
        output=output,
        document=document,
    )


def both(namespace: Namespace, *options: str) -> tuple[Conclusion, Conclusion]:
    """Theirs and ours; the secret is the server's unless `options` name another."""
    given: Sequence[str] = options if "-s" in options else (*options, "-s", SECRET)
    return theirs(namespace, *given), ours(namespace, *given)


def _keys(output: str) -> tuple[int, int]:
    found = _KEYS.search(output)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _run(namespace: Namespace, argv: Sequence[str], name: str) -> tuple[str, int]:
    with Process(argv, namespace=namespace, name=name) as process:
        code = process.wait()
        return process.text, code
