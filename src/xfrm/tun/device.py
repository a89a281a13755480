"""The TUN device: a network interface whose other end is a file."""

import fcntl
import os
import struct
from typing import Final

from xfrm.dataplane import XfrmError

# linux/if_tun.h
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000  # packets without a header in front
_IFREQ: Final = struct.Struct("16sH22x")


def open_tun(name: str) -> tuple[int, str]:
    """A new TUN device in this thread's network namespace; it goes when the file is closed.

    Args: a name, or a pattern such as `mgu%d`.
    Returns: a file descriptor that does not block, and the device's name.
    Raises: XfrmError.
    """
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise XfrmError(
            f"/dev/net/tun does not open ({error.strerror}): load the module tun, or make the "
            "device available here"
        ) from error
    try:
        request = _IFREQ.pack(name.encode(), _IFF_TUN | _IFF_NO_PI)
        answer = fcntl.ioctl(fd, _TUNSETIFF, request)
    except OSError as error:
        os.close(fd)
        raise XfrmError(
            f"no TUN device {name}: {error.strerror} (making one needs CAP_NET_ADMIN)"
        ) from error
    return fd, _IFREQ.unpack(answer)[0].rstrip(b"\0").decode()
