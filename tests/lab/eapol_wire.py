"""An interface in memory for the supplicant's driver; at its other end is a switch."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from eapol.authenticator import Authenticator, AuthenticatorSettings
from eapol.events import FrameReceived, LinkChanged, SendFrame
from eapol.frame import Frame
from eapol.system.interface import Received
from lab.eapol_pair import GATEWAY, SWITCH, server_context


class Wire:
    """`Supervisor(..., attach=wire.attach)`. The switch answers at once, and never by itself."""

    def __init__(self, settings: AuthenticatorSettings | None = None) -> None:
        self.switch = Authenticator(server_context(), settings)
        self.address = GATEWAY
        self.trouble: str | None = None
        self.is_missing = False
        self.frames: list[Frame] = []
        self.looks = 0
        self.closed = False

    def attach(
        self,
        name: str,
        received: Received,
        changed: Callable[[LinkChanged], None],
        *,
        bring_up: bool = False,
    ) -> Self:
        self.name, self.received, self.changed, self.bring_up = name, received, changed, bring_up
        return self

    def start(self) -> None:
        self.switch.handle(LinkChanged(up=True), self._now())
        self.changed(LinkChanged(up=True, mtu=1500))

    def close(self) -> None:
        self.closed = True

    def look(self) -> None:
        self.looks += 1

    def send(self, octets: bytes) -> None:
        self.frames.append(Frame.parse(octets))
        event = FrameReceived(octets=octets, source=GATEWAY, date=datetime.now(UTC))
        for command in self.switch.handle(event, self._now()):
            if isinstance(command, SendFrame):
                self.received(command.octets, SWITCH)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class Cable:
    """Two interfaces of one cable, for the drivers of both ends."""

    def __init__(self) -> None:
        self.ends: dict[str, End] = {}

    def attach(
        self,
        name: str,
        received: Received,
        changed: Callable[[LinkChanged], None],
        *,
        bring_up: bool = False,
    ) -> "End":
        assert not bring_up
        self.ends[name] = End(self, name, received, changed)
        return self.ends[name]

    def carry(self, sender: str, octets: bytes) -> None:
        for name, end in self.ends.items():
            if name != sender:
                end.received(octets, self.ends[sender].address)


class End:
    def __init__(
        self, cable: Cable, name: str, received: Received, changed: Callable[[LinkChanged], None]
    ) -> None:
        self._cable, self._name = cable, name
        self.received, self.changed = received, changed
        self.address = GATEWAY if name == "eth0" else SWITCH
        self.trouble: str | None = None
        self.is_missing = False

    def start(self) -> None:
        self.changed(LinkChanged(up=True, mtu=1500))

    def close(self) -> None:
        self.changed(LinkChanged(up=False))

    def look(self) -> None: ...

    def send(self, octets: bytes) -> None:
        self._cable.carry(self._name, octets)
