"""What is found in a file: findings with their places, and a verdict on the whole."""

from wire.record import Record
from wire.source import DIFFERS, PASSED_OVER, Notice, SourceError, printable

REFUSED = "refused"
ATTENTION = "attention"  # it works, but should be checked: expires soon, open to others
WHATS = (REFUSED, PASSED_OVER, DIFFERS, ATTENTION)


class Finding(Record):
    """`what` is one of WHATS. Line and column count from 1; 0 is the whole file."""

    what: str
    text: str
    file: str
    line: int = 0
    column: int = 0
    excerpt: str = ""

    @classmethod
    def of(cls, notice: Notice) -> "Finding":
        place = notice.place
        return cls(
            notice.kind, printable(notice.sentence), place.source.name, place.line, place.column
        )

    @classmethod
    def refusal(cls, error: SourceError, name: str) -> "Finding":
        place, text = error.place, error.sentence
        if error.expected:
            text += f"; expected: {', '.join(error.expected)}"
        if place is None:
            return cls(REFUSED, text, name)
        excerpt = place.excerpt()
        return cls(REFUSED, text, place.source.name, place.line, place.column, excerpt)

    def __str__(self) -> str:
        where = f"{self.file}:"
        if self.line:
            where += f"{self.line}:"
        if self.column:
            where += f"{self.column}:"
        return "\n".join(filter(None, [f"{where} {self.what}: {self.text}", self.excerpt]))


class Report(Record):
    """`kind` is what the file is, `program` whose; `facts` say what is in it."""

    file: str
    kind: str
    program: str
    findings: tuple[Finding, ...] = ()
    facts: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`read`; `in part`, where something has no effect or another one; or `refused`."""
        whats = {finding.what for finding in self.findings}
        if REFUSED in whats:
            return REFUSED
        return "in part" if whats & {PASSED_OVER, DIFFERS} else "read"
