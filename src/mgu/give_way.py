"""What a thread at work owes the event loop beside it."""

import time
from typing import Final

_MOMENT: Final = 0.0003  # seconds: long enough for the loop's thread to wake up


def give_way() -> None:
    """Let the loop's thread run, if it waits to.

    By itself the interpreter changes threads each 5 ms only, and with busy processors each change
    waits for one: a loop that answers its peers was held up for 35 to 65 ms, so for 6 to 27 ms.
    """
    time.sleep(_MOMENT)
