"""The stages that `mgu up` and `mgu down` are given."""

from collections.abc import Sequence

from mgu.arguments import Parser
from mgu.boot import FLOOR, STAGES


def stage_names() -> tuple[str, ...]:
    """In the order of a boot."""
    return (FLOOR, *(stage.name for stage in STAGES))


def add_stages(parser: Parser) -> None:
    parser.add_argument(
        "stages",
        nargs="*",
        metavar="STAGE",
        help=f"only these, of {', '.join(stage_names())} (default: all)",
    )


def checked_stages(parser: Parser, given: Sequence[str]) -> frozenset[str]:
    """The stages meant: all if none was named. Wrong ones are wrong usage."""
    for name in given:
        if name not in stage_names():
            parser.error(f"there is no stage '{name}'; there are {', '.join(stage_names())}")
    return frozenset(given or stage_names())
