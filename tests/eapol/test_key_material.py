"""What is asked of TLS for the keys of a method (RFC 5216, 2.3; RFC 9190, 2.3; RFC 9427, 2.1)."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from eapol.eap import EapType
from eapol.engine import TlsConnection
from eapol.methods.keys import EAP_LABEL, of_tls
from eapol.status import TlsStatus
from wire.secret import Secret


@dataclass
class Exporting:
    """A connection that only exports; octets tell which export they are of."""

    version: str
    randoms: bytes = b"r" * 64
    asked: list[tuple[str, int, bytes]] = field(default_factory=list)

    @property
    def status(self) -> TlsStatus:
        return TlsStatus(version=self.version, cipher="", resumed=False)

    def export(self, label: str, octets: int, context: bytes = b"") -> bytes:
        self.asked.append((label, octets, context))
        return bytes([len(self.asked)]) * (octets // 2) + bytes([9]) * (octets // 2)


@pytest.mark.parametrize("method", [EapType.TLS, EapType.TTLS, EapType.PEAP])
def test_tls_1_3_has_one_label_for_all_and_the_type_as_its_context(method: EapType) -> None:
    made = Exporting("TLSv1.3")
    keys = of_tls(cast("TlsConnection", made), method, "a label of before")
    kind = bytes([method])
    assert made.asked == [
        ("EXPORTER_EAP_TLS_Key_Material", 128, kind),
        ("EXPORTER_EAP_TLS_Method-Id", 64, kind),
    ]
    assert (keys.msk, keys.emsk) == (Secret(b"\1" * 64), Secret(b"\11" * 64))
    assert keys.session_id == kind + b"\2" * 32 + b"\11" * 32


def test_before_the_label_is_the_methods_and_the_session_is_named_by_both_randoms() -> None:
    made = Exporting("TLSv1.2")
    keys = of_tls(cast("TlsConnection", made), EapType.TLS)
    assert EAP_LABEL == "client EAP encryption"
    assert made.asked == [("client EAP encryption", 128, b"")]
    assert (keys.msk, keys.emsk) == (Secret(b"\1" * 64), Secret(b"\11" * 64))
    assert keys.session_id == b"\x0d" + b"r" * 64
    of_tls(cast("TlsConnection", made), EapType.TTLS, "ttls keying material")
    assert made.asked[1] == ("ttls keying material", 128, b"")
