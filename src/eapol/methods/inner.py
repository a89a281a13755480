"""The EAP peer inside of a tunnel: PEAP, EAP-TTLS with EAP, EAP-FAST and TEAP.

A conversation of RFC 3748 without a lower layer: no retransmission, no timers, no EAP-Success that
counts by itself. What it says of success is what the inner method proved (`succeeded`); only the
tunnel's requests are accepted.
"""

from collections.abc import Sequence

from eapol import eap
from eapol.eap import EapCode, EapType, Packet
from eapol.engine import Keys
from eapol.methods import table
from eapol.methods.base import Method, Setup
from eapol.notices import Noted, Notice, ServerSays
from eapol.status import Decision, MethodState


class InnerEap:
    """`names`: the methods that may run, in order of preference, all for none; one of them does."""

    def __init__(self, names: Sequence[str], setup: Setup) -> None:
        self._setup = setup
        self._wanted = table.inner_methods(names, setup.network)
        self._method: Method | None = None
        self._type = EapType.NONE
        self._decision = Decision.FAIL
        self._notices: list[Notice] = []
        self.failure: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether a method ran, and proved on both sides what it can prove."""
        return self._decision is not Decision.FAIL and self.failure is None

    @property
    def method(self) -> EapType:
        """The method that runs, NONE before there is one."""
        return self._type

    @property
    def keys(self) -> Keys | None:
        return self._method.keys if self._method is not None and self.succeeded else None

    @property
    def lacks(self) -> str:
        if self._method is None:
            return "before the method inside the tunnel began"
        return f"{self._method.lacks} (EAP-{self._type} inside the tunnel)"

    def process(self, request: Packet) -> Packet | None:
        """The response; None if the request is discarded."""
        if request.code != EapCode.REQUEST or request.method is None:
            return None
        kind = EapType.EXPANDED if request.vendor else request.method
        if kind == EapType.IDENTITY and self._method is None:
            identity = self._setup.network.identity
            return eap.response(request.identifier, EapType.IDENTITY, identity)
        if kind == EapType.NOTIFICATION:
            self._notices.append(ServerSays.of(request.data))
            return eap.response(request.identifier, EapType.NOTIFICATION)
        if self._method is None and not self._choose(kind, request):
            build = eap.expanded_nak if request.vendor or request.expanded else eap.nak
            return build(request.identifier, self._wanted)
        return self._run(request) if kind == self._type else None

    def notices(self) -> Sequence[Notice]:
        seen, self._notices = self._notices, []
        return (*seen, *(self._method.notices() if self._method is not None else ()))

    def _choose(self, kind: EapType, request: Packet) -> bool:
        taken = kind in self._wanted
        proposed = request.method or EapType.NONE
        what = "begins" if taken else "was offered by the server, but phase2 does not allow it"
        self._notices.append(Noted(f"inside the tunnel EAP-{proposed} {what}"))
        if taken:
            self._method, self._type = table.TABLE[kind].make(self._setup), kind
        return taken

    def _run(self, request: Packet) -> Packet | None:
        assert self._method is not None
        outcome = self._method.process(request)
        if outcome is None:
            return None
        self._decision = outcome.decision
        if outcome.failure is not None:
            self.failure = outcome.failure
        elif outcome.methodState is MethodState.DONE and outcome.decision is Decision.FAIL:
            self.failure = f"EAP-{self._type} inside the tunnel failed"
        return eap.response(request.identifier, self._type, outcome.data)
