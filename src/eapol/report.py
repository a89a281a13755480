"""STATUS, STATUS-VERBOSE and MIB: the lines that wpa_supplicant prints for a wired port.

Names, order and values are those of wpa_supplicant 2.10. Lines about wireless networks, which
scripts may look for, are what it prints on a wire.
"""

import hashlib
import uuid
from typing import Final

from eapol.notices import PAE_GROUP
from eapol.settings import Network
from eapol.status import Status, WpaState

_MAC_NAMESPACE: Final = uuid.UUID("526480f8-c99b-4be5-a655-58ed5f5d6084")
"""The name space in which wpa_supplicant derives a UUID from a MAC address."""


def status(
    now: Status, network: Network, address: bytes, ip_address: str | None, *, verbose: bool
) -> str:
    """STATUS, or STATUS-VERBOSE. `address` is the interface's, 6 octets."""
    associated = now.wpa_state in (WpaState.ASSOCIATED, WpaState.COMPLETED)
    lines = _association(network) if associated else []
    lines.append(f"wpa_state={now.wpa_state.value}")
    if ip_address is not None:
        lines.append(f"ip_address={ip_address}")
    lines.append(f"address={colons(address)}")
    if associated:
        lines += [*_pae(now, verbose), *_eap(now, verbose)]
        if now.eap_session_id is not None:
            lines.append(f"eap_session_id={now.eap_session_id.hex()}")
    if verbose:
        lines += [f"certificate_fault={fault}" for fault in now.review.faults]
        lines += [f"certificate_warning={warning}" for warning in now.review.warnings]
        lines += [] if now.failure is None else [f"last_failure={now.failure}"]
    lines.append(f"uuid={uuid_of(address)}")
    return "\n".join([*lines, ""])


def _association(network: Network) -> list[str]:
    lines = [f"bssid={PAE_GROUP}", "freq=0", "ssid=", "id=0"]
    if network.id_str:
        lines.append(f"id_str={network.id_str}")
    lines += ["mode=station", "pairwise_cipher=NONE", "group_cipher=NONE"]
    return [*lines, "key_mgmt=IEEE 802.1X (no WPA)"]


def _pae(now: Status, verbose: bool) -> list[str]:
    lines = [
        f"Supplicant PAE state={now.pae_state.name}",
        f"suppPortStatus={now.port_status.value}",
    ]
    if verbose:
        timers = now.timers
        lines += [
            f"heldPeriod={timers.heldPeriod}",
            f"authPeriod={timers.authPeriod}",
            f"startPeriod={timers.startPeriod}",
            f"maxStart={timers.maxStart}",
            f"portControl={now.port_control.value}",
            f"Supplicant Backend state={now.backend_state.name}",
        ]
    return lines


def _eap(now: Status, verbose: bool) -> list[str]:
    lines = [f"EAP state={now.eap_state.value}"]
    if now.selected_method is not None:
        lines.append(f"selectedMethod={int(now.selected_method)} (EAP-{now.selected_method})")
    if now.tls is not None:
        lines += [
            f"eap_tls_version={now.tls.version}",
            f"EAP TLS cipher={now.tls.cipher}",
            f"tls_session_reused={int(now.tls.resumed)}",
        ]
    if verbose:
        lines += [
            f"reqMethod={now.req_method}",
            f"methodState={now.method_state.value}",
            f"decision={now.decision.value}",
            f"ClientTimeout={now.timers.ClientTimeout}",
        ]
    return lines


_RSNA: Final = """\
dot11RSNAOptionImplemented=TRUE
dot11RSNAPreauthenticationImplemented=TRUE
dot11RSNAEnabled=FALSE
dot11RSNAPreauthenticationEnabled=FALSE
dot11RSNAConfigVersion=1
dot11RSNAConfigPairwiseKeysSupported=5
dot11RSNAConfigGroupCipherSize=0
dot11RSNAConfigPMKLifetime=43200
dot11RSNAConfigPMKReauthThreshold=70
dot11RSNAConfigNumberOfPTKSAReplayCounters=1
dot11RSNAConfigSATimeout=60
dot11RSNAAuthenticationSuiteSelected=00-00-00-0
dot11RSNAPairwiseCipherSelected=00-50-f2-0
dot11RSNAGroupCipherSelected=00-50-f2-0
dot11RSNAPMKIDUsed=
dot11RSNAAuthenticationSuiteRequested=00-00-00-0
dot11RSNAPairwiseCipherRequested=00-50-f2-0
dot11RSNAGroupCipherRequested=00-50-f2-0
dot11RSNAConfigNumberOfGTKSAReplayCounters=0
dot11RSNA4WayHandshakeFailures=0
"""


def mib(now: Status) -> str:
    """MIB: the objects of IEEE Std 802.1X-2004, 10.4, after those of a port without 802.11."""
    counters, timers = now.counters, now.timers
    values: dict[str, int | str] = {
        "dot1xSuppPaeState": int(now.pae_state),
        "dot1xSuppHeldPeriod": timers.heldPeriod,
        "dot1xSuppAuthPeriod": timers.authPeriod,
        "dot1xSuppStartPeriod": timers.startPeriod,
        "dot1xSuppMaxStart": timers.maxStart,
        "dot1xSuppSuppControlledPortStatus": now.port_status.value,
        "dot1xSuppBackendPaeState": int(now.backend_state),
        "dot1xSuppEapolFramesRx": counters.EapolFramesRx,
        "dot1xSuppEapolFramesTx": counters.EapolFramesTx,
        "dot1xSuppEapolStartFramesTx": counters.EapolStartFramesTx,
        "dot1xSuppEapolLogoffFramesTx": counters.EapolLogoffFramesTx,
        "dot1xSuppEapolRespFramesTx": counters.EapolRespFramesTx,
        "dot1xSuppEapolReqIdFramesRx": counters.EapolReqIdFramesRx,
        "dot1xSuppEapolReqFramesRx": counters.EapolReqFramesRx,
        "dot1xSuppInvalidEapolFramesRx": counters.InvalidEapolFramesRx,
        "dot1xSuppEapLengthErrorFramesRx": counters.EapLengthErrorFramesRx,
        "dot1xSuppLastEapolFrameVersion": counters.LastEapolFrameVersion,
        "dot1xSuppLastEapolFrameSource": colons(counters.LastEapolFrameSource),
    }
    return _RSNA + "".join(f"{name}={value}\n" for name, value in values.items())


def colons(address: bytes) -> str:
    """A MAC address as people write it."""
    return address.hex(":")


def uuid_of(address: bytes) -> uuid.UUID:
    """The version 5 UUID of a MAC address (RFC 4122, 4.3)."""
    digest = hashlib.sha1(_MAC_NAMESPACE.bytes + address, usedforsecurity=False).digest()
    return uuid.UUID(bytes=digest[:16], version=5)
