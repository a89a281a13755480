"""`ipsec`: create, start, stop, remove and list IPsec connections (manual, 6.1)."""

import sys
from collections.abc import Sequence

from mgu import exits
from mgu.commands.ipsec_options import check_usage, parser
from mgu.paths import RACOON_DIR, located


def main(argv: Sequence[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(argv)
    check_usage(made, options)
    from mgu.commands.ipsec_acts import act  # late: the help needs none of it
    from mgu.connections.connection import BadConnection
    from mgu.services import ServiceError

    try:
        act(options)
    except PermissionError as error:
        name = error.filename or located(RACOON_DIR)
        print(f"ipsec: {name}: no permission; run this command as root", file=sys.stderr)
        return exits.NO_PERMISSION
    except (BadConnection, ServiceError) as error:
        print(f"ipsec: {error}", file=sys.stderr)
        return exits.FAILED
    except OSError as error:
        print(f"ipsec: {error.filename or 'racoon'}: {error.strerror}", file=sys.stderr)
        return exits.FAILED
    return exits.OK
