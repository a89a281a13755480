"""What a daemon reports to its supervisor: sd_notify(3)."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Tell the service manager `state`, such as "STATUS=port authorized"; without one, nothing."""
    name = os.environ.get("NOTIFY_SOCKET")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link,
        contextlib.suppress(OSError),  # a manager that is gone, or stopped, must not block a daemon
    ):
        link.sendto(state.encode(), socket.MSG_DONTWAIT, address)
