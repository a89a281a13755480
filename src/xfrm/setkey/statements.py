"""What a setkey file asks for, one operation per statement, and where it asks."""

from wire.lean import Final
from wire.record import Record
from wire.source import Place, SourceError
from xfrm.model import Address, Mode, Policy, Protocol, SaId, SecurityAssociation

# The reqid of a rule whose level is `unique` without a number: to be chosen when it is carried out.
CHOOSE_REQID: Final = -1


class SetkeyError(SourceError):
    """The file is wrong at `place`; the sentence says what is, and what would be right."""


class AddSa(Record, kw_only=True):
    sa: SecurityAssociation
    update: bool
    place: Place


class GetSa(Record, kw_only=True):
    sa: SaId
    place: Place


class DeleteSa(Record, kw_only=True):
    sa: SaId
    place: Place


class DeleteAllSas(Record, kw_only=True):
    """Every SA from `src` to `dst`."""

    src: Address
    dst: Address
    protocol: Protocol
    place: Place


class GetSpi(Record, kw_only=True):
    src: Address
    dst: Address
    protocol: Protocol
    mode: Mode
    reqid: int
    place: Place


class FlushSas(Record, kw_only=True):
    """`protocol` None: all of them."""

    protocol: Protocol | None
    place: Place


class DumpSas(Record, kw_only=True):
    protocol: Protocol | None
    place: Place


class AddPolicy(Record, kw_only=True):
    """`twin` is the `fwd` policy that comes with an `in` one. They share a chosen reqid."""

    policy: Policy
    twin: Policy | None
    update: bool
    place: Place


class DeletePolicy(Record, kw_only=True):
    policy: Policy
    twin: Policy | None
    place: Place


class FlushPolicies(Record, kw_only=True):
    place: Place


class DumpPolicies(Record, kw_only=True):
    place: Place


Operation = (
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
