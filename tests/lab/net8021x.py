"""A gateway on which `net8021x` is run, in a folder."""

import stat
from pathlib import Path

import pytest

from lab.pki import Issued, Site, write
from mgu import exits
from mgu.commands import net8021x


class Gateway:
    """A gateway below `root`, and what its administrator copied to `files`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.files = folder / "root", folder / "files"
        self.files.mkdir()
        self.conf = self.root / "etc/wpa_supplicant.conf"
        self.certs = self.root / "etc/wpa_cert"
        self._capsys = capsys

    def copy(self, of: Site, client: Issued | None = None, passphrase: bytes | None = None) -> None:
        made = write(self.files, "client", client or of.client, of.root, passphrase=passphrase)
        self.client, self.ca, self.key = made.certificate, made.ca, made.key

    def net8021x(self, *options: str) -> int:
        """The manual's command with these files, without -a, and with `options`."""
        files = ("-l", str(self.client), "-c", str(self.ca), "-p", str(self.key))
        return self.run(*files, "-i", "test@test.se", *options)

    def run(self, *words: str) -> int:
        status = net8021x.main(words)
        captured = self._capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        return status

    def refuses(self, *options: str) -> str:
        """The sentence that refuses; the disk is as it was before."""
        before = self.state()
        assert self.net8021x(*options) == exits.FAILED
        assert self.state() == before
        assert self.out == ""
        assert self.err.startswith("net8021x: ")
        assert self.err.count("\n") == 1
        return self.err

    def state(self) -> dict[str, tuple[bytes, int]]:
        return {
            str(path): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
            for path in self.root.rglob("*")
            if path.is_file()
        }
