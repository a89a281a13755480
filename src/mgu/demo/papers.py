"""The demo's certificates: one authority, one server, one client, made at run time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mgu.demo.pki import Authority, KeyKind, Usage, Validity
from mgu.files import PRIVATE, write_whole

IDENTITY = "test@test.se"  # the manual's example


@dataclass(frozen=True, slots=True)
class Papers:
    """`client` has client.pem, ca.pem and key.pem, as an administrator would be given them;
    `server` has server.pem, ca.pem and key.pem."""

    client: Path
    server: Path


def issue(folder: Path) -> Papers:
    """Valid now by this machine's clock; in 1970 they are not valid yet."""
    valid = Validity.around(datetime.now(UTC))
    root = Authority.root("Head Office CA", valid, KeyKind.P256.generate())
    papers = Papers(folder / "client", folder / "server")
    for where, usage, name, names in (
        (papers.client, Usage.CLIENT, IDENTITY, [IDENTITY]),
        (papers.server, Usage.SERVER, "radius.example.test", ["radius.example.test"]),
    ):
        issued = root.issue(name, valid, KeyKind.RSA_2048.generate(), usage=usage, names=names)
        stem = "client" if usage is Usage.CLIENT else "server"
        write_whole(where / f"{stem}.pem", issued.certificate_pem())
        write_whole(where / "key.pem", issued.key_pem(), PRIVATE)
        write_whole(where / "ca.pem", root.certificate_pem())
    return papers
