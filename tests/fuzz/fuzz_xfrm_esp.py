"""What a peer or a host may send through the userspace data path."""

from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

from wire.secret import Secret
from xfrm.esp import ah, transform
from xfrm.esp.packet import flow, fragment_key
from xfrm.esp.reasons import Refused
from xfrm.model import Algorithm, Mode, Protocol, SecurityAssociation

_SHA1 = Algorithm(name="hmac(sha1)", key=Secret(bytes(20)), icv_bits=96)
_AES = Algorithm(name="cbc(aes)", key=Secret(bytes(16)))
_GCM = Algorithm(name="rfc4106(gcm(aes))", key=Secret(bytes(20)), icv_bits=128)


def _sa(**fields: Any) -> SecurityAssociation:
    src, dst = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
    return SecurityAssociation(src=src, dst=dst, spi=1, mode=Mode.TUNNEL, **fields)


_, _cbc = transform.transforms(_sa(encryption=_AES, authentication=_SHA1), bytes)
_, _gcm = transform.transforms(_sa(aead=_GCM, esn=True), bytes)
_, _ah = ah.transforms(_sa(protocol=Protocol.AH, authentication=_SHA1))


def _esp(data: bytes) -> None:
    for unprotect in (_cbc, _gcm):
        with suppress(Refused):
            unprotect(data, 0)


def _auth_header(data: bytes) -> None:
    with suppress(Refused):
        _ah(data, 0)


def _ip(data: bytes) -> None:
    with suppress(Refused):
        flow(data)
        fragment_key(data)


TARGETS: dict[str, Callable[[bytes], None]] = {"esp": _esp, "ah": _auth_header, "ip": _ip}
