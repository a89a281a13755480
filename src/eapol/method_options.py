"""The options of a network block that say how to authenticate: methods, passwords, phase 2."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Final, NamedTuple

from eapol.conffile import ConfigError, octets_of, value_of
from eapol.eap import EapType
from eapol.methods import table
from eapol.settings import InnerTls, Network, Password, Phase2, TlsPolicy
from wire.secret import Secret


class Option(NamedTuple):
    """`read` changes a network by a value; `write` is the value, None where it is unset."""

    read: Callable[[Network, str], Network]
    write: Callable[[Network], str | None]
    secret: bool = False


KNOWN: Final = {method.name: method for method in table.TABLE}

_RETRY: Final = "mschapv2_retry="
_HASH: Final = "hash:"
_WORD: Final = re.compile(r"(auth|autheap)=(\S+)")


def read_eap(network: Network, value: str) -> Network:
    found = tuple(dict.fromkeys(KNOWN[word] for word in value.split() if word in KNOWN))
    if not found:
        raise ConfigError(
            f"eap={value} offers no method of this supplicant, which has {' '.join(KNOWN)}"
        )
    return replace(network, eap=found)


def eap_remarks(value: str) -> list[str]:
    others = " ".join(word for word in value.split() if word not in KNOWN)
    return [f"eap={value}: this supplicant does not have {others}; passed over"] if others else []


def read_password(network: Network, value: str) -> Network:
    if value.startswith("ext:"):
        raise ConfigError("password=ext:... is not supported; write the password")
    if not value.startswith(_HASH):
        return replace(network, password=Password(Secret(octets_of(value))))
    digits = value.removeprefix(_HASH)
    if re.fullmatch(r"[0-9A-Fa-f]{32}", digits) is None:
        raise ConfigError("password=hash:... is not followed by 32 hexadecimal digits")
    return replace(network, password=Password(Secret(bytes.fromhex(digits)), hashed=True))


def write_password(network: Network) -> str | None:
    password = network.password
    if password is None:
        return None
    octets = password.secret.reveal()
    return f"{_HASH}{octets.hex()}" if password.hashed else value_of(octets)


def read_phase2(network: Network, value: str) -> Network:
    """`auth=NAME` and `autheap=NAME`, several of each; NAME may be a list in one word, too."""
    found: dict[str, list[str]] = {"auth": [], "autheap": []}
    for word in _phase2_words(value):
        if word.startswith(_RETRY):
            continue
        match = _WORD.fullmatch(word)
        name = match[2] if match is not None else ""
        able = name in KNOWN or (name in table.WITHOUT_EAP and word.startswith("auth="))
        if match is None or not able:
            raise ConfigError(
                f"phase2: '{word}' is not a method for the inside of a tunnel; write auth=NAME or"
                " autheap=NAME with one of MSCHAPV2, GTC, MD5, PWD, TLS; auth= has PAP, CHAP and"
                " MSCHAP, too"
            )
        found[match[1]].append(name)
    return replace(
        network, phase2=Phase2(auth=tuple(found["auth"]), autheap=tuple(found["autheap"]))
    )


def _phase2_words(value: str) -> list[str]:
    return octets_of(value).decode("utf-8", "replace").split()


def phase2_remarks(value: str) -> list[str]:
    found = (word for word in _phase2_words(value) if word.startswith(_RETRY))
    return [
        f"phase2: '{word}' has no effect: a refused password is not asked again" for word in found
    ]


def write_phase2(network: Network) -> str | None:
    phase2 = network.phase2
    words = [f"auth={name}" for name in phase2.auth]
    words += [f"autheap={name}" for name in phase2.autheap]
    return f'"{" ".join(words)}"' if words else None


def name_inside(name: str) -> str:
    """`private_key2_passwd`, but `ca_cert2`."""
    return "private_key2_passwd" if name == "private_key_passwd" else f"{name}2"


def second(row: Option) -> Option:
    """The option of EAP-TLS inside of a tunnel: the same as `row`, about the other files."""

    def read(network: Network, value: str) -> Network:
        return replace(network, inner=_inner(row.read(_as_network(network.inner), value)))

    def write(network: Network) -> str | None:
        return None if network.inner is None else row.write(_as_network(network.inner))

    return Option(read, write, row.secret)


def _as_network(inner: InnerTls | None) -> Network:
    inner = inner or InnerTls()
    return replace(Network(), **{field.name: getattr(inner, field.name) for field in fields(inner)})


def _inner(network: Network) -> InnerTls:
    return InnerTls(**{field.name: getattr(network, field.name) for field in fields(InnerTls)})


OPTIONS: Final[Mapping[str, Option]] = {
    "eap": Option(read_eap, lambda n: " ".join(method.name for method in n.eap)),
    "password": Option(read_password, write_password, secret=True),
    "phase2": Option(read_phase2, write_phase2),
}


# What a whole block lacks


def unusable(network: Network) -> str | None:
    """Why no method of the network can begin, and what to write; None if one can."""
    if table.methods_of(network):
        return None
    method = network.eap[0]
    return f"{table.TABLE[method].missing(network)} is missing; {_remedy(network, method)}"


def passed_over(network: Network) -> list[str]:
    """A sentence for each method that cannot begin, where another can."""
    lacking = {method: table.TABLE[method].missing(network) for method in network.eap}
    return [
        f"EAP-{method} is passed over: {missing} is missing"
        for method, missing in lacking.items()
        if missing is not None
    ]


def _remedy(network: Network, method: EapType) -> str:
    match table.TABLE[method].missing(network):
        case "private_key":
            return 'write private_key="PATH" and client_cert="PATH"'
        case "private_key2":
            return 'write private_key2="PATH" and client_cert2="PATH"'
        case "password" if network.password is not None:
            return f"EAP-{method} cannot use a hash of it; write it as text"
        case "password":
            return 'write password="PASSWORD"'
        case _:
            return f'EAP-{method} cannot carry what it names; write phase2="auth=MSCHAPV2"'


def doubts(network: Network) -> list[str]:
    """What works with these methods and should not have to."""
    outside = [method for method in table.methods_of(network) if method in _OUTSIDE]
    found = [f"EAP-{method} without a tunnel {_OUTSIDE[method]}" for method in outside]
    if network.tunnel.phase2_auth == 0:
        found.append("phase2_auth=0: the server may leave the inner method out")
    return found


_OUTSIDE: Final = {
    EapType.MD5: "does not authenticate the network, and sends a hash of the password in clear",
    EapType.GTC: "sends the password in clear to any server that asks",
    EapType.MSCHAPV2: "shows what a stranger can compute the password from",
}


def inner_policy(network: Network, inner: InnerTls) -> TlsPolicy:
    """How TLS is spoken inside the tunnel: as outside, with names of its own to match."""
    wanted = inner.tls
    return replace(
        network.tls,
        domain_suffix_match=wanted.domain_suffix_match,
        domain_match=wanted.domain_match,
        altsubject_match=wanted.altsubject_match,
        subject_match=wanted.subject_match,
        server_sha256=wanted.server_sha256,
    )
