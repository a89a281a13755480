"""Take the gateway down: tunnel, port, NTP; one line for each."""

import argparse
import sys
from collections.abc import Sequence

from mgu import boot, exits
from mgu.boot import STAGES
from mgu.commands.arguments import CommandParser, stage_names

EPILOG = """\
The peers are told: racoon deletes its SAs, the supplicant logs off. The next boot, or 'mgu up',
brings everything up again. What does not run is left as it is.

exit codes: 0 everything is down, 1 something could not be stopped, 4 no permission, 64 usage
"""


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="mgu down",
        description=__doc__,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "stages",
        nargs="*",
        metavar="STAGE",
        help=f"only these, of {', '.join(stage_names())} (default: all)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    wanted = parser.checked_stages(parser.parse_args(argv).stages)
    failed = False
    try:
        for stage in reversed(STAGES):
            if stage.name in wanted:
                report = boot.take_down(stage)
                print(report, flush=True)
                failed |= report.failed
    except PermissionError as error:
        print(f"mgu down: {error}; run it as root", file=sys.stderr)
        return exits.NO_PERMISSION
    return exits.FAILED if failed else exits.OK


if __name__ == "__main__":
    sys.exit(main())
