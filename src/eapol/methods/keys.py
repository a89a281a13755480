"""MSK, EMSK and Session-Id of a method over TLS (RFC 5216, 2.3; RFC 5281, 8; RFC 9427, 2.1)."""

from typing import Final

from eapol.eap import EapType
from eapol.engine import Keys, TlsConnection
from eapol.methods.tunnel import is_tls_1_3
from wire.secret import Secret

KEY_OCTETS: Final = 64

EAP_LABEL: Final = "client EAP encryption"
"""RFC 5216, 2.3, for EAP-TLS; PEAP has taken it over."""


def of_tls(connection: TlsConnection, method: EapType, label: str = EAP_LABEL) -> Keys:
    """`label` is for TLS 1.2 and before; TLS 1.3 has one for all, and the type as its context."""
    kind = bytes((method,))
    if is_tls_1_3(connection):
        material = connection.export("EXPORTER_EAP_TLS_Key_Material", 2 * KEY_OCTETS, kind)
        method_id = connection.export("EXPORTER_EAP_TLS_Method-Id", KEY_OCTETS, kind)
    else:
        material = connection.export(label, 2 * KEY_OCTETS)
        method_id = connection.randoms
    msk, emsk = material[:KEY_OCTETS], material[KEY_OCTETS:]
    return Keys(msk=Secret(msk), emsk=Secret(emsk), session_id=kind + method_id)
