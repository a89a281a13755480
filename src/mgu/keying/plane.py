"""Chooses who enforces IPsec: the kernel where it has ESP, else our own userspace path.

MGU_DATAPLANE says `auto` (the default: the kernel is asked), `kernel` or `userspace`.
"""

import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from ike.aio.sockets import Listening, Sockets
from ike.values import Address, Endpoint
from mgu.keying.backend import XfrmBackend
from xfrm.dataplane import Dataplane, Unsupported, XfrmError
from xfrm.model import SecurityAssociation

logger = logging.getLogger("ike")

CHOICE: Final = "MGU_DATAPLANE"
CHOICES: Final = ("auto", "kernel", "userspace")


class Plane:
    """An open data plane as the keying daemon's backend, and sockets set up as it needs them."""

    def __init__(self, name: str, plane: Dataplane, sockets: Sockets) -> None:
        self.name = name
        self.backend = XfrmBackend(plane)
        self.sockets = sockets


Opener = Callable[[AsyncExitStack, Listening], Awaitable[Plane]]


async def open_plane(
    stack: AsyncExitStack,
    listening: Listening,
    kernel: Opener | None = None,
    userspace: Opener | None = None,
) -> Plane:
    """Open the plane that MGU_DATAPLANE names and the sockets; `stack` closes both.

    Raises: XfrmError, PortInUse, OSError.
    """
    wanted = os.environ.get(CHOICE, "auto")
    if wanted not in CHOICES:
        raise XfrmError(f"{CHOICE}={wanted} is not one of {', '.join(CHOICES)}")
    if wanted != "userspace":
        try:
            return await (kernel or _kernel)(stack, listening)
        except Unsupported as error:
            if wanted == "kernel":
                raise
            logger.info("%s; the userspace data path does it instead", error)
    return await (userspace or _userspace)(stack, listening)


async def _kernel(stack: AsyncExitStack, listening: Listening) -> Plane:
    from xfrm.aio.kernel import Kernel

    async with AsyncExitStack() as trial:
        kernel = await Kernel.open()
        trial.push_async_callback(kernel.close)
        await kernel.probe()
        sockets = Sockets(replace(listening, bypass=True, espinudp=True))
        trial.callback(sockets.close)
        stack.push_async_callback(trial.pop_all().aclose)
    return Plane("kernel", kernel, sockets)


async def _userspace(stack: AsyncExitStack, listening: Listening) -> Plane:
    from xfrm.tun.datapath import MARK, DataPath, Settings

    settings = Settings(ike_ports=ike_ports(listening))
    path: DataPath | None = None

    def take_esp(octets: bytes, source: Address, port: int) -> None:
        if path is not None:
            path.receive_udp(octets, source, port)

    async with AsyncExitStack() as trial:
        sockets = Sockets(replace(listening, bypass=False, mark=MARK, take_esp=take_esp))
        trial.callback(sockets.close)
        path = await DataPath.open(settings, send_udp=udp_sender(sockets))
        trial.push_async_callback(path.close)
        stack.push_async_callback(trial.pop_all().aclose)
    return Plane("userspace", path, sockets)


def ike_ports(listening: Listening) -> frozenset[int]:
    """What comes in clear to these is for us, whatever the policies say."""
    named = {where.port for where in (*listening.isakmp, *listening.natt)}
    return frozenset(named | {listening.isakmp_port, listening.natt_port})


def udp_sender(
    sockets: Sockets,
) -> Callable[[SecurityAssociation], Callable[[bytes, int], object]]:
    """What sends an SA's packets in UDP, from the port that IKE uses, too (RFC 3948, 2.1)."""

    def send_udp(sa: SecurityAssociation) -> Callable[[bytes, int], object]:
        ports = sa.encapsulation
        if ports is None:
            raise XfrmError(f"the SA {sa.spi:#010x} has no ports to send UDP between")
        return sockets.sender(Endpoint(sa.src, ports.src_port), Endpoint(sa.dst, ports.dst_port))

    return send_udp
