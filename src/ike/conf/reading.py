"""What a reading of racoon.conf carries along: what was read before, warnings, certificates."""

from dataclasses import dataclass, field

from ike.conf.certificates import Certificates
from ike.conf.errors import Place
from ike.config import Remote, Sainfo


@dataclass(slots=True)
class Notes:
    certificates: Certificates
    remotes: dict[str, Remote] = field(default_factory=dict)  # by name, in order
    sainfos: list[Sainfo] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def warn(self, sentence: str, place: Place) -> None:
        self.warnings.append(f"{place}: {sentence}")
