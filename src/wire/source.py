"""Text files that people and other programs wrote: one front end for all that read such files.

Used by the readers of racoon.conf, psk.txt, setkey.conf, wpa_supplicant.conf and key files, so that
they behave alike:

- `Source.of(name, octets)` is the text. Octets that are no UTF-8 refuse no file: a comment in
  Latin-1 passes, and a value keeps its octets (`octets_of`). A byte order mark is left out.
- `Place` is a file, a line and a column; it prints as `FILE:LINE:COLUMN`, and `excerpt` shows the
  line with a caret. `Word` is a str that knows its place.
- `SourceError` is the refusal of a file. Each package derives its own error from it.
- `Notices` collects what does not refuse a file: lines that are passed over, and lines that mean
  something else here than to the program whose file it is.

A line is passed over, with a notice, if leaving it out changes neither which peers are accepted nor
what is protected. Any other line that is not understood is refused. Which is which, is for the
reader of the file to know.

    source = Source.of("psk.txt", octets, secret=r"(?<=\\s)\\S.*")
    for line in source.lines():
        words = line.words()
        if len(words) < 2:
            notices.passed_over(line.place, "there is no key in this line")
"""

import re
from collections.abc import Iterable, Iterator

from wire.lean import Final, Self
from wire.record import Record

PASSED_OVER: Final = "not honoured"
DIFFERS: Final = "read differently"

_BYTE_ORDER_MARK: Final = "\ufeff"
_UTF16: Final = ("\udcff\udcfe", "\udcfe\udcff")  # its byte order marks
_SHOWN: Final = 60  # characters of a line on each side of the caret
_BLANKS: Final = re.compile(r"[^ \t\r\f\v]+")
_NUMBER: Final = re.compile(r"0[xX](?P<hex>[0-9a-fA-F]{1,16})|(?P<decimal>[0-9]{1,20})")


# Octets and text


def text_of(octets: bytes) -> str:
    """`octets` as text. One that is no UTF-8 becomes a lone surrogate, which `octets_of` undoes."""
    return octets.decode("utf-8", "surrogateescape").removeprefix(_BYTE_ORDER_MARK)


def octets_of(text: str) -> bytes:
    """The octets that `text_of` made this text of: what a value on the wire or a key is."""
    return text.encode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """`text` for a person: what does not print, or was not UTF-8, is written as `\\xNN`."""
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    octet = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code  # PEP 383
    return f"\\x{octet:02x}" if octet < 0x100 else f"\\u{octet:04x}"


# Places


class Source(Record):
    """One file: the name under which it is spoken of, and its text.

    `secret` is a regular expression of what no excerpt shows, such as keys: of a match its group
    `secret` where it has one, else all of it.
    """

    name: str
    text: str
    secret: str = ""

    @property
    def in_utf16(self) -> str | None:
        """What to do with a file in UTF-16, as editors of Windows write it; None for any other."""
        if not self.text.startswith(_UTF16):
            return None
        return f"the file is in UTF-16; convert it: iconv -f UTF-16 -t UTF-8 {self.name}"

    @classmethod
    def of(cls, name: str, octets: bytes, secret: str = "") -> Self:
        return cls(name, text_of(octets), secret)

    def line(self, number: int) -> str:
        """Line `number`, counted from 1, without its end."""
        lines = self.text.split("\n")
        return lines[number - 1].removesuffix("\r") if 0 < number <= len(lines) else ""

    def lines(self) -> "Iterator[Word]":
        """Every line, without the line feed; a carriage return before it stays."""
        for number, line in enumerate(self.text.split("\n"), 1):
            yield Word(line, self, number, 1)

    def end(self) -> "Place":
        """The place behind the last character."""
        lines = self.text.split("\n")
        return Place(self, len(lines), len(lines[-1]) + 1)


class Place(Record):
    """Where in a file; line and column count from 1. Prints as `FILE:LINE:COLUMN`."""

    source: Source
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def excerpt(self) -> str:
        """The line with a caret under the column; secrets are asterisks, long lines are cut."""
        line = self.source.line(self.line)
        if self.source.secret:
            line = re.sub(self.source.secret, _hidden, line)
        at = self.column - 1
        first = max(0, at - _SHOWN)
        before = printable(line[first:at].expandtabs(1))
        shown = before + printable(line[at : at + _SHOWN].expandtabs(1))
        return f"    {shown}\n    {' ' * len(before)}^"


def _hidden(match: re.Match[str]) -> str:
    """The match with asterisks for its group `secret`, or for all of it."""
    whole, start = match[0], match.start()
    named = "secret" in match.re.groupindex and match["secret"] is not None
    first, last = match.span("secret" if named else 0)
    return whole[: first - start] + "*" * (last - first) + whole[last - start :]


class Word(str):
    """A part of a file that knows where it stands. As a str it is its text, without quotes."""

    __slots__ = ("column", "line", "quoted", "source")

    source: Source
    line: int
    column: int
    quoted: bool

    def __new__(
        cls, text: str, source: Source, line: int, column: int, *, quoted: bool = False
    ) -> Self:
        made = super().__new__(cls, text)
        made.source, made.line, made.column, made.quoted = source, line, column, quoted
        return made

    @property
    def text(self) -> str:
        return str(self)

    @property
    def place(self) -> Place:
        return Place(self.source, self.line, self.column)

    def part(self, first: int, last: int | None = None) -> Self:
        """The characters from `first` up to `last`, with their own place."""
        return type(self)(self[first:last], self.source, self.line, self.column + first)

    def words(self) -> list[Self]:
        """The parts between blanks."""
        return [self.part(*match.span()) for match in _BLANKS.finditer(self)]


# Values


def number(text: str, most: int, least: int = 0) -> int | None:
    """Decimal, or hexadecimal behind 0x; None for anything else, or out of bounds."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    value = int(match["hex"], 16) if match["hex"] else int(match["decimal"])
    return value if least <= value <= most else None


def nearest(word: str, known: Iterable[str], alike: float = 0.6) -> str:
    """`; did you mean 'x'?` for the known word most like `word`, or nothing.

    `alike`: from 0, any word, to 1, the same.
    """
    from difflib import get_close_matches  # late: most files are in order

    found = get_close_matches(word, list(known), n=1, cutoff=alike)
    return f"; did you mean '{found[0]}'?" if found else ""


# What is told


class SourceError(Exception):
    """A file cannot be used: one sentence with the place, and what could stand there."""

    def __init__(
        self, sentence: str, place: Place | None = None, expected: Iterable[str] = ()
    ) -> None:
        self.sentence = printable(sentence)
        self.place = place
        self.expected = tuple(expected)
        super().__init__(f"{place}: {self.sentence}" if place else self.sentence)

    def report(self) -> str:
        """The sentence, the line with a caret, and what was expected."""
        lines = [str(self)]
        if self.place:
            lines.append(self.place.excerpt())
        if self.expected:
            lines.append(f"    expected: {', '.join(self.expected)}")
        return "\n".join(lines)


class Notice(Record):
    """What a reader noticed without refusing the file. `kind` is PASSED_OVER or DIFFERS."""

    place: Place
    sentence: str
    kind: str = PASSED_OVER

    def __str__(self) -> str:
        return f"{self.place}: {printable(self.sentence)}"


class Notices:
    """Collects notices in the order of the reading."""

    def __init__(self) -> None:
        self._all: list[Notice] = []

    def passed_over(self, place: Place, sentence: str) -> None:
        """A line, or a part of one, has no effect here; `sentence` says which part, and why."""
        self._all.append(Notice(place, sentence))

    def differs(self, place: Place, sentence: str) -> None:
        """A line is read, but means something else to the program whose file it is."""
        self._all.append(Notice(place, sentence, DIFFERS))

    def __iter__(self) -> Iterator[Notice]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)
