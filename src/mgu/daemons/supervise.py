"""mgu supervise: restart a daemon when it ends. 'mgu up' runs it without an init system."""

from collections.abc import Sequence
from pathlib import Path

from mgu.arguments import Parser
from mgu.services.supervise import Supervisor

_EPILOG = """\
exit codes: 0 stopped by SIGTERM, or the daemon's where another start would not change it
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("mgu supervise", description=__doc__ or "", epilog=_EPILOG)
    add = parser.add_argument
    add("--pid-file", type=Path, required=True, metavar="FILE", help="where its pid is written")
    add("--log", type=Path, required=True, metavar="FILE", help="where its output goes")
    add("name", help="of the service")
    add("command", nargs="+", help="the daemon, in the foreground")
    options = parser.parse_args(argv)
    return Supervisor(options.name, options.command, options.pid_file, options.log).run()
