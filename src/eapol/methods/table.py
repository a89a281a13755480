"""The methods that there are: one row each. The code of a method is imported when it begins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from eapol.eap import EapType
from eapol.methods.base import Method, Setup
from eapol.settings import Network


@dataclass(frozen=True, slots=True)
class Row:
    """`make` begins a conversation. `over_tls`: it needs certificates, and a `ClientTlsContext`.

    `missing` names the option without which it cannot begin, None if it can. `inside`: it may run
    within a tunnel.
    """

    make: Callable[[Setup], Method]
    missing: Callable[[Network], str | None]
    over_tls: bool = False
    inside: bool = False


def methods_of(network: Network) -> tuple[EapType, ...]:
    """Those of `network.eap` that can begin, in that order: what a Nak asks for."""
    return tuple(
        method
        for method in network.eap
        if method in TABLE and TABLE[method].missing(network) is None
    )


def needs_tls(network: Network) -> bool:
    return any(TABLE[method].over_tls for method in methods_of(network))


def begin(method: EapType, setup: Setup) -> Method | None:
    """A conversation of `method`, if the network wants it."""
    return TABLE[method].make(setup) if method in methods_of(setup.network) else None


def _key(network: Network) -> str | None:
    return None if network.private_key is not None else "private_key"


def _tls(setup: Setup) -> Method:
    from eapol.methods.tls import EapTls
    from eapol.methods.tunnel import TlsMethod

    assert setup.tls is not None
    connection = setup.tls.connection(setup.date, EapType.TLS)
    return TlsMethod(connection, EapTls(connection), setup)


TABLE: Final[Mapping[EapType, Row]] = {
    EapType.TLS: Row(_tls, _key, over_tls=True, inside=True),
}
