"""`wpa_cli` as a monitor: interactive, and with a script that is run on events."""

import contextlib
import os
import select
import shlex
import subprocess
import sys
import time
from collections import deque
from typing import Final

from mgu import exits
from mgu.wpa_ctrl import COMMANDS, Client, NotServed, fields, wire_form

RETRY: Final = 1.0  # seconds between attempts to reach a supplicant that went away
PROMPT: Final = "> "
_EVENT: Final = "CTRL-EVENT-"


def interactive(folder: str, interface: str, own_folder: str, ping: int) -> int:
    """Send what is typed, show what happens, until `quit` or the end of the input."""
    print("Interactive mode: 'help' lists the commands, 'quit' ends.\n", flush=True)
    typed = _Lines(sys.stdin.fileno())
    while True:
        try:
            with (
                Client(folder, interface, own_folder) as asked,
                Client(folder, interface, own_folder) as heard,
            ):
                heard.request("ATTACH")
                with contextlib.suppress(KeyboardInterrupt):
                    _converse(typed, asked, heard, ping)
                with contextlib.suppress(NotServed):
                    heard.request("DETACH")
                return exits.OK
        except NotServed as error:
            print(f"{error}; trying again", file=sys.stderr)
            time.sleep(RETRY)


def _converse(typed: "_Lines", asked: Client, heard: Client, ping: int) -> None:
    """One connection's worth of questions. Raises NotServed when the supplicant went away."""
    watched: list[_Lines | Client] = [typed, heard]
    _prompt()
    while True:
        while typed.waiting:
            if not _typed(typed.waiting.popleft(), asked):
                return
        ready, _, _ = select.select(watched, [], [], ping)
        if not ready and asked.request("PING") != "PONG\n":
            raise NotServed(
                f"the supplicant of {asked.interface} gave an answer that is not understood"
            )
        if heard in ready and (event := heard.event(0)) is not None:
            print(f"\r{event}", flush=True)
            _prompt()
        if typed in ready:
            typed.read()


class _Lines:
    """Lines of a descriptor that select() watches: nothing may wait in a buffer of Python's."""

    def __init__(self, descriptor: int) -> None:
        self.waiting: deque[str] = deque()
        self._descriptor = descriptor
        self._rest = b""

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> None:
        """Add the lines that are complete to those waiting; at the end of the input, `quit`."""
        octets = os.read(self._descriptor, 4096)
        *lines, self._rest = (self._rest + octets).split(b"\n")
        if not octets:
            lines += [self._rest, b"quit"]
        self.waiting += [line.decode("utf-8", "surrogateescape") for line in lines]


def _typed(line: str, asked: Client) -> bool:
    """Carry out one line; False when it ends the conversation."""
    try:
        words = shlex.split(line, posix=False)
    except ValueError as error:
        words = []
        print(f"'{line.strip()}': {error}", flush=True)
    match words:
        case []:
            pass
        case ["quit" | "q" | "exit"]:
            return False
        case ["help" | "?", *_]:
            print(COMMANDS, flush=True)
        case _:
            reply = asked.request(wire_form(words))
            print(reply, end="" if reply.endswith("\n") else "\n", flush=True)
    _prompt()
    return True


def _prompt() -> None:
    if sys.stdin.isatty():
        print(PROMPT, end="", flush=True)


def act(
    folder: str, interface: str, own_folder: str, ping: int, script: str, *, background: bool
) -> int:
    """Run `script IF CONNECTED|DISCONNECTED` on events, until the supplicant ends.

    A port that is open already is a CONNECTED, so that nothing is missed between two starts.
    """
    environment = {**os.environ, "WPA_CTRL_DIR": folder}
    with Client(folder, interface, own_folder) as supplicant:
        supplicant.request("ATTACH")
        if background:
            from mgu.daemon import ready

            ready()
        status = fields(supplicant.request("STATUS"))
        if status.get("wpa_state") == "COMPLETED":
            event = f"{_EVENT}CONNECTED - [id={status['id']} id_str={status.get('id_str', '')}]"
            _handle(event, interface, script, environment)
        while True:
            event_or_none = supplicant.event(ping)
            if event_or_none is None:
                supplicant.request("PING")
            elif not _handle(_without_level(event_or_none), interface, script, environment):
                return exits.OK


def _without_level(event: str) -> str:
    return event.partition(">")[2] if event.startswith("<") else event


def _handle(event: str, interface: str, script: str, environment: dict[str, str]) -> bool:
    """False when the supplicant says that it ends."""
    if event.startswith(f"{_EVENT}TERMINATING"):
        return False
    if event.startswith(f"{_EVENT}CONNECTED"):
        _, _, tail = event.rpartition("[id=")
        number, _, name = tail.rstrip("]").partition(" id_str=")
        environment |= {"WPA_ID": number, "WPA_ID_STR": name}
        _start(script, interface, "CONNECTED", environment)
    elif event.startswith(f"{_EVENT}DISCONNECTED"):
        _start(script, interface, "DISCONNECTED", environment)
    return True


def _start(script: str, interface: str, word: str, environment: dict[str, str]) -> None:
    """Run the script to its end; that it fails is its own business."""
    try:
        subprocess.run([script, interface, word], env=environment, check=False)
    except OSError as error:
        print(f"wpa_cli: {script}: {error.strerror}", file=sys.stderr)
