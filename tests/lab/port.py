"""A supplicant that is none: it shows a given status and writes down what it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from eapol.eap import EapType
from eapol.events import Request
from eapol.notices import Notice
from eapol.settings import Network
from eapol.status import (
    BackendState,
    Counters,
    Decision,
    EapState,
    MethodState,
    PaeState,
    PortControl,
    PortStatus,
    Status,
    TlsStatus,
    WpaState,
)
from wire.secret import Secret

SESSION = bytes.fromhex(
    "0d763583e5c9f30f4ae835b992c75c8dd99923a6407187f066b196d438bafc9ba4"
    "4d69fd2e80a1b6b87388e2f3f93926dc71140b26c16a810764ad0dbde4f94ae7"
)

AUTHENTICATED = Status(
    wpa_state=WpaState.COMPLETED,
    pae_state=PaeState.AUTHENTICATED,
    backend_state=BackendState.IDLE,
    port_status=PortStatus.AUTHORIZED,
    port_control=PortControl.AUTO,
    eap_state=EapState.SUCCESS,
    selected_method=EapType.TLS,
    method_state=MethodState.DONE,
    decision=Decision.UNCOND_SUCC,
    tls=TlsStatus(version="TLSv1.2", cipher="ECDHE-RSA-AES256-GCM-SHA384", resumed=False),
    eap_session_id=SESSION,
    counters=Counters(7, 7, 1, 0, 6, 1, 5, 0, 0, 2, bytes.fromhex("0200000000fe")),
)

CONNECTING = replace(
    AUTHENTICATED,
    wpa_state=WpaState.ASSOCIATED,
    pae_state=PaeState.CONNECTING,
    port_status=PortStatus.UNAUTHORIZED,
    eap_state=EapState.IDLE,
    selected_method=None,
    tls=None,
    eap_session_id=None,
)


@dataclass
class Port:
    """A supplicant that writes down what it is asked for."""

    interface: str = "eth0"
    address: bytes = bytes.fromhex("020000000001")
    network: Network = field(
        default_factory=lambda: Network(identity=b"gw-0001", private_key="gw.key")
    )
    now: Status = AUTHENTICATED
    requests: list[Request] = field(default_factory=list)
    reconfigured: int = 0
    secrets: list[Secret] = field(default_factory=list)
    fault: Exception | None = None
    tellers: list[Callable[[Notice], None]] = field(default_factory=list)

    def status(self) -> Status:
        return self.now

    def request(self, request: Request) -> None:
        if self.fault is not None:
            raise self.fault
        self.requests.append(request)

    def use(self, network: Network) -> None:
        if self.fault is not None:
            raise self.fault
        self.network = network

    def reconfigure(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.reconfigured += 1

    def passphrase(self, secret: Secret) -> None:
        if self.fault is not None:
            raise self.fault
        self.secrets.append(secret)

    def listen(self, tell: Callable[[Notice], None]) -> Callable[[], None]:
        self.tellers.append(tell)
        return lambda: self.tellers.remove(tell)

    def tell(self, notice: Notice) -> None:
        """What a supplicant does when something happened."""
        for tell in self.tellers:
            tell(notice)
