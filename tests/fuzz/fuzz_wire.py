"""Fuzz targets of `wire`: each takes octets and lets only other errors than the package's out."""

from collections.abc import Callable
from contextlib import suppress

from wire.cursor import DecodeError
from wire.rtnetlink import Table, Told, parse


def rtnetlink(octets: bytes) -> None:
    table = Table()
    with suppress(DecodeError):
        for told in parse(octets):
            if isinstance(told, Told):
                table.take(told)


TARGETS: dict[str, Callable[[bytes], None]] = {"rtnetlink": rtnetlink}
