"""Socket buffers beyond the system's limits, as far as we are allowed (CAP_NET_ADMIN)."""

import socket
from typing import Final

# socket(7): SO_RCVBUFFORCE and SO_SNDBUFFORCE, which the socket module lacks
_FORCED: Final = {socket.SO_RCVBUF: 33, socket.SO_SNDBUF: 32}
_ROOM: Final = 4 << 20  # octets; a burst of one round trip at 1 Gbit/s and 30 ms


def enlarge(sock: socket.socket, buffer: int, octets: int) -> None:
    """Ask for `octets` in `buffer`, SO_RCVBUF or SO_SNDBUF. The kernel doubles them."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _FORCED[buffer], octets)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, buffer, octets)


def make_room(sock: socket.socket) -> None:
    """Both large: datagrams that come by the dozen fill small ones."""
    for buffer in _FORCED:
        enlarge(sock, buffer, _ROOM)
