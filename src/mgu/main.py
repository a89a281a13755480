"""`mgu COMMAND ...`: every command and daemon of the gateway under one name.

The commands are imported when they run, so that each starts as fast as its own needs allow.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from mgu import exits
from mgu.streams import put_in_order, told


class Entry(NamedTuple):
    module: str
    summary: str


COMMANDS: Final = {
    "up": Entry("mgu.commands.up", "bring the gateway up: time, port, tunnel"),
    "down": Entry("mgu.commands.down", "take the gateway down, in reverse order"),
    "localNTP": Entry("mgu.commands.localntp", "set the clock from a time server"),
    "net8021x": Entry("mgu.commands.net8021x", "configure port authentication"),
    "wpa_cli": Entry("mgu.commands.wpa_cli", "ask the supplicant"),
    "ipsec": Entry("mgu.commands.ipsec", "create, start, stop and remove IPsec connections"),
    "racoonctl": Entry("mgu.commands.racoonctl", "ask the keying daemon"),
    "setkey": Entry("mgu.commands.setkey", "show and change the kernel's SAs and policies"),
    "timed": Entry("mgu.daemons.timed", "daemon: keep the clock right"),
    "supplicant": Entry("mgu.daemons.supplicant", "daemon: 802.1X supplicant"),
    "iked": Entry("mgu.daemons.iked", "daemon: IKEv1 keying"),
}

# Daemons that have another name here
HISTORIC: Final = {"wpa_supplicant": "supplicant", "racoon": "iked"}


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {entry.summary}" for name, entry in COMMANDS.items()]
    return "\n".join(["usage: mgu COMMAND ...   (mgu COMMAND -h tells more)", "", *lines])


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return exits.OK if arguments else exits.USAGE
    entry = COMMANDS.get(arguments[0])
    if entry is None:
        print(f"mgu: there is no command '{arguments[0]}'; 'mgu -h' lists them", file=sys.stderr)
        return exits.USAGE
    result: int = import_module(entry.module).main(arguments[1:])
    return result


def program() -> int:
    """The installed scripts: `mgu`, and the historic names, each of which is a command."""
    put_in_order()
    name = Path(sys.argv[0]).name
    name = HISTORIC.get(name, name)
    arguments = [name, *sys.argv[1:]] if name in COMMANDS else sys.argv[1:]
    return told(lambda: main(arguments), name)


if __name__ == "__main__":
    sys.exit(program())
