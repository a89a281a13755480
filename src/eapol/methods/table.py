"""The supported methods: one row each. The code of a method is imported when it begins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from eapol.eap import EapType
from eapol.methods.base import Method, Setup
from eapol.settings import Network


@dataclass(frozen=True, slots=True)
class Row:
    """`make` begins a conversation.

    `missing` names the option without which it cannot begin, None if it can; where the method runs
    inside of a tunnel, `missing_inside` does, and is None for a method that never does. `over_tls`:
    it takes a `ClientTlsContext`.
    """

    make: Callable[[Setup], Method]
    missing: Callable[[Network], str | None]
    missing_inside: Callable[[Network], str | None] | None = None
    over_tls: bool = False


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


# Inside of a tunnel


def inside(setup: Setup) -> Setup:
    """What a method inside the tunnel is made of."""
    return replace(setup, tls=None if setup.tls is None else setup.tls.inner)


def inner_methods(names: Sequence[str], network: Network) -> tuple[EapType, ...]:
    """The EAP methods of those names that can run inside of a tunnel; all of them for no name."""
    rows = ((method, row.missing_inside) for method, row in TABLE.items())
    able = {
        method.name: method
        for method, missing in rows
        if missing is not None and missing(network) is None
    }
    return tuple(able[name] for name in names or able if name in able)


WITHOUT_EAP: Final = ("MSCHAPV2", "MSCHAP", "PAP", "CHAP")
"""What EAP-TTLS carries besides EAP (RFC 5281, 11); of several, the first of this list is taken, as
wpa_supplicant does."""


def without_eap(network: Network) -> str | None:
    """What runs within EAP-TTLS, None for EAP (`autheap`, or nothing named)."""
    named = network.phase2.auth
    return None if network.phase2.autheap else next((n for n in WITHOUT_EAP if n in named), None)


# The rows


def _key(network: Network) -> str | None:
    return None if network.private_key is not None else "private_key"


def _inner_key(network: Network) -> str | None:
    found = network.inner is not None and network.inner.private_key is not None
    return None if found else "private_key2"


def _password(network: Network) -> str | None:
    return None if network.password is not None else "password"


def _text(network: Network) -> str | None:
    """A password as text: a hash of it does not do."""
    found = network.password is not None and not network.password.hashed
    return None if found else "password"


def _inside_peap(network: Network) -> str | None:
    found = inner_methods(network.phase2.auth, network)
    return None if found else _lacking(network.phase2.auth, network)


def _inside_ttls(network: Network) -> str | None:
    plain = without_eap(network)
    if plain is None:
        found = inner_methods(network.phase2.autheap, network)
        return None if found else _lacking(network.phase2.autheap, network)
    return _password(network) if plain.startswith("MSCHAP") else _text(network)


def _lacking(names: Sequence[str], network: Network) -> str:
    """What an inner method of those names wants, for an error."""
    wanted = [method for method in TABLE if method.name in (names or [EapType.MSCHAPV2.name])]
    missing = TABLE[wanted[0]].missing_inside if wanted else None
    return "phase2" if missing is None else missing(network) or "phase2"


def _tls(setup: Setup) -> Method:
    from eapol.methods.tls import EapTls
    from eapol.methods.tunnel import TlsMethod

    assert setup.tls is not None
    connection = setup.tls.connection(setup.date, EapType.TLS)
    return TlsMethod(connection, EapTls(connection), setup)


def _peap(setup: Setup) -> Method:
    from eapol.methods.peap import Peap
    from eapol.methods.tunnel import TlsMethod

    assert setup.tls is not None
    connection = setup.tls.connection(setup.date, EapType.PEAP)
    return TlsMethod(connection, Peap(connection, setup), setup)


def _ttls(setup: Setup) -> Method:
    from eapol.methods.ttls import Ttls
    from eapol.methods.tunnel import TlsMethod

    assert setup.tls is not None
    connection = setup.tls.connection(setup.date, EapType.TTLS)
    return TlsMethod(connection, Ttls(connection, setup), setup)


def _teap(setup: Setup) -> Method:
    from eapol.methods.teap import Teap
    from eapol.methods.tunnel import TlsMethod

    assert setup.tls is not None
    connection = setup.tls.connection(setup.date, EapType.TEAP)
    return TlsMethod(connection, Teap(connection, setup), setup)


def _fast(setup: Setup) -> Method:
    from eapol.methods.fast import Fast
    from eapol.methods.tunnel import TlsMethod

    assert setup.tls is not None
    connection = setup.tls.connection(setup.date, EapType.FAST)
    return TlsMethod(connection, Fast(connection, setup), setup)


def _inside_teap(network: Network) -> str | None:
    plain = "PAP" in network.phase2.auth
    return _text(network) if plain else _inside_peap(network)


def _mschapv2(setup: Setup) -> Method:
    from eapol.methods.mschapv2 import MsChapV2

    assert setup.network.password is not None
    return MsChapV2(setup.network.identity, setup.network.password, setup.entropy)


def _md5(setup: Setup) -> Method:
    from eapol.methods.md5 import Md5

    assert setup.network.password is not None
    return Md5(setup.network.identity, setup.network.password)


def _gtc(setup: Setup) -> Method:
    from eapol.methods.gtc import Gtc

    assert setup.network.password is not None
    return Gtc(setup.network.identity, setup.network.password)


def _pwd(setup: Setup) -> Method:
    from eapol.methods.pwd import Pwd

    assert setup.network.password is not None
    return Pwd(setup.network.identity, setup.network.password, setup.entropy)


TABLE: Final[Mapping[EapType, Row]] = {
    EapType.TLS: Row(_tls, _key, _inner_key, over_tls=True),
    EapType.PEAP: Row(_peap, _inside_peap, over_tls=True),
    EapType.TTLS: Row(_ttls, _inside_ttls, over_tls=True),
    EapType.TEAP: Row(_teap, _inside_teap, over_tls=True),
    EapType.FAST: Row(_fast, _inside_peap, over_tls=True),
    EapType.MSCHAPV2: Row(_mschapv2, _password, _password),
    EapType.PWD: Row(_pwd, _password, _password),
    EapType.MD5: Row(_md5, _text, _text),
    EapType.GTC: Row(_gtc, _text, _text),
}
