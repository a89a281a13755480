"""Enumerations of numbers that others assign: a number without a name survives."""

from enum import IntEnum

from wire.lean import Self


class OpenEnum(IntEnum):
    """An IntEnum that takes any number of 0 to 2**32-1; one without a name prints as the number.

    Unknown members are created each time: compare with ==, as with every int.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or not 0 <= value < 1 << 32:
            return None
        member = int.__new__(cls, value)
        member._name_ = str(value)
        member._value_ = value
        return member

    @property
    def known(self) -> bool:
        """Whether the number has a name here."""
        return self._value_ in type(self)._value2member_map_

    def __str__(self) -> str:
        return self._name_
