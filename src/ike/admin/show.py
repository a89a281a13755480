"""Tables and lines that racoonctl prints, word for word as racoon's does."""

from collections.abc import Sequence

from ike.admin.records import (
    Endpoint,
    EventRecord,
    EventType,
    IsakmpSaRecord,
    ScheduleRecord,
    Side,
)
from wire.lean import Final

_SHORT: Final = 22  # columns of "address.port"
_LONG: Final = 45
_EXCHANGES: Final = {1: "B", 2: "M", 3: "U", 4: "A", 5: "I"}

_EVENTS: Final = {
    EventType.QUIT: "Racoon terminated",
    EventType.PHASE1_UP: "Phase 1 established",
    EventType.PHASE1_DOWN: "Phase 1 deleted",
    EventType.PHASE1_NO_RESPONSE: "Phase 1 error: no response from the peer",
    EventType.PHASE1_NO_PROPOSAL: "Phase 1 error: no proposal chosen",
    EventType.PHASE1_AUTH_FAILED: "Phase 1 error: authentication failed",
    EventType.PHASE1_DPD_TIMEOUT: "Phase 1 error: the peer is dead",
    EventType.PHASE1_PEER_DELETED: "Phase 1 deleted by the peer",
    EventType.PHASE1_MODE_CFG: "Phase 1 mode configuration done",
    EventType.PHASE1_XAUTH: "Phase 1 Xauth exchange passed",
    EventType.PHASE1_XAUTH_FAILED: "Phase 1 error: Xauth failed",
    EventType.PHASE2_NO_PHASE1: "Phase 2 error: there is no phase 1",
    EventType.PHASE2_UP: "Phase 2 established",
    EventType.PHASE2_DOWN: "Phase 2 deleted",
    EventType.PHASE2_NO_RESPONSE: "Phase 2 error: no response from the peer",
}


def isakmp_table(records: Sequence[IsakmpSaRecord], detail: int = 0) -> str:
    """`show-sa isakmp`: `detail` 1 adds the states (-l), 2 the source too (-ll)."""
    width = _LONG if detail > 1 else _SHORT
    head = f"{'Destination':<{width}} {'Cookies':<33} "
    if detail > 1:
        head = f"{'Source':<{width}} {head}"
    head += "ST S  V E Created             Phase2" if detail else "Created"
    return "\n".join([head, *(_isakmp_row(r, width, detail) for r in records)])


def _isakmp_row(record: IsakmpSaRecord, width: int, detail: int) -> str:
    cookies = f"{record.cookies[:8].hex()}:{record.cookies[8:].hex()}"
    row = f"{_dotted(record.remote):<{width}} {cookies} "
    if detail > 1:
        row = f"{_dotted(record.local):<{width}} {row}"
    created = local_time(record.created)
    if not detail:
        return f"{row}{created} "
    side = "I" if record.side == Side.INITIATOR else "R"
    exchange = _EXCHANGES.get(record.exchange, "?")
    return (
        f"{row}{record.status:2d} {side} {record.version:2x} {exchange} "
        f"{created} {record.phase2_count:6d} "
    )


def _dotted(endpoint: Endpoint) -> str:
    return f"{endpoint.address or 'anonymous'}.{endpoint.port}"


def schedule_table(records: Sequence[ScheduleRecord]) -> str:
    """`show-schedule`."""
    rows = [f"{r.number:<8} {r.tick:<8} {r.due:<8} {local_time(r.created)}" for r in records]
    return "\n".join(["index    tick     xtime    created", *rows])


def event_line(event: EventRecord) -> str:
    """One line of `show-event`."""
    what = _EVENTS.get(event.type, f"event 0x{int(event.type):04x}")
    return f"{what} : {event.src} -> {event.dst}"


def local_time(seconds: int) -> str:
    """Unix seconds as a date of the time zone here; one that no calendar has, as a number."""
    from datetime import UTC, datetime  # late: most commands show no date

    try:
        date = datetime.fromtimestamp(seconds, UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return str(seconds)
    return f"{date:%Y-%m-%d %H:%M:%S}"
