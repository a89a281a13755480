"""Take the gateway down: tunnel, port, NTP; one line for each."""

import sys
from collections.abc import Sequence

from mgu import boot, exits
from mgu.arguments import Parser
from mgu.boot import STAGES
from mgu.commands.stages import add_stages, checked_stages

EPILOG = """\
The peers are notified: racoon sends a delete for each of its SAs, the supplicant sends
EAPOL-Logoff. The next boot, or 'mgu up', brings everything up again. A stage that does not
run is skipped.

exit codes: 0 everything is down, 1 something could not be stopped, 4 no permission, 64 usage
"""


def _parser() -> Parser:
    parser = Parser("mgu down", description=__doc__ or "", epilog=EPILOG)
    add_stages(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    wanted = checked_stages(parser, parser.parse_args(argv).stages)
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
