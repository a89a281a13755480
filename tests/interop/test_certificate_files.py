"""Made certificates and keys, given to wpa_supplicant's EAP peer and to ours: the same verdicts.

The peer is eapol_test, which is wpa_supplicant's code from the configuration to EAP-TLS; the server
is hostapd's. What differs is written in docs/conformance/files-of-others.md.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eapol.errors import CredentialError
from eapol.settings import Credentials, NamedOctets, NamedSecret, TlsPolicy
from eapol.tls import ClientContext, ServerContext
from lab import odd_pki, require
from lab.netns import Namespace
from lab.odd_pki import Made
from lab.peers.freeradius import SECRET
from lab.peers.hostapd import OwnServer, radius_server
from lab.pki import KeyKind, site
from wire.secret import Secret

pytestmark = pytest.mark.interop

SITE = site(KeyKind.P256)
CONF = """\
network={{
    key_mgmt=IEEE8021X
    eap=TLS
    identity="gw-0001"
    ca_cert="{folder}/ca"
    private_key="{folder}/key"
    private_key_passwd="{passphrase}"
    {more}
}}
"""
ONLY_OURS = {
    "an encrypted key in DER": re.compile("key: PKCS #8, encrypted, DER"),
    "PKCS #12 without a MAC": re.compile(r"PKCS #12: no MAC"),
    "PKCS #7": re.compile("own: PKCS #7"),
    "OpenSSL 4 reads it, and OpenSSL 3.0 does not": re.compile("own: constraints, a length in two"),
}
"""We read these, and wpa_supplicant does not."""


def is_one(name: str, different: dict[str, re.Pattern[str]]) -> bool:
    return any(pattern.match(name) for pattern in different.values())


def theirs(host: Namespace, folder: Path, made: Made) -> tuple[bool, str]:
    for name in ("own", "key", "ca"):
        (folder / name).write_bytes(getattr(made, name))
    more = f'client_cert="{folder}/own"' if made.own else ""
    conf = CONF.format(folder=folder, passphrase=made.passphrase, more=more)
    (folder / "conf").write_text(conf)
    argv = [require.program("eapol_test"), "-c", str(folder / "conf"), "-s", SECRET, "-t", "1"]
    done = host.run(*argv, check=False)
    return done.stdout.rstrip().endswith("SUCCESS"), done.stdout


def ours(made: Made, now: datetime) -> tuple[bool, str]:
    credentials = Credentials(
        ca=NamedOctets("ca", made.ca),
        certificate=NamedOctets("own", made.own) if made.own else None,
        key=NamedSecret("key", Secret(made.key)),
        passphrase=Secret(made.passphrase.encode()) if made.passphrase else None,
    )
    server = Credentials(
        ca=NamedOctets("ca", SITE.root.certificate_pem()),
        certificate=NamedOctets("server", SITE.server.certificate_pem()),
        key=NamedSecret("server key", Secret(SITE.server.key_pem())),
    )
    try:
        here = ClientContext(TlsPolicy(), credentials).connection(now)
    except CredentialError as error:
        return False, str(error)
    there = ServerContext(TlsPolicy(), server).connection(now)
    records = here.step(b"").records
    for _ in range(6):
        answer = there.step(records)
        flight = here.step(answer.records)
        failure = flight.failure or answer.failure
        if failure is not None:
            return False, failure
        records = flight.records
    return here.established and there.established, "not established"


@pytest.mark.long
def test_wpa_supplicant_and_we_take_the_same_certificates_and_keys(
    make_host: Callable[[str], Namespace], tmp_path: Path
) -> None:
    host, now, wrong = make_host("host"), datetime.now(UTC), list[object]()
    made = list(odd_pki.supplicants(SITE, tmp_path))
    assert len(made) >= 100
    own = OwnServer(server=SITE.server, ca=SITE.root)
    with radius_server(host, tmp_path, own):
        for name, each in made:
            (we, why), (they, said) = ours(each, now), theirs(host, tmp_path, each)
            if we != they and not (we and is_one(name, ONLY_OURS)):
                wrong.append((name, we, they, why, re.findall(r"TLS: .*|SSL: .*fail.*", said)[-3:]))
    assert wrong == [], "\n".join(map(str, wrong))
