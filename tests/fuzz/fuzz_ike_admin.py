"""racoon's admin socket: what a daemon and a client read from each other."""

from collections.abc import Callable
from contextlib import suppress

from ike.admin.errors import AdminError
from ike.admin.framing import Reply, Request
from ike.admin.records import Credentials, EventRecord, Index, isakmp_sas, schedule


def _target(decode: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        with suppress(AdminError):
            decode(data)

    return target


TARGETS = {
    "request": _target(Request.parse),
    "reply": _target(Reply.parse),
    "index": _target(Index.parse),
    "credentials": _target(Credentials.parse),
    "isakmp_sas": _target(isakmp_sas),
    "schedule": _target(schedule),
    "event": _target(EventRecord.parse),
}
