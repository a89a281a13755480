"""A supplicant, a switch's port and RADIUS servers, all in memory."""

from eapol.authenticator import (
    Authenticator,
    AuthenticatorSettings,
    ServerAbandoned,
    ServerAsked,
    ServerReplied,
)
from eapol.authenticator.port import PortCommand
from eapol.engine import ClientTlsContext
from eapol.events import (
    Command,
    FrameReceived,
    LinkChanged,
    Look,
    Looked,
    PortAuthorized,
    SendFrame,
    Tell,
    UseNetwork,
)
from eapol.frame import Frame, PacketType
from eapol.notices import Warned
from eapol.supplicant import Supplicant
from lab.eapol_pair import GATEWAY, NETWORK, SWITCH, client_context
from lab.radius_pair import Office
from mgu.switch import PortConversation, port_attributes
from radius.events import Answered, Ask, Failed
from wire.timer import TimerFired


class Port:
    """`told` are the port's warnings, `opened` the keys of each time that it opened."""

    def __init__(
        self,
        office: Office,
        settings: AuthenticatorSettings | None = None,
        tls: ClientTlsContext | None = None,
    ) -> None:
        self.office, self.lab = office, office.lab
        self.supplicant = Supplicant(entropy=self.lab.entropy)
        self.switch = Authenticator(None, settings)
        self.conversation = PortConversation(
            office.values, port_attributes("port1", "192.0.2.99", "switch")
        )
        self.told: list[str] = []
        self.opened: list[PortAuthorized] = []
        self.supplicant_keys: list[PortAuthorized] = []
        self.deaf = False
        self._asks: dict[int, int] = {}
        self._number = 0
        office.told = self._server_says
        self.station = self.lab.add("gateway", self.supplicant, self._by_gateway, TimerFired())
        self.port = self.lab.add("port", self.switch, self._by_switch, TimerFired())
        used = UseNetwork(network=NETWORK, tls=tls or client_context())
        self.lab.give(self.station, used)

    def plug_in(self) -> None:
        self.lab.give(self.port, LinkChanged(up=True))
        self.lab.give(self.station, LinkChanged(up=True))

    def opens(self, within: float = 10.0) -> bool:
        return self.lab.run(lambda: self.switch.authorized, within)

    def closes(self, within: float = 10.0) -> bool:
        return self.lab.run(lambda: not self.switch.authorized, within)

    def start(self) -> None:
        """An EAPOL-Start of the supplicant's."""
        self._frame(bytes(Frame(PacketType.START)))

    def _frame(self, octets: bytes) -> None:
        event = FrameReceived(octets=octets, source=GATEWAY, date=self.office.date)
        self.lab.send(self.port, event)

    def _by_gateway(self, command: Command) -> None:
        match command:
            case SendFrame(octets=octets):
                if not self.deaf:
                    self._frame(octets)
            case PortAuthorized():
                self.supplicant_keys.append(command)
            case Look():
                self.lab.tell(self.station, Looked(date=self.office.date))
            case _:
                pass

    def _by_switch(self, command: PortCommand) -> None:
        match command:
            case SendFrame(octets=octets):
                event = FrameReceived(octets=octets, source=SWITCH, date=self.office.date)
                self.lab.send(self.station, event)
            case ServerAsked(ask=ask):
                self._number += 1
                self._asks[self._number] = ask
                attributes = self.conversation.request(command)
                asked = Ask(
                    ask=self._number, attributes=attributes, server=self.conversation.server
                )
                self.lab.tell(self.office.station, asked)
            case PortAuthorized():
                self.opened.append(command)
            case Tell(notice=Warned(text=text)):
                self.told.append(text)
            case ServerAbandoned() | _:
                pass

    def _server_says(self, found: Answered | Failed) -> None:
        ask = self._asks[found.ask]
        event = ServerReplied(ask=ask, answer=self.conversation.answer(ask, found))
        self.lab.tell(self.port, event)
