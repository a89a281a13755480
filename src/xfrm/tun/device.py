"""The TUN device: a network interface whose other end is a file."""

import fcntl
import logging
import os
import struct
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Final

from xfrm.dataplane import XfrmError

logger = logging.getLogger("xfrm")

# linux/if_tun.h
_TUNSETIFF: Final = 0x400454CA
_TUNSETOFFLOAD: Final = 0x400454D0
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000  # packets without a header in front
_IFF_VNET_HDR: Final = 0x4000  # each packet has a virtio_net_hdr in front
_TUN_F_CSUM, _TUN_F_TSO4, _TUN_F_TSO6 = 1, 2, 4
_LARGEST: Final = 65535 + 40  # octets: an IPv6 header and the longest payload
_IFREQ: Final = struct.Struct("16sH22x")


def open_tun(name: str, *, offload: bool = False) -> tuple[int, str]:
    """A new TUN device in this thread's network namespace; it goes when the file is closed.

    Args: a name, or a pattern such as `mgu%d`. With `offload`, packets have a virtio_net_hdr in
    front, and the host leaves cutting TCP and making checksums to the reader.
    Returns: a file descriptor that does not block, and the device's name.
    Raises: XfrmError.
    """
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise XfrmError(
            f"/dev/net/tun cannot be opened ({error.strerror}): load the module tun, or create the"
            " device node"
        ) from error
    try:
        flags = _IFF_TUN | _IFF_NO_PI | (_IFF_VNET_HDR if offload else 0)
        answer = fcntl.ioctl(fd, _TUNSETIFF, _IFREQ.pack(name.encode(), flags))
        if offload:
            fcntl.ioctl(fd, _TUNSETOFFLOAD, _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6)
    except OSError as error:
        os.close(fd)
        raise XfrmError(
            f"no TUN device {name}: {error.strerror} (making one needs CAP_NET_ADMIN)"
        ) from error
    return fd, _IFREQ.unpack(answer)[0].rstrip(b"\0").decode()


class PlainTun:
    """Reads and writes IP packets, one a system call."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read(self) -> Sequence[bytes]:
        """The next packet. Raises BlockingIOError when there is none."""
        return (os.read(self.fd, _LARGEST),)

    def write(self, packet: bytes) -> None:
        """Raises OSError for what is not an IP packet, or when the device is down."""
        os.write(self.fd, packet)

    def flush(self) -> None:
        """Nothing waits here."""


class OffloadTun:
    """Reads TCP cut from large packets, and writes it joined, at the end of each burst.

    `soon` is asked to call `flush`; `failed` is called for what the device did not take.
    """

    def __init__(
        self,
        fd: int,
        soon: Callable[[Callable[[], None]], object],
        failed: Callable[[], None],
    ) -> None:
        from xfrm.tun import segments  # needs numpy

        self.fd = fd
        self._unpack = segments.unpack
        self._join = segments.join
        self._joinable = segments.joinable
        self._plain = segments.NO_OFFLOAD
        self._soon = soon
        self._failed = failed
        self._waiting: dict[bytes, list[bytes]] = {}  # by flow

    def read(self) -> Sequence[bytes]:
        """The next packet, or the segments of a large one. Raises BlockingIOError."""
        return self._unpack(os.read(self.fd, _LARGEST + len(self._plain)))

    def write(self, packet: bytes) -> None:
        """TCP waits for the end of the burst. Raises OSError as `PlainTun.write`."""
        flow = self._joinable(packet)
        if flow is None:
            os.writev(self.fd, (self._plain, packet))
            return
        if not self._waiting:
            self._soon(self.flush)
        self._waiting.setdefault(flow, []).append(packet)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for packets in waiting.values():
            for written in self._join(packets):
                try:
                    os.writev(self.fd, written)
                except OSError:
                    self._failed()


def can_offload() -> bool:
    """Whether numpy (extra `fast`) is installed, and there is memory enough to load it."""
    if find_spec("numpy") is None:
        return False
    try:
        from xfrm.tun import segments  # noqa: F401
    except (ImportError, MemoryError) as error:
        why = str(error.__cause__ or error).strip().partition("\n")[0] or "not enough memory"
        logger.warning("numpy cannot be loaded (%s): TCP passes in small packets, slower", why)
        return False
    return True
