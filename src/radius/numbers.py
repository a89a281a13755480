"""Numbers of RADIUS (IANA, "Radius Types"): those that the client itself looks at."""

from typing import Final

from wire.open_enum import OpenEnum


class Code(OpenEnum):
    """RFC 2865, 3."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCOUNTING_REQUEST = 4
    ACCOUNTING_RESPONSE = 5
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12

    def __str__(self) -> str:
        """As the RFCs write it: Access-Accept."""
        return self.name.replace("_", "-").title()


class AttributeType(OpenEnum):
    """RFC 2865, 5; RFC 2869, 5; RFC 3162; RFC 3580."""

    USER_NAME = 1
    NAS_IP_ADDRESS = 4
    NAS_PORT = 5
    SERVICE_TYPE = 6
    FRAMED_MTU = 12
    REPLY_MESSAGE = 18
    STATE = 24
    CLASS = 25
    VENDOR_SPECIFIC = 26
    SESSION_TIMEOUT = 27
    IDLE_TIMEOUT = 28
    TERMINATION_ACTION = 29
    CALLED_STATION_ID = 30
    CALLING_STATION_ID = 31
    NAS_IDENTIFIER = 32
    PROXY_STATE = 33
    NAS_PORT_TYPE = 61
    CONNECT_INFO = 77
    EAP_MESSAGE = 79
    MESSAGE_AUTHENTICATOR = 80
    NAS_PORT_ID = 87
    NAS_IPV6_ADDRESS = 95
    EAP_KEY_NAME = 102


ANSWERS: Final = {
    Code.ACCESS_REQUEST: (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE),
    Code.STATUS_SERVER: (Code.ACCESS_ACCEPT, Code.ACCOUNTING_RESPONSE),
}
"""Which codes answer a request (RFC 2865, 2; RFC 5997, 4.2: an authentication port accepts)."""

MICROSOFT: Final = 311
MS_MPPE_SEND_KEY: Final = 16
MS_MPPE_RECV_KEY: Final = 17
"""RFC 2548, 2.4.2 and 2.4.3: types of the vendor Microsoft."""

LONGEST_VALUE: Final = 253
"""Octets in one attribute (RFC 2865, 5)."""

LONGEST_PACKET: Final = 4096
"""Octets (RFC 2865, 3)."""
