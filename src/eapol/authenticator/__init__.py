"""The switch's port: IEEE Std 802.1X-2004, 8.2.4, 8.2.8 and 8.2.9; RFC 4137, 7 for EAP.


`port.Authenticator` is the core. Behind it is an authentication server: `local.LocalServer`, an
EAP-TLS server in the same process, or one that is asked (`ServerAsked`, `ServerReplied`), by RADIUS
for example.
"""

from eapol.authenticator.port import Authenticator
from eapol.authenticator.server import (
    ServerAbandoned,
    ServerAsked,
    ServerReplied,
    ServerVerdict,
)
from eapol.authenticator.settings import AuthenticatorSettings
from eapol.authenticator.variables import PortState

__all__ = [
    "Authenticator",
    "AuthenticatorSettings",
    "PortState",
    "ServerAbandoned",
    "ServerAsked",
    "ServerReplied",
    "ServerVerdict",
]
