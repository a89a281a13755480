"""The command line that `mgu up` and `mgu down` share."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from mgu import exits
from mgu.boot import FLOOR, STAGES


def stage_names() -> tuple[str, ...]:
    """In the order of a boot."""
    return (FLOOR, *(stage.name for stage in STAGES))


class CommandParser(argparse.ArgumentParser):
    """Wrong usage exits with 64."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; '{self.prog} -h' tells more", file=sys.stderr)
        sys.exit(exits.USAGE)

    def checked_stages(self, given: Sequence[str]) -> frozenset[str]:
        """The stages meant: all if none was named."""
        for name in given:
            if name not in stage_names():
                self.error(f"there is no stage '{name}'; there are {', '.join(stage_names())}")
        return frozenset(given or stage_names())
