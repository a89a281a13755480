"""`mgu COMMAND ...`: every command and daemon of the gateway under one name.

The commands are imported when they run, so that each starts as fast as its own needs allow.
"""

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from mgu import exits
from mgu.hyphens import hyphened
from mgu.streams import mark_output, put_in_order, told
from wire.lean import Any, Final

COMMANDS: Final = {
    "up": "bring the gateway up: time, port, tunnel",
    "down": "take the gateway down, in reverse order",
    "localNTP": "set the clock from a time server",
    "net8021x": "configure port authentication",
    "wpa_cli": "query and control the supplicant",
    "ipsec": "create, start, stop and remove IPsec connections",
    "racoonctl": "query and control the keying daemon",
    "eapol-test": "authenticate at a RADIUS server, once or as a load",
    "setkey": "show and change the kernel's SAs and policies",
    "check": "check files of racoon, wpa_supplicant and other programs",
}
DAEMONS: Final = {
    "timed": "daemon: keep the clock right",
    "supplicant": "daemon: 802.1X supplicant",
    "iked": "daemon: IKEv1 keying",
    "supervise": "daemon: restart another daemon when it ends, without an init system",
}

# What has another name here
HISTORIC: Final = {
    "wpa_supplicant": "supplicant",
    "racoon": "iked",
    "eapol_test": "eapol-test",
}

_SELDOM: Final = 50_000  # new objects between two looks of the collector


def usage() -> str:
    summaries = COMMANDS | DAEMONS
    width = max(map(len, summaries))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in summaries.items()]
    return "\n".join(["usage: mgu COMMAND ...   ('mgu COMMAND -h' shows more)", "", *lines])


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return exits.OK if arguments else exits.USAGE
    name = arguments[0]
    arguments[1:] = hyphened(arguments[1:], until_a_word=name in ("wpa_cli", "racoonctl"))
    if name in COMMANDS:
        result: int = _imported(f"mgu.commands.{name.lower().replace('-', '_')}").main(
            arguments[1:]
        )
    elif name in DAEMONS:
        result = _imported(f"mgu.daemons.{name}").main(arguments[1:])
    else:
        print(f"mgu: there is no command '{name}'; 'mgu -h' lists them", file=sys.stderr)
        return exits.USAGE
    return result


def _imported(name: str) -> Any:
    """The module, without the collector's many looks at what is imported: they find nothing, and
    take 2 ms. What is there now stays out of its sight.
    """
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def program() -> int:
    """The installed scripts: `mgu`, and the historic names, each of which is a command.

    A command leaves at once: the interpreter would take 3 ms to take itself apart. Until then the
    collector looks seldom: at what is imported late it would look for 2 to 5 ms, in vain.
    """
    put_in_order()
    called = os.path.basename(sys.argv[0])
    called = HISTORIC.get(called, called)
    arguments = sys.argv[1:]
    if called in COMMANDS or called in DAEMONS:
        arguments.insert(0, called)
    name = arguments[0] if arguments else "mgu"
    if name in DAEMONS:
        return told(lambda: main(arguments), name)
    mark_output()
    gc.set_threshold(_SELDOM)
    os._exit(told(lambda: main(arguments), name))


if __name__ == "__main__":
    sys.exit(program())
