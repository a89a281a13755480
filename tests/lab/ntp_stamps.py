"""The kernel's stamping, on for sure before a test counts on it."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ntp.system.exchange import ANCILLARY, received_stamp, stamping


@contextmanager
def stamps_on() -> Iterator[None]:
    """While the block runs; see ntp.system.exchange.stamping for why this takes a moment."""
    with stamping() as asking, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
        answering.bind(("127.0.0.1", 0))
        limit = time.monotonic() + 2
        stamped = False
        while not stamped and time.monotonic() < limit:
            asking.sendto(b"", answering.getsockname())
            _, source = answering.recvfrom(1)
            answering.sendto(b"", source)
            _, ancillary, _, _ = asking.recvmsg(1, ANCILLARY)
            stamped = received_stamp(ancillary) is not None
        yield
