"""The server core: what it answers, whom, and how often."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.ntp_memory import DATE, server
from lab.ntp_stamps import stamps_on
from ntp.aio import server as program
from ntp.auth import Algorithm, Key
from ntp.messages import Address
from ntp.packet import Header, Mode, Packet
from ntp.server import CLIENTS, Datagram, Event, Reply, Sent, Server, Settings
from ntp.timestamp import SECOND, to_unix_ns
from wire.secret import Secret
from wire.timer import TimerFired

CLIENT = Address("192.0.2.7", 12345)
KEY = Key(5, Algorithm.AES128CMAC, Secret(bytes(range(16))))


def ask(core: Server, octets: bytes, now: float = 0.0, host: str = CLIENT.host) -> bytes | None:
    replies = core.handle(Datagram(octets=octets, source=Address(host, 1)), now)
    return replies[0].octets if replies else None


def request(version: int = 4, mode: int = Mode.CLIENT) -> bytes:
    return bytes(Header(mode, version=version, transmit=0x1122334455667788, poll=6))


def test_its_date_goes_on_by_the_monotonic_clock_alone() -> None:
    answer = ask(server(), request(), now=100.25)
    assert answer is not None
    header = Header.parse(answer)
    assert to_unix_ns(header.transmit, DATE) == DATE + 100 * SECOND + SECOND // 4
    assert header.origin == 0x1122334455667788
    assert (header.mode, header.version, header.poll) == (Mode.SERVER, 4, 6)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_the_answer_has_the_version_of_the_request(version: int) -> None:
    answer = ask(server(), request(version))
    assert answer is not None
    assert Header.parse(answer).version == version


def test_a_client_of_version_1_has_no_mode() -> None:
    assert ask(server(), request(1, Mode.RESERVED)) is not None


@pytest.mark.parametrize("version", [0, 5, 6, 7])
def test_other_versions_are_dropped_and_counted(version: int) -> None:
    core = server()
    assert ask(core, request(version)) is None
    assert core.counters["NoRequest"] == 1


@pytest.mark.parametrize("mode", [0, 1, 2, 4, 5, 6, 7])
def test_answers_and_other_modes_are_never_answered(mode: int) -> None:
    assert ask(server(), request(mode=mode)) is None


@given(st.binary(max_size=200))
def test_nobody_gets_more_octets_than_he_sent(octets: bytes) -> None:
    answer = ask(server(), octets)
    assert answer is None or len(answer) <= len(octets)


def test_a_keyed_request_gets_a_keyed_answer_and_a_wrong_one_none() -> None:
    core = server(keys={5: KEY})
    answer = ask(core, KEY.sign(request()))
    assert answer is not None
    KEY.verify(Packet.parse(answer), answer)
    wrong = Key(5, Algorithm.AES128CMAC, Secret(bytes(16)))
    assert ask(core, wrong.sign(request())) is None
    assert core.counters["NotAuthentic"] == 1


def test_a_server_for_keyed_clients_only_answers_no_others() -> None:
    core = server(keys={5: KEY}, keys_only=True)
    assert ask(core, request()) is None
    assert ask(core, KEY.sign(request())) is not None


def test_a_client_over_its_rate_is_told_once_in_four() -> None:
    core = server(rate=1.0, burst=2)
    answers = [ask(core, request()) for _ in range(10)]
    codes = [Header.parse(answer).reference_id if answer else None for answer in answers]
    assert codes == [b"LOCL", b"LOCL", b"RATE", None, None, None, b"RATE", None, None, None]
    assert ask(core, request(), host="192.0.2.8") is not None
    later = ask(core, request(), now=1.0)
    assert later is not None
    assert Header.parse(later).stratum == 1


def test_a_denied_client_is_told_so() -> None:
    answer = ask(server(denied={CLIENT.host}), request())
    assert answer is not None
    assert (Header.parse(answer).stratum, Header.parse(answer).reference_id) == (0, b"DENY")


def test_it_remembers_a_bounded_number_of_clients() -> None:
    core = server()
    for number in range(CLIENTS + 100):
        ask(core, request(), host=f"10.0.{number >> 8}.{number & 255}")
    assert len(core._clients) == CLIENTS


@pytest.mark.parametrize(
    "arguments",
    [("-p", "0"), ("-p", "70000"), ("--date", "tomorrow"), ("--stratum", "16"), ("-b", "a b")],
)
def test_what_the_server_cannot_serve_is_one_sentence(arguments: tuple[str, ...]) -> None:
    argv = [sys.executable, "-m", "ntp.aio.server", *arguments]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode in (1, 2)
    assert "Traceback" not in result.stderr
    assert arguments[-1] in result.stderr


def test_the_program_takes_addresses_a_date_a_stratum_and_a_rate() -> None:
    where = ["-b", "127.0.0.1", "-b", "::1", "-p", "1123"]
    what = ["--date", "2026-12-24T12:00:00", "--stratum", "3", "--rate", "60"]
    options = program.parser().parse_args([*where, *what])
    assert options.bind == ["127.0.0.1", "::1"]
    assert (options.port, options.stratum, options.rate) == (1123, 3, 60)
    assert options.date == 1_798_113_600 * SECOND  # without a zone it is UTC
    with_zone = program.parser().parse_args(["--date", "2026-12-24T13:00:00.5+01:00"])
    assert with_zone.date == options.date + SECOND // 2
    plain = program.parser().parse_args([])
    assert (plain.port, plain.stratum, plain.rate, plain.keys) == (123, 1, 0, None)


@pytest.mark.parametrize("wrong", ["-p 0", "--stratum 16", "--rate x", "--date yesterday"])
def test_the_program_says_what_is_wrong_with_an_option(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program.parser().parse_args(wrong.split())
    assert f"argument {wrong.split()[0]}: " in capsys.readouterr().err


def test_it_says_of_itself_what_its_settings_say() -> None:
    def said(core: Server) -> tuple[object, ...]:
        answer = ask(core, request())
        assert answer is not None
        it = Header.parse(answer)
        precision = it.precision - 256 if it.precision > 127 else it.precision
        return (it.leap, it.stratum, precision, it.root_delay, it.root_dispersion, it.reference_id)

    plain = Server(Settings(date=DATE, at=0.0))
    assert said(plain) == (0, 1, -20, 0, 0, b"LOCL")
    assert plain.settings == Settings(
        date=DATE, at=0.0, keys={}, keys_only=False, rate=0.0, burst=8, denied=(), interleaved=True
    )
    more = Settings(
        date=DATE, at=0.0, leap=1, stratum=3, precision=-10, root_delay=SECOND,
        root_dispersion=SECOND // 2, reference_id=b"ABCD",
    )  # fmt: skip
    assert said(Server(more)) == (1, 3, -10, 1 << 16, 1 << 15, b"ABCD")


def test_nothing_is_ever_due() -> None:
    core = server()
    assert core.deadline is None
    assert core.handle(TimerFired(), 1e9) == ()
    assert core.counters == {}


def test_what_became_of_each_request_is_counted() -> None:
    core = server(rate=1.0, burst=1, denied={"192.0.2.9"}, keys={5: KEY})
    for host in (CLIENT.host, CLIENT.host, CLIENT.host, "192.0.2.9"):
        ask(core, request(), host=host)
    ask(core, b"", host="192.0.2.10")
    ask(core, Key(9, Algorithm.AES128CMAC, Secret(bytes(16))).sign(request()), host="192.0.2.10")
    assert core.counters == {
        "answered": 1, "RATE": 1, "TooOften": 1, "DENY": 1, "Malformed": 1, "NotAuthentic": 1,
    }  # fmt: skip


async def test_the_socket_gives_each_request_the_kernels_stamp_and_tells_when_the_reply_left() -> (
    None
):
    events: asyncio.Queue[Datagram | Sent] = asyncio.Queue()

    class Recorder(Server):
        def handle(self, event: Event, now: float) -> Sequence[Reply]:
            if isinstance(event, Datagram | Sent):
                events.put_nowait(event)
            return super().handle(event, now)

    core = Recorder(Settings(date=DATE, at=time.monotonic()))
    with (
        stamps_on(),
        program.ServerSocket(core, Address("127.0.0.1", 0)) as bound,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link,
    ):
        for _ in range(2):
            before = time.monotonic()
            link.sendto(request(), ("127.0.0.1", bound.address.port))
            async with asyncio.timeout(10):
                asked, left = await events.get(), await events.get()
            assert isinstance(asked, Datagram)
            assert asked.received is not None
            assert isinstance(left, Sent)
            assert left.to == asked.source == Address("127.0.0.1", link.getsockname()[1])
            assert before - 0.01 <= asked.received <= left.at <= time.monotonic()


@pytest.mark.parametrize(
    ("age", "known"), [(0.0, True), (0.1, True), (-1.0, False), (3600.0, False)]
)
def test_a_stamp_that_is_old_or_of_tomorrow_is_none(age: float, known: bool) -> None:
    """The clock was set since."""
    now = time.monotonic()
    found = program._monotonic(time.time_ns() - round(age * SECOND))
    assert (found is not None) == known
    if found is not None:
        assert abs(found - (now - age)) < 0.05
    assert program._monotonic(None) is None
