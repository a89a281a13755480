"""A gateway comes up in memory: time, then port, then tunnel, between our own cores.

Each stage has its own wire and starts when the one before it has come through, as in the real
gateway: the date found in the first is the date at which certificates are checked in the second.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Final

from eapol.notices import EapFailure, Warned
from eapol.settings import Timers
from ike.commands import EventKind
from ike.values import Direction
from lab import eapol_pair, ike_world, ntp_memory
from lab.virtual import Weather
from ntp.timestamp import SECOND

TIME_SERVER: Final = "192.168.1.10"
ROUNDS: Final = 20  # of asking for the time; the daemon would go on for ever
_FAILURES: Final = {
    EventKind.PHASE1_NO_RESPONSE,
    EventKind.PHASE1_AUTH_FAILED,
    EventKind.PHASE2_NO_PHASE1,
    EventKind.PHASE2_NO_RESPONSE,
}


@dataclass
class Boot:
    """`reached`: the stages that came through; `failures`: what was reported on the way."""

    weather: Weather
    seed: int = 0
    reached: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0  # of virtual time

    @property
    def up(self) -> bool:
        return self.reached == ["time", "port", "tunnel"]

    def run(self) -> bool:
        """Boot. False when a stage gave up; its reason is the last of `failures`."""
        date = self._time()
        return date is not None and self._port(date) and self._tunnel()

    def _time(self) -> datetime | None:
        """Ask until somebody answers, from a clock at 1970."""
        today = int(datetime.now(UTC).timestamp()) * SECOND  # the certificates are of today
        network = ntp_memory.Network(
            {TIME_SERVER: ntp_memory.honest(ntp_memory.server(today))},
            local=0,
            loss=self.weather.loss,
            duplicates=self.weather.duplication,
            jitter=self.weather.jitter,
            random=Random(self.seed),
        )
        for _ in range(ROUNDS):
            outcome = network.run([ntp_memory.peer(TIME_SERVER)])
            if outcome.verdict.usable:
                self._came_through("time", network.now)
                return datetime.fromtimestamp(outcome.date / SECOND, UTC)
            self.failures.append(f"time: {outcome.why}")
        return None

    def _port(self, date: datetime) -> bool:
        """Plug the cable in and wait until both ends think that the port is open."""
        pair = eapol_pair.pair(
            weather=self.weather, seed=self.seed, date=date, timers=Timers(heldPeriod=5)
        )
        pair.plug_in()
        opened = pair.opens(within=900.0)
        self.failures += [f"port: {text}" for text in pair.said(EapFailure) + pair.said(Warned)]
        if opened:
            self._came_through("port", pair.lab.now)
        return opened

    def _tunnel(self) -> bool:
        """Send packets until the tunnel stands: each first one asks for SAs."""
        world = ike_world.World(self.seed, self.weather)
        begun = world.now
        gateway, firewall = ike_world.pair(world, ike_world.network_to_network)

        def keyed() -> bool:
            return all(node.of(way) for node in (gateway, firewall) for way in Direction)

        for _ in range(ROUNDS):
            ike_world.connect(world, gateway, 120.0)
            if keyed() or world.run(60.0, keyed):
                self._came_through("tunnel", world.now - begun)
                return True
            self.failures += [f"tunnel: {kind.name}" for kind in self._reported(gateway)]
        return False

    @staticmethod
    def _reported(node: ike_world.Node) -> list[EventKind]:
        return [report.kind for report in node.reports if report.kind in _FAILURES]

    def _came_through(self, stage: str, seconds: float) -> None:
        self.reached.append(stage)
        self.seconds += seconds
