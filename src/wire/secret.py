"""Octets that must not reach a log, an exception or a traceback."""

from wire.lean import final


@final
class Secret:
    """Key material. `repr` and `str` show its length only; `==` takes constant time.

    `reveal()` is the one way to the octets, so that a search for it finds every use.
    """

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = bytes(octets)

    def reveal(self) -> bytes:
        return self._octets

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        from hmac import compare_digest  # late: it brings OpenSSL's library

        return compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return hash((Secret, len(self._octets)))

    def __repr__(self) -> str:
        return f"Secret({len(self._octets)} octets)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled")
