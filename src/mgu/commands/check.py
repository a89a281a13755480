"""Check files of racoon, setkey, wpa_supplicant, ntpd or chrony: what has no effect, and why."""

import argparse
import sys
from collections.abc import Sequence

from mgu import exits
from mgu.arguments import Parser
from mgu.check.kinds import BY_NAME
from mgu.check.report import REFUSED, Report
from wire.lean import Final

IN_PART: Final = 3

EPILOG: Final = """\
Each file is read as the daemon reads it. A line for each finding, with its place:
  refused         the file, or this part of it, is not read; the line is shown
  not honoured    this has no effect here, and the other program honours it
  read differently  it means something else to the other program
  attention       it works, but should be checked

Nothing is changed. File names in racoon.conf are resolved as iked does.

exit codes: 0 all is read and honoured, 1 a file is refused or cannot be read, 3 a part of a file
is not honoured, or is read differently, 64 usage, 130 Ctrl-C
"""


def _parser() -> Parser:
    parser = Parser("mgu check", description=__doc__ or "", epilog=EPILOG)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--as", dest="kind", choices=list(BY_NAME), help="what the files are")
    parser.add_argument("--json", action="store_true", help='print JSON: {"files": [...]}')
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    from mgu.check.readers import check  # late: the help needs no reader

    reports = [check(name, options.kind) for name in options.files]
    _print(options, reports)
    verdicts = {report.verdict for report in reports}
    if REFUSED in verdicts:
        return exits.FAILED
    return IN_PART if "in part" in verdicts else exits.OK


def _print(options: argparse.Namespace, reports: Sequence[Report]) -> None:
    if options.json:
        import json

        json.dump({"files": [_plain(report) for report in reports]}, sys.stdout, indent=2)
        print()
        return
    for report in reports:
        whose = f" ({report.program})" if report.program else ""
        facts = f": {'; '.join(report.facts)}" if report.facts else ""
        print(f"{report.file}: {report.kind}{whose}{facts}")
        for finding in report.findings:
            print(finding)
        print(f"{report.file}: {_verdict(report)}")


def _verdict(report: Report) -> str:
    if report.verdict == REFUSED:
        return "is refused"
    count = len(report.findings)
    if not count:
        return "is read, and all of it is honoured"
    return f"is read; {count} finding{'s' if count > 1 else ''}"


def _plain(report: Report) -> dict[str, object]:
    return {
        "file": report.file,
        "kind": report.kind,
        "program": report.program,
        "verdict": report.verdict,
        "facts": list(report.facts),
        "findings": [
            {
                "what": finding.what,
                "file": finding.file,
                "line": finding.line,
                "column": finding.column,
                "text": finding.text,
            }
            for finding in report.findings
        ],
    }
