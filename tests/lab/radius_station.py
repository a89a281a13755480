"""A station of eapol-test and a RADIUS server, in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from eapol.engine import ClientTlsContext
from eapol.settings import Network
from lab.eapol_pair import NETWORK, client_context, server_context
from lab.radius_pair import Office
from lab.radius_server import RadiusServer
from mgu.eapoltest.session import Begin, Finished, Query, Replied, Result, Session, Station
from radius.events import Answered, Ask, Failed


def radius_server(**more: object) -> RadiusServer:
    return RadiusServer(server_context(), lambda: datetime.now(UTC), **more)  # type: ignore[arg-type]


class Testers:
    """So many sessions before one office; `result(n)` runs one authentication of one of them."""

    __test__ = False

    def __init__(
        self,
        office: Office,
        *,
        sessions: int = 1,
        network: Network = NETWORK,
        tls: ClientTlsContext | None = None,
        **demands: object,
    ) -> None:
        self.office = office
        secrets = tuple(value.secret for value in office.values)
        station = Station(network=network, secrets=secrets)
        station = replace(station, **demands)  # type: ignore[arg-type]
        self.sessions = [
            Session(station, tls or client_context(network.tls), office.lab.entropy)
            for _ in range(sessions)
        ]
        self.results: dict[int, Result] = {}
        self.eap: list[bytes] = []
        self._asks: dict[int, int] = {}
        self._number = 0
        office.told = self._told

    def begin(self, session: int = 0) -> None:
        self.results.pop(session, None)
        self._perform(session, self.sessions[session].handle(Begin(date=self._date), self._now))

    def result(self, session: int = 0, within: float = 60.0) -> Result:
        self.begin(session)
        assert self.office.lab.run(lambda: session in self.results, within)
        return self.results[session]

    @property
    def _now(self) -> float:
        return self.office.lab.now

    @property
    def _date(self) -> datetime:
        return self.office.date

    def _told(self, answer: Answered | Failed) -> None:
        session = self._asks.pop(answer.ask)
        event = Replied(answer=answer, date=self._date)
        self._perform(session, self.sessions[session].handle(event, self._now))

    def _perform(self, session: int, commands: Sequence[Query | Finished]) -> None:
        (command,) = commands
        if isinstance(command, Finished):
            self.results[session] = command.result
            return
        assert isinstance(command, Query)
        self._number += 1
        self._asks[self._number] = session
        ask = Ask(
            ask=self._number,
            attributes=command.attributes,
            server=command.server,
            until=command.until,
        )
        self.office.lab.tell(self.office.station, ask)
