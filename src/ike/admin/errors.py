"""What goes wrong on racoon's admin socket."""

from collections.abc import Iterator
from contextlib import contextmanager

from wire.cursor import DecodeError


class AdminError(Exception):
    """A message on the admin socket is not one, or asks for what cannot be."""


@contextmanager
def undecodable_is_admin_error(what: str) -> Iterator[None]:
    """Give what the cursor refuses this package's own class."""
    try:
        yield
    except DecodeError as error:
        raise AdminError(f"the {what} on the admin socket ends too early: {error}") from error
