"""The figures that the standards give, with their clauses."""

from ntp import checks, jump, packet, peer, sample, server, service, timestamp, trust
from ntp.nts import records, session
from ntp.packet import Mode


def test_the_figures_of_rfc_5905() -> None:
    assert (peer.NTP_PORT, packet.HEADER_LENGTH) == (123, 48)  # 7.2, 7.3
    assert timestamp.UNIX_EPOCH == (70 * 365 + 17) * 86_400  # 6: 1970 in era 0
    assert (sample.STEPT, jump.STEPOUT) == (128_000_000, 900.0)  # A.1.1, ns and s
    assert (sample.MAXDIST, sample.MAXDISP) == (1.5, 16 * 10**9)  # 11.2.1, 7.2
    assert (checks.MAXSTRAT, trust.MAXFREQ) == (16, 500)  # 7.3, 7.2
    assert (service.MINPOLL, service.MAXPOLL) == (6, 10)  # 7.2: ours are within 4 and 17
    assert [Mode.SYMMETRIC_ACTIVE, Mode.SYMMETRIC_PASSIVE, Mode.CLIENT, Mode.SERVER] == [1, 2, 3, 4]


def test_the_figures_of_rfc_8915() -> None:
    assert (peer.NTS_KE_PORT, records.ALPN) == (4460, b"ntske/1")  # 4, 7.1
    assert records.EXPORTER_LABEL == b"EXPORTER-network-time-security"  # 4.3
    assert (records.NTPV4, records.AEAD_AES_SIV_CMAC_256, records.KEY_LENGTH) == (0, 15, 32)
    assert {each.name: each.value for each in records.RecordType} == {
        "END_OF_MESSAGE": 0, "NEXT_PROTOCOL": 1, "ERROR": 2, "WARNING": 3, "AEAD_ALGORITHM": 4,
        "NEW_COOKIE": 5, "SERVER": 6, "PORT": 7,
    }  # fmt: skip
    assert (session.UNIQUE_IDENTIFIER, session.COOKIE) == (0x0104, 0x0204)  # 7.5
    assert (session.COOKIE_PLACEHOLDER, session.AUTHENTICATOR) == (0x0304, 0x0404)
    assert (session.IDENTIFIER_LENGTH, session.NONCE_LENGTH) == (32, 16)  # 5.3, 5.6
    assert (session.KEPT_COOKIES, records.MOST_COOKIES) == (8, 8)  # 4.1.6, 5.7


def test_our_own_figures_are_those_of_the_page() -> None:
    assert (service.HOLDS, service.SAVE_EVERY, service.SEVERAL) == (86_400.0, 3600.0, 3)
    assert (service.LOST, service.FIRST_RETRY, service.JITTER) == (16 * 10**9, 2.0, 0.1)
    assert (server.CLIENTS, peer.MAX_SPACING, peer.BANISHED) == (4096, 1024.0, 1024.0)
