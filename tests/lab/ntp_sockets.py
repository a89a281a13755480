"""A UDP server of the loopback interface, in a thread, that answers as a function says."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ntp.messages import Address


@contextmanager
def served(
    answer: Callable[[bytes, Address], bytes], host: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """Yields the port; 0: a free one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind((host, port))

        def serve() -> None:
            while True:
                octets, source = link.recvfrom(2048)
                if not octets:
                    return
                link.sendto(answer(octets, Address(*source)), source)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield link.getsockname()[1]
        finally:
            link.sendto(b"", link.getsockname())
            thread.join()
