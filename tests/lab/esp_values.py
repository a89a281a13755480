"""SAs and policies for tests of ESP, AH and the userspace data path."""

from ipaddress import ip_address, ip_network
from typing import Any

from wire.secret import Secret
from xfrm.algorithms import TABLE, Kind, by_linux
from xfrm.esp import ah, transform
from xfrm.esp.replay import Inbound, Outbound
from xfrm.model import (
    Algorithm,
    Direction,
    Mode,
    Policy,
    Protocol,
    SecurityAssociation,
    Selector,
    Template,
)

LEFT, RIGHT = "192.0.2.1", "192.0.2.2"
LEFT_NET, RIGHT_NET = "10.1.0.0/24", "10.2.0.0/24"


def algorithm(kind: Kind, name: str, *, bits: int = 0, icv: int = 0, fill: int = 0x6B) -> Algorithm:
    """`name` with a key of `bits` (default: the shortest it takes)."""
    row = by_linux(kind, name)
    if row is None:
        raise LookupError(name)
    octets = (bits or min(row.key_bits)) // 8
    return Algorithm(
        name=name,
        key=Secret(bytes((fill + i) & 0xFF for i in range(octets))),
        icv_bits=icv or row.icv_bits,
    )


AES_CBC = algorithm(Kind.ENCRYPTION, "cbc(aes)")
SHA1 = algorithm(Kind.AUTHENTICATION, "hmac(sha1)")
AES_GCM = algorithm(Kind.AEAD, "rfc4106(gcm(aes))")


def sa(src: str = LEFT, dst: str = RIGHT, spi: int = 0x1001, **fields: Any) -> SecurityAssociation:
    """The manual's default: ESP, AES-128-CBC with HMAC-SHA1-96, here in tunnel mode."""
    if "aead" not in fields:
        fields.setdefault("authentication", SHA1)
        if fields.get("protocol", Protocol.ESP) == Protocol.ESP:
            fields.setdefault("encryption", AES_CBC)
    fields.setdefault("mode", Mode.TUNNEL)
    return SecurityAssociation(src=ip_address(src), dst=ip_address(dst), spi=spi, **fields)


def ends(of: SecurityAssociation, entropy: transform.Entropy) -> tuple[Outbound, Inbound]:
    """What the two hosts that share the SA make of it, each with its own cipher state."""
    esp = of.protocol == Protocol.ESP
    protect, _ = transform.transforms(of, entropy) if esp else ah.transforms(of)
    _, unprotect = transform.transforms(of, entropy) if esp else ah.transforms(of)
    sender = Outbound(protect, esn=of.esn, lifetime=of.lifetime)
    receiver = Inbound(unprotect, window=of.replay_window, esn=of.esn, lifetime=of.lifetime)
    return sender, receiver


def sequence(packet: bytes) -> int:
    """The sequence number field of an ESP packet."""
    return int.from_bytes(packet[4:8], "big")


def policy(
    direction: Direction, src: str, dst: str, tunnel: tuple[str, str] | None = None, **fields: Any
) -> Policy:
    """Traffic from `src` to `dst`; `tunnel` is the outer source and destination.

    With mode=Mode.TRANSPORT the template is one of transport mode, and needs no ends.
    """
    names = "protocol", "reqid", "mode"
    template: dict[str, Any] = {key: fields.pop(key) for key in names if key in fields}
    ports = {
        key.removeprefix("of_"): fields.pop(key)
        for key in ("of_protocol", "of_src_port", "of_dst_port")
        if key in fields
    }
    templates: tuple[Template, ...] = ()
    if template.get("mode") == Mode.TRANSPORT:
        templates = (Template(**template),)
    elif tunnel is not None:
        template |= {"src": ip_address(tunnel[0]), "dst": ip_address(tunnel[1])}
        template.setdefault("mode", Mode.TUNNEL)
        templates = (Template(**template),)
    return Policy(
        selector=Selector(src=ip_network(src), dst=ip_network(dst), **ports),
        direction=direction,
        templates=templates,
        **fields,
    )


def tunnel_policies(here: tuple[str, str], there: tuple[str, str], **fields: Any) -> list[Policy]:
    """Out, in and forward, for one end: (address, network) of this host and of its peer."""
    (own, net), (peer, peer_net) = here, there
    return [
        policy(Direction.OUT, net, peer_net, (own, peer), **fields),
        policy(Direction.IN, peer_net, net, (peer, own), **fields),
        policy(Direction.FWD, peer_net, net, (peer, own), **fields),
    ]


def esp_choices() -> list[dict[str, Any]]:
    """Every combination of algorithms that the data path has, with every key length."""
    choices: list[dict[str, Any]] = []
    for row in TABLE:
        if row.kind is Kind.AEAD and row.linux in transform.AEADS:
            tags = transform.AEADS[row.linux].tags
            choices += [
                {"aead": algorithm(row.kind, row.linux, bits=bits, icv=row.icv_bits)}
                for bits in row.key_bits
                if row.icv_bits // 8 in tags
            ]
        elif row.linux in transform.CIPHERS:
            choices += [
                {"encryption": algorithm(row.kind, row.linux, bits=bits)} for bits in row.key_bits
            ]
        elif row.linux in transform.MACS:
            auth = algorithm(row.kind, row.linux)
            choices.append({"authentication": auth})
            choices.append({"authentication": auth, "encryption": None})
    return choices
