"""`mgu eapol-test`, called `eapol_test` too: authenticate at a RADIUS server, without a switch."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from mgu.eapoltest.options import FAILED, parser
from wire.lean import Final

_NEEDED: Final = "pyrad"


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    if find_spec(_NEEDED) is None:
        what = f"RADIUS needs {_NEEDED}, which is not installed"
        print(f"eapol-test: {what}; pip install 'mgusec[radius]'", file=sys.stderr)
        return FAILED
    from mgu.eapoltest import run  # late: -h and a mistake need none of it

    return run.main(options)
