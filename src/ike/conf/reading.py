"""What a reading of racoon.conf carries along: warnings, and where certificates are."""

from dataclasses import dataclass, field

from ike.conf.certificates import Certificates
from ike.conf.errors import Place


@dataclass(slots=True)
class Notes:
    certificates: Certificates
    warnings: list[str] = field(default_factory=list)

    def warn(self, sentence: str, place: Place) -> None:
        self.warnings.append(f"{place}: {sentence}")
