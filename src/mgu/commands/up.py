"""Bring the gateway up from its files: floor time, NTP, port, tunnel; one line for each."""

import argparse
import sys
from collections.abc import Sequence

from mgu import boot, exits
from mgu.arguments import Parser
from mgu.boot import FLOOR, STAGES, Report
from mgu.commands.stages import add_stages, checked_stages
from wire.lean import Final

NOT_RUNNING: Final = 3  # what LSB has for the `status` of an init script

EPILOG = """\
A stage that is not configured is skipped. One that is not up within its limit is reported and keeps
trying, and the next is started. A stage that is up already is not changed.

exit codes: 0 everything that is configured is up, 1 something is not, 3 with --status: something
that is configured, or a stage that is named, does not run, 4 no permission, 64 usage, 130 Ctrl-C
"""


def _parser() -> Parser:
    parser = Parser("mgu up", description=__doc__ or "", epilog=EPILOG)
    add_stages(parser)
    parser.add_argument(
        "--status", action="store_true", help="show the state of the stages, change nothing"
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        metavar="SECONDS",
        help="wait at most so many seconds for each stage (default: 30 for time and port)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    wanted = checked_stages(parser, options.stages)
    if options.status:
        reports = [boot.look_at(stage) for stage in STAGES if stage.name in wanted]
        for report in reports:
            print(report)
        return NOT_RUNNING if _is_down(reports, options.stages) else exits.OK
    from mgu import logs  # late: to look takes no log

    logs.setup("mgu", stderr=False)
    try:
        failed = _bring_up(wanted, options.wait)
    except PermissionError as error:
        print(f"mgu up: {error}; run it as root", file=sys.stderr)
        return exits.NO_PERMISSION
    return exits.FAILED if failed else exits.OK


def _bring_up(wanted: frozenset[str], limit: float | None) -> bool:
    """Whether a stage failed. The time is not kept before it was raised to the floor."""
    failed = False
    if FLOOR in wanted or boot.TIME.name in wanted:
        report = boot.raise_to_floor()
        print(report, flush=True)
        failed |= report.failed
    for stage in STAGES:
        if stage.name in wanted:
            report = boot.bring_up(stage, limit)
            print(report, flush=True)
            failed |= report.failed
    return failed


def _is_down(reports: Sequence[Report], asked_for: Sequence[str]) -> bool:
    """Of all stages those count that are configured; one that is asked for has to run."""
    return any(
        report.failed or (report.stage in asked_for and report.text == boot.NOT_CONFIGURED)
        for report in reports
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not '{text}'")
    return seconds
