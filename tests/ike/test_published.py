"""Assigned numbers as the registries have them, racoon's words, and racoon.conf(5)'s defaults."""

from enum import Enum
from pathlib import Path

import pytest

from ike.admin.records import ScheduleRecord
from ike.admin.show import local_time, schedule_table
from ike.conf import protocols, values
from ike.conf.errors import ConfError
from ike.conf.files import Folders
from ike.conf.identifiers import identifier
from ike.conf.reading import Notes
from ike.config import GeneratePolicy, ProposalCheck, Remote, Sainfo, Switch, Timers
from ike.numbers import doi, isakmp
from ike.numbers.doi import Encryption, EspTransform, Group, Hash, IdType, Integrity
from ike.numbers.isakmp import ExchangeType
from wire.source import Source, Word


def _numbers(kind: type[Enum]) -> dict[str, int]:
    return {member.name: int(member.value) for member in kind}


# IANA, "Internet Key Exchange (IKE) Attributes" and "IPSEC Identifiers"; RFC 2408, 3.1.
PUBLISHED = [
    (
        doi.EspTransform,
        "DES_IV64=1 DES=2 TRIPLE_DES=3 RC5=4 IDEA=5 CAST=6 BLOWFISH=7 NULL=11 AES=12",
    ),
    (doi.EspTransform, "CAMELLIA=22"),
    (doi.AhTransform, "MD5=2 SHA1=3 DES=4 SHA2_256=5 SHA2_384=6 SHA2_512=7"),
    (doi.Encryption, "DES=1 IDEA=2 BLOWFISH=3 RC5=4 TRIPLE_DES=5 CAST=6 AES=7"),
    (doi.Group, "MODP768=1 MODP1024=2 MODP1536=5 MODP2048=14 MODP3072=15 MODP4096=16"),
    (doi.Group, "MODP6144=17 MODP8192=18"),
    (doi.LifeType, "SECONDS=1 KILOBYTES=2"),
    (isakmp.ProtocolId, "ISAKMP=1 AH=2 ESP=3 IPCOMP=4"),
    (isakmp.ExchangeType, "BASE=1 MAIN=2 AUTHENTICATION_ONLY=3 AGGRESSIVE=4 INFORMATIONAL=5"),
    (isakmp.ExchangeType, "TRANSACTION=6 QUICK=32 NEW_GROUP=33"),
    (
        isakmp.PayloadType,
        "SA=1 PROPOSAL=2 TRANSFORM=3 KE=4 ID=5 CERT=6 CERT_REQUEST=7 HASH=8 SIG=9",
    ),
    (isakmp.PayloadType, "NONCE=10 NOTIFY=11 DELETE=12 VENDOR=13 ATTRIBUTES=14 NAT_D=20 NAT_OA=21"),
    (isakmp.PayloadType, "NAT_D_DRAFT=130 NAT_OA_DRAFT=131 FRAGMENT=132"),
]


@pytest.mark.parametrize(("kind", "numbers"), PUBLISHED)
def test_assigned_numbers_are_the_registrys(kind: type[Enum], numbers: str) -> None:
    expected = {
        name: int(number) for name, _, number in (n.partition("=") for n in numbers.split())
    }
    assert expected.items() <= _numbers(kind).items()


def test_racoons_words_mean_what_they_say() -> None:
    assert {word: hash_.name for word, hash_ in values.HASHES.items()} == {
        "md5": "MD5",
        "sha1": "SHA1",
        "sha256": "SHA2_256",
        "sha384": "SHA2_384",
        "sha512": "SHA2_512",
        "sha2_256": "SHA2_256",
        "sha2_384": "SHA2_384",
        "sha2_512": "SHA2_512",
    }
    assert values.PHASE1_CIPHERS == {
        "des": Encryption.DES,
        "3des": Encryption.TRIPLE_DES,
        "aes": Encryption.AES,
        "rijndael": Encryption.AES,
        "camellia": Encryption.CAMELLIA,
        "blowfish": Encryption.BLOWFISH,
        "cast128": Encryption.CAST,
    }
    assert values.PHASE2_CIPHERS == {
        "des": EspTransform.DES,
        "3des": EspTransform.TRIPLE_DES,
        "null_enc": EspTransform.NULL,
        "null": EspTransform.NULL,
        "aes": EspTransform.AES,
        "rijndael": EspTransform.AES,
        "camellia": EspTransform.CAMELLIA,
        "blowfish": EspTransform.BLOWFISH,
        "cast128": EspTransform.CAST,
        "aes_ctr": EspTransform.AES_CTR,
        "aes_ccm": EspTransform.AES_CCM_16,
        "aes_ccm_8": EspTransform.AES_CCM_8,
        "aes_ccm_12": EspTransform.AES_CCM_12,
        "aes_ccm_16": EspTransform.AES_CCM_16,
        "aes_gcm": EspTransform.AES_GCM_16,
        "aes_gcm_8": EspTransform.AES_GCM_8,
        "aes_gcm_12": EspTransform.AES_GCM_12,
        "aes_gcm_16": EspTransform.AES_GCM_16,
    }
    assert {word: integrity.name for word, integrity in values.INTEGRITIES.items()} == {
        "hmac_md5": "HMAC_MD5",
        "hmac_sha1": "HMAC_SHA1",
        "hmac_sha256": "HMAC_SHA2_256",
        "hmac_sha384": "HMAC_SHA2_384",
        "hmac_sha512": "HMAC_SHA2_512",
        "hmac_sha2_256": "HMAC_SHA2_256",
        "hmac_sha2_384": "HMAC_SHA2_384",
        "hmac_sha2_512": "HMAC_SHA2_512",
        "aes_xcbc_mac": "AES_XCBC_MAC",
        "non_auth": "NONE",
    }
    assert [(word, int(group)) for word, group in values.GROUPS.items()] == [
        ("modp768", 1),
        ("modp1024", 2),
        ("modp1536", 5),
        ("modp2048", 14),
        ("modp3072", 15),
        ("modp4096", 16),
        ("modp6144", 17),
        ("modp8192", 18),
        ("ecp256", 19),
        ("ecp384", 20),
        ("ecp521", 21),
        ("ecp192", 25),
        ("ecp224", 26),
        ("ecp256bp", 28),
        ("ecp384bp", 29),
        ("ecp512bp", 30),
        ("curve25519", 31),
    ]


def _word(text: str) -> Word:
    return Word(text, Source("racoon.conf", text), 1, 1)


def test_a_group_that_is_not_supported_is_named_as_one() -> None:
    assert values.group(_word("14")) is values.group(_word("modp2048")) is Group.MODP2048
    for text in ("3", "modp999"):
        with pytest.raises(ConfError, match=f"the group {text} is not supported"):
            values.group(_word(text))


def test_an_address_as_identifier_has_the_type_of_its_version() -> None:
    notes = Notes(Folders(Path("/"), Path("/")))
    four, six = (identifier([_word("address"), _word(a)], notes) for a in ("192.0.2.1", "fd00::1"))
    assert (four.type, four.value) == (IdType.IPV4_ADDR, "192.0.2.1")
    assert (six.type, six.value) == (IdType.IPV6_ADDR, "fd00::1")


def test_the_defaults_of_a_remote_are_racoons() -> None:
    remote = Remote(name="anonymous", address=None)
    assert remote.port == 500
    assert remote.exchange_modes == (ExchangeType.MAIN,)
    assert [remote.verify_identifier, remote.passive, remote.support_proxy] == [False] * 3
    assert remote.initial_contact
    assert remote.dpd
    assert remote.send_cert
    assert remote.send_cr
    assert remote.verify_cert
    assert (remote.dpd_delay, remote.dpd_retry, remote.dpd_maxfail) == (0.0, 5.0, 5)
    assert (remote.nonce_size, remote.lifetime_seconds, remote.ph1id) == (16, 28800, 0)
    assert remote.proposal_check is ProposalCheck.STRICT
    assert (remote.nat_traversal, remote.ike_frag) == (Switch.OFF, Switch.OFF)
    assert (remote.generate_policy, remote.rekey) == (GeneratePolicy.OFF, Switch.ON)
    (proposal,) = remote.proposals
    assert (proposal.encryption, proposal.hash, proposal.group) == (
        Encryption.AES,
        Hash.SHA1,
        Group.MODP1024,
    )
    timers = Timers()
    assert (timers.counter, timers.interval, timers.persend) == (5, 10.0, 1)
    assert (timers.phase1, timers.phase2, timers.natt_keepalive) == (30.0, 30.0, 20.0)
    sainfo = Sainfo()
    assert (sainfo.lifetime_seconds, sainfo.lifetime_kilobytes) == (28800, None)
    assert (sainfo.pfs_group, sainfo.remoteid) == (None, 0)
    assert [e.transform for e in sainfo.encryption] == [EspTransform.AES]
    assert sainfo.integrity == (Integrity.HMAC_SHA1,)


def test_the_schedule_is_a_table_as_racoons() -> None:
    record = ScheduleRecord(due=12, number=1, created=1_700_000_000, tick=7)
    head, row = schedule_table([record]).splitlines()
    assert head == "index    tick     xtime    created"
    assert row == f"1        7        12       {local_time(1_700_000_000)}"


def test_a_comment_behind_a_protocol_names_none() -> None:
    names = protocols.known()
    assert (names["tcp"], names["udp"], names["icmp"], names["any"]) == (6, 17, 1, 0)
    assert "#" not in names
    assert "transmission" not in names
