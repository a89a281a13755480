"""`setkey`: show and change the kernel's SAs and policies, as setkey(8) of ipsec-tools does."""

import argparse
import errno
import sys
from collections.abc import Sequence

from mgu import exits
from mgu.arguments import Parser
from wire.lean import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mgu.commands.setkey_calls import Opener

_USAGE: Final = """\
setkey [-knrv] FILE ...      execute the statements of the files
       setkey [-knrv] -f FILE       the same
       setkey [-knrv] -c            the same, from standard input
       setkey [-alNpP] -D           show the SAs (with -P: the policies)
       setkey -D --explain          describe both, without keys, with warnings
       setkey [-P] -F               delete all SAs (with -P: all policies), of all programs
       setkey [-H] -x               print what happens to SAs and policies, until interrupted"""

_EPILOG: Final = """\
exit codes: 0 done; 1 a statement is wrong or was refused (the others were executed if the
whole file could be read); 4 not permitted (this needs root); 64 wrong usage.

A file looks like this:
  add 10.0.0.1 10.0.0.2 esp 0x10001 -E aes-cbc 0x... -A hmac-sha1 0x...;
  spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//require;
An `in` policy also adds a `fwd` policy, unless -k is given."""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "setkey",
        usage=_USAGE,
        description="Show and change the kernel's SAs and policies, as setkey of ipsec-tools does.",
        epilog=_EPILOG,
        add_help=False,
        prefix_chars="-+",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("-c", dest="stdin", action="store_true", help="read standard input")
    what.add_argument("-f", dest="files", metavar="FILE", action="append", help="read FILE")
    what.add_argument("-D", dest="dump", action="store_true", help="show SAs")
    what.add_argument("-F", dest="flush", action="store_true", help="delete all SAs")
    what.add_argument("-x", dest="monitor", action="store_true", help="print events")
    what.add_argument("-h", "-?", "--help", action="help", help="show this text")
    what.add_argument("-V", "--version", dest="version", action="store_true", help="the version")
    flag = parser.add_argument
    flag("-P", "+P", dest="policies", action="store_true", help="with -D and -F: the policies")
    flag("--explain", action="store_true", help="with -D: a description, with warnings")
    flag("-a", action="store_true", help="dead SAs too (Linux keeps none)")
    flag("-l", dest="loop", action="store_true", help="with -D: one line each, every second")
    flag("-p", dest="ports", action="store_true", help="with -DP: ports of tunnel end points")
    flag("-N", dest="no_sockets", action="store_true", help="with -DP: no per-socket policies")
    flag(
        "-H",
        dest="hexadecimal",
        action="store_true",
        help="with -x: also the octets of the messages",
    )
    flag("-n", dest="dry_run", action="store_true", help="check the input and change nothing")
    flag("-k", dest="kernel", action="store_true", help="no `fwd` policy for an `in` one")
    flag("-r", dest="rfc", action="store_true", help="undo -k; this is the default")
    flag("-v", dest="verbose", action="store_true", help="print the number of statements")
    flag("names", metavar="FILE", nargs="*", help="read FILE; the same as -f")
    return parser


def main(argv: Sequence[str] | None = None, opener: "Opener | None" = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.version:
        from importlib.metadata import version

        print(f"setkey (mgusec {version('mgusec')})")
        return exits.OK
    files: list[str] = [*(options.files or []), *options.names]
    if not (options.stdin or options.dump or options.flush or options.monitor or files):
        parser.error("nothing to do: -c, -f FILE, -D, -F or -x")
    if options.stdin and files:
        parser.error(f"-c reads standard input, and {files[0]} is a file: leave one of them out")
    from mgu.commands.setkey_calls import call  # late: the help needs none of it
    from xfrm.dataplane import XfrmError

    try:
        return call(options, files, opener)
    except XfrmError as error:
        print(f"setkey: {error}", file=sys.stderr)
        return exits.NO_PERMISSION if error.code == errno.EPERM else exits.FAILED
