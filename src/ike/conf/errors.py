"""A configuration that cannot be used, told so that its author finds the place."""

from collections.abc import Sequence

from wire.record import Record


class Source(Record):
    """One file's text by the name under which it is spoken of."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """Line `number`, counted from 1, without its end."""
        lines = self.text.splitlines()
        return lines[number - 1] if 0 < number <= len(lines) else ""


class Place(Record):
    """Where in a file; line and column count from 1. Prints as `FILE:LINE:COLUMN`."""

    source: Source
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def excerpt(self) -> str:
        """The line with a caret under the column."""
        line = self.source.line(self.line).expandtabs(1)
        return f"    {line}\n    {' ' * (self.column - 1)}^"


class ConfError(Exception):
    """One sentence with the place; `report` shows the line and what could stand there too."""

    def __init__(
        self, sentence: str, place: Place | None = None, expected: Sequence[str] = ()
    ) -> None:
        super().__init__(f"{place}: {sentence}" if place else sentence)
        self.sentence = sentence
        self.place = place
        self.expected = tuple(expected)

    def report(self) -> str:
        lines = [str(self)]
        if self.place:
            lines.append(self.place.excerpt())
        if self.expected:
            lines.append(f"    expected: {', '.join(self.expected)}")
        return "\n".join(lines)


def nearest(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the known word most like `word`, or nothing."""
    from difflib import get_close_matches  # late: most files are in order

    found = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean '{found[0]}'?" if found else ""
