"""What a reading of racoon.conf carries along: notices, folders, what was read before."""

from collections.abc import Hashable

from ike.conf.certificates import Certificates
from ike.conf.files import Folders
from ike.config import Remote, Sainfo
from wire.source import Notices


class Notes(Notices):
    """The notices of one reading, with what later statements need of earlier ones."""

    def __init__(self, folders: Folders) -> None:
        super().__init__()
        self.folders = folders
        self.certificates = Certificates(folders)
        self.remotes: dict[str, Remote] = {}  # by name, in order
        self.sainfos: list[Sainfo] = []
        self.traffic: set[Hashable] = set()  # what they are for
        self.without_rsa: dict[str, str] = {}  # why a remote's rsasig cannot be done, by its name
