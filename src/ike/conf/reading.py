"""What a reading of racoon.conf carries along: notices, what was read before, certificates."""

from ike.conf.certificates import Certificates
from ike.config import Remote, Sainfo
from wire.source import Notices


class Notes(Notices):
    """The notices of one reading, with what later statements need of earlier ones."""

    def __init__(self, certificates: Certificates) -> None:
        super().__init__()
        self.certificates = certificates
        self.remotes: dict[str, Remote] = {}  # by name, in order
        self.sainfos: list[Sainfo] = []
