"""The switch's port follows what its authenticator prints."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self


class PortControl:
    """Reads a log as it grows; a line with `opens` or `closes` in it does that to the port.

    A line that says "unauthorized" holds "authorized", too: `closes` is looked for first.
    """

    def __init__(
        self, log: Path, opens: str, closes: str, set_authorized: Callable[[bool], None]
    ) -> None:
        self._log = log
        self._opens, self._closes = opens, closes
        self._set_authorized = set_authorized
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="port")

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._closing.set()
        self._thread.join()

    def _follow(self) -> None:
        with self._log.open(encoding="utf-8", errors="replace") as lines:
            while not self._closing.wait(0.01):
                for line in lines:
                    if self._closes in line:
                        self._set_authorized(False)
                    elif self._opens in line:
                        self._set_authorized(True)
