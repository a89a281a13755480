"""What the engine wants done, in this order.

Told: SendDatagram, Log, Report, DeleteSa, AddPolicy, RemovePolicy, AskAgain, ExportKeys, Stopped.
Asked (`ask` comes back in the answering event): AllocateSpi, InstallSa.
"""

import logging
from dataclasses import dataclass
from enum import IntEnum

from ike.numbers.isakmp import ProtocolId
from ike.values import Address, Direction, Endpoint, IpsecSa, Mode, PolicyEntry, SaId, Selector
from wire.secret import Secret


class Level(IntEnum):
    """racoon's levels by the numbers of `logging`."""

    ERROR = logging.ERROR
    WARNING = logging.WARNING
    NOTIFY = 25
    INFO = logging.INFO
    DEBUG = logging.DEBUG
    DEBUG2 = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDatagram:
    """Octets exactly as they go out (marker and keepalives included), from `local` to `to`."""

    octets: bytes
    to: Endpoint
    local: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A line for people; with `peer` racoon puts `[peer] ` in front of the level."""

    level: Level
    text: str
    peer: Address | None = None


class EventKind(IntEnum):
    """racoonctl's event numbers (`show-event`)."""

    QUIT = 0x0001
    PHASE1_UP = 0x0100
    PHASE1_DOWN = 0x0101
    PHASE1_NO_RESPONSE = 0x0102
    PHASE1_NO_PROPOSAL = 0x0103
    PHASE1_AUTH_FAILED = 0x0104
    PHASE1_DPD_TIMEOUT = 0x0105
    PHASE1_PEER_DELETED = 0x0106
    PHASE2_NO_PHASE1 = 0x0200
    PHASE2_UP = 0x0201
    PHASE2_DOWN = 0x0202
    PHASE2_NO_RESPONSE = 0x0203


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An event for an administrator who watches (or waits with `-w`).

    For phase 2, `selector` is the policy's.
    """

    kind: EventKind
    local: Endpoint | None = None
    remote: Endpoint | None = None
    message_id: int = 0
    selector: Selector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateSpi:
    """Asked: SpiAllocated or SpiRefused. Reserve an SPI for packets from remote to local."""

    ask: int
    local: Address
    remote: Address
    protocol: ProtocolId
    mode: Mode
    reqid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallSa:
    """Asked: SaInstalled or SaRefused. Inbound SAs replace the reservation made by AllocateSpi.

    Inbound comes before outbound, and waits for its answer.
    """

    ask: int
    sa: IpsecSa


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSa:
    """Remove an SA or a reserved SPI; one that is gone already is no error."""

    sa: SaId
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPolicy:
    """`generate_policy`: install this policy, both directions (and forward)."""

    policy: PolicyEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePolicy:
    """Remove a policy that AddPolicy installed."""

    policy: PolicyEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAgain:
    """No SA came of this policy's Acquire: its next packet is to raise another at once."""

    policy: PolicyEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportKeys:
    """Only with Config.export_keys: what Wireshark's ikev1_decryption_table needs."""

    initiator_cookie: bytes
    encryption_key: Secret


@dataclass(frozen=True, slots=True)
class Stopped:
    """Everything is deleted and said; the driver may end after it."""


Command = (
    SendDatagram
    | Log
    | Report
    | AllocateSpi
    | InstallSa
    | DeleteSa
    | AddPolicy
    | RemovePolicy
    | AskAgain
    | ExportKeys
    | Stopped
)
