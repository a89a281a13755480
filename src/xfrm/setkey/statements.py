"""What a setkey file says, one value per statement, and where it says it."""

from dataclasses import dataclass
from typing import Final

from xfrm.model import Address, Mode, Policy, Protocol, SaId, SecurityAssociation

# The reqid of a rule whose level is `unique` without a number: to be chosen when it is carried out.
CHOOSE_REQID: Final = -1


@dataclass(frozen=True, slots=True)
class Place:
    """Both count from 1."""

    line: int
    column: int


class SetkeyError(Exception):
    """The file is wrong at `place`; the text says what is, and what would be right."""

    def __init__(self, text: str, place: Place) -> None:
        super().__init__(text)
        self.place = place


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSa:
    sa: SecurityAssociation
    update: bool
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class GetSa:
    sa: SaId
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSa:
    sa: SaId
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAllSas:
    """Every SA from `src` to `dst`."""

    src: Address
    dst: Address
    protocol: Protocol
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class GetSpi:
    src: Address
    dst: Address
    protocol: Protocol
    mode: Mode
    reqid: int
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushSas:
    """`protocol` None: all of them."""

    protocol: Protocol | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSas:
    protocol: Protocol | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPolicy:
    """`twin` is the `fwd` policy that comes with an `in` one. They share a chosen reqid."""

    policy: Policy
    twin: Policy | None
    update: bool
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePolicy:
    policy: Policy
    twin: Policy | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushPolicies:
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpPolicies:
    place: Place


Statement = (
    AddSa
    | GetSa
    | DeleteSa
    | DeleteAllSas
    | GetSpi
    | FlushSas
    | DumpSas
    | AddPolicy
    | DeletePolicy
    | FlushPolicies
    | DumpPolicies
)
