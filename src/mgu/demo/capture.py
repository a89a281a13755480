"""Captures every link of the demo: AF_PACKET sockets in a thread, pcapng files at the end."""

import os
import selectors
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from mgu.demo.netns import Namespace
from mgu.files import PRIVATE, write_whole
from wire import pcapng

_ETH_P_ALL: Final = 3
_PACKET_OUTGOING: Final = 4
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@qq")
_LARGEST: Final = 1 << 17  # octets; segmentation offload makes frames above the MTU


@dataclass(frozen=True, slots=True)
class Captured:
    """One frame of the link number `link`; `time` is Unix ns of this machine's clock."""

    link: int
    time: int
    octets: bytes
    direction: pcapng.Direction


class Capture:
    """A running capture. Add links, then use it as a context manager."""

    def __init__(self) -> None:
        self.frames: list[Captured] = []
        self._links: list[tuple[str, str, socket.socket]] = []
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._run, name="capture")

    def add(self, namespace: Namespace, ifname: str, description: str) -> None:
        """Capture at `ifname`, both directions."""
        reader = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        reader.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        reader.bind((ifname, 0))
        self._links.append((f"{namespace.label}-{ifname}", description, reader))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stopped)
        self._thread.join()
        os.close(self._stop)
        for *_labels, reader in self._links:
            reader.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stop, selectors.EVENT_READ, None)
            for link, opened in enumerate(self._links):
                selector.register(opened[2], selectors.EVENT_READ, link)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    self._read(key.data)

    def _read(self, link: int) -> None:
        reader = self._links[link][2]
        try:
            octets, ancillary, _, address = reader.recvmsg(_LARGEST, 64, socket.MSG_DONTWAIT)
        except OSError:  # nothing there, or the link went down
            return
        time = 0
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                time = seconds * 10**9 + nanoseconds
        outgoing = address[2] == _PACKET_OUTGOING
        direction = pcapng.Direction.OUTBOUND if outgoing else pcapng.Direction.INBOUND
        self.frames.append(Captured(link, time, octets, direction))

    def write(self, folder: Path, tls_keys: bytes) -> list[Path]:
        """One file a link, behind the keys of its TLS; only their owner can read them.

        Not all links in one: a packet that is seen twice upsets Wireshark's decryption of ISAKMP.
        """
        paths = []
        frames = sorted(self.frames, key=lambda frame: frame.time)
        for link, (name, description, _) in enumerate(self._links):
            blocks = [pcapng.section("mgusec demo")]
            blocks.append(pcapng.interface(name, description=description))
            if tls_keys:
                blocks.append(pcapng.secrets(pcapng.Secrets.TLS_KEY_LOG, tls_keys))
            blocks += [
                pcapng.packet(0, frame.time, frame.octets, direction=frame.direction)
                for frame in frames
                if frame.link == link
            ]
            paths.append(folder / f"{description}.pcapng")
            write_whole(paths[-1], b"".join(blocks), PRIVATE)
        return paths
