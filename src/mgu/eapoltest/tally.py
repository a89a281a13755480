"""What a load has come to: counts, latencies, causes. Added up over processes."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)
BOUNDS: Final = tuple(float(1 << power) for power in range(16))
"""Of the histogram: milliseconds, doubled from bar to bar."""

_WIDTH: Final = 40  # characters of the longest bar
_CAUSES: Final = 10  # shown


@dataclass(slots=True)
class Tally:
    """`milliseconds` are those of the authentications that succeeded."""

    milliseconds: list[float] = field(default_factory=list)
    errors: Counter[tuple[int, str]] = field(default_factory=Counter)
    resumed: int = 0

    def add(self, other: "Tally") -> None:
        self.milliseconds += other.milliseconds
        self.errors += other.errors
        self.resumed += other.resumed

    @property
    def failed(self) -> int:
        return self.errors.total()

    @property
    def exit_code(self) -> int:
        """That of the commonest failure."""
        return self.errors.most_common(1)[0][0][0] if self.errors else 0

    def percentiles(self) -> dict[float, float]:
        """Milliseconds that so many percent did not exceed; nothing without a success."""
        ordered = sorted(self.milliseconds)
        if not ordered:
            return {}
        last = len(ordered) - 1
        return {each: ordered[min(last, int(len(ordered) * each / 100))] for each in PERCENTILES}

    def histogram(self) -> list[tuple[float, int]]:
        """Upper bound in milliseconds, and how many; without the empty ends."""
        counts = Counter(bisect_left(BOUNDS, each) for each in self.milliseconds)
        if not counts:
            return []
        bounds = (*BOUNDS, float("inf"))
        return [(bounds[at], counts[at]) for at in range(min(counts), max(counts) + 1)]

    def progress(self, seconds: float) -> str:
        done = len(self.milliseconds)
        known = self.percentiles()
        delay = f", half within {known[50.0]:.1f} ms" if known else ""
        rate = done / seconds if seconds else 0.0
        return f"{seconds:5.0f} s: {done} accepted, {self.failed} not, {rate:.1f}/s{delay}"

    def lines(self, seconds: float) -> list[str]:
        done = len(self.milliseconds)
        resumed = f", {self.resumed} of them resumed" if self.resumed else ""
        shown = [f"{done} accepted{resumed}, {self.failed} not, in {seconds:.1f} s:"
                 f" {done / seconds:.1f} authentications/s"]  # fmt: skip
        shown += (f"  {percent:5g} % within {ms:8.1f} ms"
                  for percent, ms in self.percentiles().items())  # fmt: skip
        shown += _bars(self.histogram())
        for (_, reason), count in self.errors.most_common(_CAUSES):
            shown.append(f"  {count} times: {reason}")
        return shown

    def document(self, seconds: float, processes: int) -> dict[str, Any]:
        """As docs/eapol-test.schema.json says."""
        return {
            "seconds": round(seconds, 3),
            "processes": processes,
            "accepted": len(self.milliseconds),
            "resumed": self.resumed,
            "failed": self.failed,
            "per_second": round(len(self.milliseconds) / seconds, 3),
            "percentiles_ms": {
                f"{each:g}": round(ms, 3) for each, ms in self.percentiles().items()
            },
            "histogram_ms": [
                {"up_to": None if bound == float("inf") else bound, "count": count}
                for bound, count in self.histogram()
            ],
            "errors": [
                {"reason": reason, "exit_code": code, "count": count}
                for (code, reason), count in self.errors.most_common()
            ],
        }


def _bars(histogram: Sequence[tuple[float, int]]) -> list[str]:
    most = max((count for _, count in histogram), default=0)
    return [
        f"  <= {bound:6g} ms {count:8d} {'#' * -(-_WIDTH * count // most)}"
        for bound, count in histogram
    ]
