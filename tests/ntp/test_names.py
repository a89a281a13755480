"""Whether a certificate is for the host that was asked."""

from datetime import UTC, datetime

import pytest

from lab.pki import KeyKind, Usage, Validity, key, site
from ntp.nts.names import names_host

NAMES = [
    "time.example.net",
    "zeit.xn--mnchen-3ya.example",
    "*.pool.example.net",
    "192.0.2.1",
    "2001:db8::1",
]
CERTIFICATE = (
    site()
    .root.issue(
        "common.example.net",
        Validity.around(datetime(2026, 1, 1, tzinfo=UTC)),
        key(KeyKind.P256, "names"),
        usage=Usage.SERVER,
        names=NAMES,
    )
    .certificate
)


@pytest.mark.parametrize(
    "host",
    [
        "time.example.net",
        "TIME.Example.Net",
        "time.example.net.",
        "a.pool.example.net",
        "192.0.2.1",
        "2001:db8:0::1",
    ],
)
def test_it_is(host: str) -> None:
    assert names_host(CERTIFICATE, host)


@pytest.mark.parametrize(
    "host",
    [
        "common.example.net",
        "example.net",
        "pool.example.net",
        "a.b.pool.example.net",
        "time.example.net.evil.example",
        "192.0.2.2",
        "2001:db8::2",
        "",
    ],
)
def test_it_is_not(host: str) -> None:
    assert not names_host(CERTIFICATE, host)


def test_a_name_of_other_letters_is_compared_in_its_ascii_form() -> None:
    assert names_host(CERTIFICATE, "zeit.m\u00fcnchen.example")
    assert not names_host(CERTIFICATE, "zeit.munchen.example")
    assert not names_host(CERTIFICATE, "zeit..m\u00fcnchen.example")


def test_a_certificate_without_alternative_names_is_for_nobody() -> None:
    assert not names_host(site().client.certificate, "gw-0001")
