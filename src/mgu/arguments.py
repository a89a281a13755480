"""The argument parser of the commands: wrong usage is one sentence, and exit code 64."""

import argparse
import sys

from mgu import exits
from wire.lean import Final, NoReturn

_WIDTH: Final = 78


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Of a fixed width: to look at the terminal's costs every start 3 ms of imports."""
    return argparse.RawDescriptionHelpFormatter(prog, width=_WIDTH)


class Parser(argparse.ArgumentParser):
    """No abbreviated options; description and epilog are shown as they are written.

    A `usage` that is given is short enough to be shown with every mistake.
    """

    def __init__(
        self,
        prog: str,
        *,
        description: str = "",
        epilog: str = "",
        usage: str | None = None,
        add_help: bool = True,
        prefix_chars: str = "-",
    ) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            usage=usage,
            add_help=add_help,
            prefix_chars=prefix_chars,
            allow_abbrev=False,
            formatter_class=_formatter,
        )

    def error(self, message: str) -> NoReturn:
        if self.usage is not None:
            self.print_usage(sys.stderr)
        self.exit(exits.USAGE, f"{self.prog}: {message}; '{self.prog} -h' shows more\n")
