"""localNTP: set the gateway's clock from local time servers, and keep it so."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence

from mgu import clock as gateway_clock
from mgu import exits, timeconf, timekeeping
from mgu.arguments import Parser
from ntp.client import Client
from ntp.conf import FARTHEST, LARGEST_CHANGE, MOST_SOURCES, is_number
from ntp.errors import ConfigurationError
from ntp.messages import Outcome, Verdict
from ntp.peers import peers
from ntp.sample import STEPT
from ntp.system import oneshot
from ntp.system.errors import ClockRefused, NotPermitted
from ntp.system.exchange import stamping
from ntp.timestamp import SECOND
from ntp.trust import Level, Trust
from ntp.turn import Policy
from wire.lean import Final
from wire.record import replace

SERVICE: Final = "localntp"
NO_MAJORITY: Final = 2
REFUSED: Final = 3

EXITS: Final = {
    Verdict.AGREED: exits.OK,
    Verdict.UNCONFIRMED: exits.OK,
    Verdict.NO_ANSWER: exits.FAILED,
    Verdict.NO_MAJORITY: NO_MAJORITY,
    Verdict.REFUSED: REFUSED,
}

_EPILOG: Final = """\
examples:
  localNTP -a -n 192.168.1.10        set the clock now, and at every boot, from this server
  localNTP -n 192.168.1.10 --dry-run show how wrong the clock is; change nothing
  localNTP -a -n A -n B -n C         set the date that two of three agree on
  localNTP -a --pool ntp.example.net the same, from the servers that the name resolves to
  localNTP -s                        show the configuration and the state of the clock
  localNTP --wait 60                 end with 0 once the service has set the date right

exit codes: 0 set or shown, 1 no answer (--wait: the date is not right in time), 2 no majority among
the servers, 3 refused (the date is before the floor, the server refuses requests, or the
authentication fails), 4 no permission, 64 usage.

files: /etc/localntp.conf, /etc/localntp.keys, /var/lib/mgu/localntp/time (the date saved last),
/run/mgu/localntp/synchronized (how far the date may be trusted; it exists once the date is right).
If a server's right date is refused because the floor is wrong, remove the date saved last.
"""


def _duration(most: float) -> Callable[[str], float]:
    def seconds(text: str) -> float:
        with contextlib.suppress(ValueError):
            if 0 < (value := float(text)) <= most:
                return value
        what = f"must be more than 0 and at most {most:g} seconds, not '{text}'"
        raise argparse.ArgumentTypeError(what)

    return seconds


def _count(text: str) -> int:
    if is_number(text, MOST_SOURCES):
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number of 1 to {MOST_SOURCES}, not '{text}'")


def _patience(text: str) -> float:
    with contextlib.suppress(ValueError):
        if text == "infinity" or 0 <= float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"must be 0 or more seconds, or 'infinity', not '{text}'")


def _port(text: str) -> int:
    if is_number(text, 0xFFFF):
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number of 1 to 65535, not '{text}'")


def _parser() -> Parser:
    parser = Parser("localNTP", description=__doc__, epilog=_EPILOG)
    add = parser.add_mutually_exclusive_group().add_argument
    add("-a", action="store_true", dest="activate", help="set the clock, now and from now on")
    add("-d", action="store_true", dest="deactivate", help="stop the service; keep the file")
    add("-s", action="store_true", dest="status", help="show the state")
    wait = "wait at most so many seconds until the date is right ('infinity': no limit)"
    add("--wait", type=_patience, metavar="SECONDS", help=wait)
    add = parser.add_argument
    server = "time server: address or name (several allowed; default: those configured)"
    add("-n", action="append", dest="servers", default=[], metavar="SERVER", help=server)
    pool = "name that resolves to several time servers (several allowed)"
    add("--pool", action="append", dest="pools", default=[], metavar="NAME", help=pool)
    nts = "time server whose answers NTS must authenticate (several allowed)"
    add("--nts", action="append", default=[], metavar="NAME", help=nts)
    add("--nts-ca", metavar="FILE", help="CA certificates to trust for --nts (PEM)")
    add("--nts-port", type=_port, default=4460, metavar="N", help="TCP port for --nts (4460)")
    add("--keys", metavar="FILE", help="symmetric keys, as ntpd and chrony write them")
    key = "number of the key for the -n servers (default: the first)"
    add("--key", type=int, metavar="ID", help=key)
    add("--allow-md5", action="store_true", help="accept keys for MD5, too")
    add("--port", type=_port, default=123, metavar="N", help="UDP port of the servers (123)")
    few = "set nothing unless N servers agree (1)"
    add("--minsources", type=_count, metavar="N", help=few)
    far = "ignore a server that may be S seconds wrong or more (1.5)"
    add("--maxdistance", type=_duration(FARTHEST), metavar="S", help=far)
    much = "change a date that was right by at most S seconds"
    add("--maxchange", type=_duration(LARGEST_CHANGE), metavar="S", help=much)
    add("--dry-run", action="store_true", help="show the offset; change nothing")
    add("--json", action="store_true", help="print the result as one JSON object")
    timeout = "wait S seconds at most (5)"
    add("--timeout", type=_duration(3600), default=5.0, metavar="S", help=timeout)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        if options.status:
            from mgu.commands import localntp_status

            return localntp_status.show(as_json=options.json)
        if options.wait is not None:
            from mgu.commands import localntp_status

            return localntp_status.wait(options.wait)
        if options.deactivate:
            return _deactivate()
        with stamping():  # it is on by the time that all is read and made
            return _run(parser, options)
    except ConfigurationError as error:
        return _say(str(error), exits.USAGE)
    except NotPermitted as error:
        return _say(str(error), exits.NO_PERMISSION)
    except ClockRefused as error:
        return _say(str(error), REFUSED)
    except PermissionError as error:
        return _say(f"{error.filename}: permission denied; run it as root", exits.NO_PERMISSION)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror}", exits.FAILED)


def _say(text: str, code: int) -> int:
    print(f"localNTP: {text}", file=sys.stderr)
    return code


def _run(parser: Parser, options: argparse.Namespace) -> int:
    setup = _setup(parser, options)
    for notice in setup.notices:
        print(f"localNTP: warning: {notice}", file=sys.stderr)
    floor = timekeeping.floor()
    made = peers(
        setup.configuration.servers,
        setup.keys,
        entropy=os.urandom,
        pivot=floor.released,
        timeout=options.timeout,
        allow_md5=setup.configuration.allow_md5,
    )
    policy = Policy(
        timeout=options.timeout,
        maxdistance=setup.configuration.maxdistance,
        minsources=setup.configuration.minsources,
    )
    client = Client(made, floor=floor, policy=policy)
    if options.dry_run:
        outcome = oneshot.run(client, gateway_clock.shift_ns(), setup.configuration.ca)
        return _report(outcome, "none", as_json=options.json)
    if options.activate:
        timeconf.install(setup)
        for rival in timekeeping.rivals():
            print(f"localNTP: warning: {rival}", file=sys.stderr)
    clock = timekeeping.gateway_clock()
    timekeeping.raise_to_floor(clock)
    outcome = oneshot.run(client, clock.shift, setup.configuration.ca)
    action = "none"
    if outcome.trust:
        outcome = _bounded(outcome, setup.configuration.maxchange)
    if outcome.trust:
        step = abs(outcome.offset) >= STEPT
        action = timekeeping.set_clock(clock, outcome, outcome.trust, step=step)
        _keep(outcome.trust, clock.now())
    code = _report(outcome, action, as_json=options.json, goes_on=options.activate)
    return max(code, _activate()) if options.activate else code


def _bounded(outcome: Outcome, maxchange: float | None) -> Outcome:
    """The outcome, refused if it would move a date that was right too far."""
    if maxchange is None or abs(outcome.offset) <= maxchange * SECOND or not timekeeping.trust():
        return outcome
    why = (
        f"the clock was right; the servers say that it is {outcome.offset / SECOND:+.3f} s off, "
        f"more than maxchange, {maxchange:g} s; if that is true, give a larger --maxchange"
    )
    return replace(outcome, verdict=Verdict.REFUSED, why=why, trust=None)


def _keep(trust: Trust, date: int) -> None:
    """Tell that the date is right, and save it if it is more than one server's word.

    The clock is set by now; a full or read-only disk is named, and takes nothing away.
    """
    try:
        timekeeping.mark_right(trust)
        if trust.level is not Level.UNCONFIRMED:
            timekeeping.save(date - trust.error)
    except OSError as error:
        print(f"localNTP: warning: {error.filename}: {error.strerror}", file=sys.stderr)


def _report(outcome: Outcome, action: str, *, as_json: bool, goes_on: bool = False) -> int:
    """Say what came of it; returns the exit code. `goes_on`: the service will ask again."""
    from mgu.commands import localntp_text

    code = EXITS[outcome.verdict]
    if as_json:
        print(localntp_text.as_json(outcome, action))
    elif outcome.verdict.usable:
        print(localntp_text.as_text(outcome, action))
    if outcome.verdict.usable:
        return code
    return _say(outcome.why + ("; the service keeps trying" if goes_on else ""), code)


def _is_given(options: argparse.Namespace) -> bool:
    """Whether the command line names servers."""
    return bool(options.servers or options.pools or options.nts)


def _setup(parser: Parser, options: argparse.Namespace) -> timeconf.Setup:
    """What to ask: the command line's servers, else the configured ones; and with what limits."""
    if _is_given(options):
        setup = _given(options)
    else:
        setup = timeconf.installed()
        if not setup.configuration.servers:
            parser.error("no server is given (-n), and none is configured")
    limits = {
        name: value
        for name in ("minsources", "maxdistance", "maxchange", "allow_md5")
        if (value := getattr(options, name))
    }
    if not limits:
        return setup
    return replace(setup, configuration=replace(setup.configuration, **limits))


def _given(options: argparse.Namespace) -> timeconf.Setup:
    return timeconf.given(
        hosts=options.servers,
        pools=options.pools,
        port=options.port,
        nts=options.nts,
        nts_port=options.nts_port,
        ca=options.nts_ca or "",
        keys=options.keys or "",
        key=options.key,
    )


def _activate() -> int:
    """Have the service run, now and at every boot, with what was just configured."""
    from mgu import services

    return _serviced(services.enable, services.stop, services.start)


def _deactivate() -> int:
    from mgu import services

    return _serviced(services.disable, services.stop)


def _serviced(*actions: Callable[[str], None]) -> int:
    from mgu.services import ServiceError

    try:
        for action in actions:
            action(SERVICE)
    except ServiceError as error:
        return _say(str(error), exits.FAILED)
    return exits.OK
