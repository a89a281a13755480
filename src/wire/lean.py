"""Names for annotations that cost nothing at run time.

`typing` takes 3 ms to import, a tenth of what a whole query for the time takes on a LAN. The
modules that a command needs before it can do anything take these names from here. To a reader, and
to mypy, they are those of `typing`.
"""

from collections.abc import Callable

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, Final, NoReturn, Protocol, Self, dataclass_transform, final

    __all__ = ["Any", "Final", "NoReturn", "Protocol", "Self", "dataclass_transform", "final"]
else:

    class _Form:
        """Stands in an annotation that is evaluated: alone, with a subscript, in a union."""

        def __init__(self, name):
            self.name = name

        def __repr__(self):
            return self.name

        def __getitem__(self, _):
            return self

        def __or__(self, _):
            return self

        __ror__ = __or__

    Any, Final, NoReturn, Self = map(_Form, ("Any", "Final", "NoReturn", "Self"))

    class Protocol:
        """A base class that says nothing."""

    def final(made: type) -> type:
        return made

    def dataclass_transform(**_: object) -> Callable[[type], type]:
        return lambda made: made
