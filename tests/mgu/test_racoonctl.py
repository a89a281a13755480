"""racoonctl against a daemon's admin socket whose answers the test writes."""

import asyncio
import errno
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest

from ike.admin.framing import Command, Reply, Request, StatusForm, Subject
from ike.admin.records import (
    Endpoint,
    EventRecord,
    EventType,
    Index,
    IsakmpSaRecord,
    Phase1Status,
    ScheduleRecord,
    Side,
)
from ike.aio.admin import AdminServer, Answer
from mgu.admin_client import Refused
from mgu.commands.racoonctl import main, plan
from wire.secret import Secret
from xfrm.model import Algorithm, Lifetime, SecurityAssociation, Usage
from xfrm.pfkey import dump_reply

HERE = Endpoint(ip_address("10.99.0.1"), 500)
THERE = Endpoint(ip_address("10.99.0.2"), 500)
CREATED = 1795458811  # 2026-11-23 18:33:31 UTC

ISAKMP = IsakmpSaRecord(
    cookies=bytes.fromhex("5ffbde19baad3051c051ea79ade5828f"),
    status=Phase1Status.ESTABLISHED,
    side=Side.INITIATOR,
    remote=THERE,
    local=HERE,
    exchange=2,
    created=CREATED,
    phase2_count=1,
)


@dataclass
class Daemon:
    """Answers each command with the body of its number; remembers what it was asked."""

    bodies: dict[Command, bytes] = field(default_factory=dict)
    errno: int = 0
    events: list[EventRecord] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    server: AdminServer | None = None

    async def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        body = self.bodies.get(request.command, b"")
        reply = Reply(command=request.command, subject=request.subject, body=body, errno=self.errno)
        if not self.events:
            return Answer(reply)
        asyncio.get_running_loop().call_soon(self.tell)
        return Answer(reply, lambda _: True)

    def tell(self) -> None:
        assert self.server is not None
        for event in self.events:
            self.server.publish(event)


@asynccontextmanager
async def serving(daemon: Daemon, path: Path) -> AsyncIterator[Path]:
    daemon.server = await AdminServer.open(path, daemon.answer)
    try:
        yield path
    finally:
        await daemon.server.close()


async def racoonctl(daemon: Daemon, folder: Path, *words: str) -> int:
    async with serving(daemon, folder / "racoon.sock") as path:
        return await asyncio.to_thread(main, ["-s", str(path), *words])


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (
            (),
            "Destination            Cookies                           Created\n"
            "10.99.0.2.500          5ffbde19baad3051:c051ea79ade5828f 2026-11-23 18:33:31 \n",
        ),
        (
            ("-l",),
            "Destination            Cookies                           "
            "ST S  V E Created             Phase2\n"
            "10.99.0.2.500          5ffbde19baad3051:c051ea79ade5828f  "
            "9 I 10 M 2026-11-23 18:33:31      1 \n",
        ),
        (
            ("-ll",),
            "Source                                        "
            "Destination                                   Cookies                           "
            "ST S  V E Created             Phase2\n"
            "10.99.0.1.500                                 "
            "10.99.0.2.500                                 "
            "5ffbde19baad3051:c051ea79ade5828f  9 I 10 M 2026-11-23 18:33:31      1 \n",
        ),
    ],
    ids=["short", "-l", "-ll"],
)
async def test_isakmp_sas_are_shown_as_racoon_shows_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], shown: str
) -> None:
    daemon = Daemon({Command.SHOW_SA: bytes(ISAKMP)})
    assert await racoonctl(daemon, tmp_path, *options, "show-sa", "isakmp") == 0
    assert capsys.readouterr().out == shown
    assert daemon.asked == [Request(command=Command.SHOW_SA, subject=Subject.ISAKMP)]


async def test_ipsec_sas_are_shown_with_their_keys_as_setkey_shows_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sa = SecurityAssociation(
        src=ip_address("10.105.68.54"),
        dst=ip_address("10.105.68.60"),
        spi=0x0FDDC843,
        encryption=Algorithm(
            name="cbc(aes)", key=Secret(bytes.fromhex("bc31a0ac98924ff1585d6413fbedb274"))
        ),
        authentication=Algorithm(
            name="hmac(sha1)",
            key=Secret(bytes.fromhex("89e1aceaf22af30f7d6dde47139e1846f18fb283")),
            icv_bits=96,
        ),
        lifetime=Lifetime(hard_seconds=3600, soft_seconds=2880),
        usage=Usage(octets=544, packets=4, added=CREATED, used=CREATED),
    )
    body = dump_reply([sa], pid=6456, now=CREATED)
    assert await racoonctl(Daemon({Command.SHOW_SA: body}), tmp_path, "show-sa", "ipsec") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "10.105.68.54 10.105.68.60 "
    assert lines[1:4] == [
        "\tesp mode=transport spi=266192963(0x0fddc843) reqid=0(0x00000000)",
        "\tE: aes-cbc  bc31a0ac 98924ff1 585d6413 fbedb274",
        "\tA: hmac-sha1  89e1acea f22af30f 7d6dde47 139e1846 f18fb283",
    ]
    assert "\tcurrent: 544(bytes)\thard: 0(bytes)\tsoft: 0(bytes)" in lines
    assert lines[-1] == "\tsadb_seq=0 pid=6456 refcnt=0"


@pytest.mark.parametrize("body", ["", "020a02000200000000000000b3030000"], ids=["none", "racoon's"])
async def test_no_ipsec_sas_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    daemon = Daemon({Command.SHOW_SA: bytes.fromhex(body)})
    assert await racoonctl(daemon, tmp_path, "ss", "esp") == 0
    assert capsys.readouterr().out == "No SAD entries.\n"


@pytest.mark.parametrize("body", [b"\x02", bytes(16), b"\x02\x0a" + bytes(30)])
async def test_a_dump_that_is_none_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    assert await racoonctl(Daemon({Command.SHOW_SA: body}), tmp_path, "show-sa", "ipsec") == 1
    told = capsys.readouterr().err
    assert told.startswith("racoonctl: racoon's answer is not understood: ")
    assert told.count("\n") == 1


async def test_the_schedule_has_racoons_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timer = ScheduleRecord(due=33, number=2, created=CREATED, tick=20)
    daemon = Daemon({Command.SHOW_SCHEDULE: bytes(timer)})
    assert await racoonctl(daemon, tmp_path, "show-schedule") == 0
    assert capsys.readouterr().out == (
        "index    tick     xtime    created\n2        20       33       2026-11-23 18:33:31\n"
    )


async def test_establish_waits_for_the_event_that_says_it_is_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    up = [
        EventRecord(type=EventType.PHASE1_UP, when=CREATED, src=HERE, dst=THERE),
        EventRecord(type=EventType.PHASE2_UP, when=CREATED, src=HERE, dst=THERE),
    ]
    daemon = Daemon(events=up)
    words = ("establish-sa", "-w", "esp", "inet", "10.99.0.1/32", "10.99.0.2/32", "any")
    assert await racoonctl(daemon, tmp_path, *words) == 0
    assert capsys.readouterr().out == (
        "Phase 1 established : 10.99.0.1[500] -> 10.99.0.2[500]\n"
        "Phase 2 established : 10.99.0.1[500] -> 10.99.0.2[500]\n"
    )
    index, _ = Index.parse(daemon.asked[0].body)
    assert (index.src.address, index.dst.address) == (HERE.address, THERE.address)
    assert (index.src_prefix, index.protocol) == (32, 255)


async def test_establish_fails_with_the_daemons_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = EventRecord(type=EventType.PHASE1_AUTH_FAILED, when=CREATED, src=HERE, dst=THERE)
    words = ("es", "-w", "isakmp", "inet", "10.99.0.1", "10.99.0.2")
    assert await racoonctl(Daemon(events=[failed]), tmp_path, *words) == 1
    assert "Phase 1 error: authentication failed : 10.99.0.1" in capsys.readouterr().out


async def test_a_remote_can_be_named_when_establishing(tmp_path: Path) -> None:
    daemon = Daemon()
    words = ("es", "-n", "office", "isakmp", "inet", "10.99.0.1", "10.99.0.2")
    assert await racoonctl(daemon, tmp_path, *words) == 0
    assert Index.parse(daemon.asked[0].body)[1] == b"office\0"


async def test_show_event_prints_until_the_daemon_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = Endpoint(None)
    events = [
        EventRecord(type=EventType.PHASE1_DOWN, when=CREATED, src=HERE, dst=THERE),
        EventRecord(type=EventType.QUIT, when=CREATED, src=nobody, dst=nobody),
    ]
    assert await racoonctl(Daemon(events=events), tmp_path, "show-event") == 0
    assert capsys.readouterr().out == (
        "Phase 1 deleted : 10.99.0.1[500] -> 10.99.0.2[500]\n"
        "Racoon terminated : anonymous -> anonymous\n"
    )


async def test_events_that_break_off_are_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = Daemon(events=[EventRecord(type=EventType.PHASE1_UP, when=0, src=HERE, dst=THERE)])
    async with serving(daemon, tmp_path / "racoon.sock") as path:
        asking = asyncio.to_thread(main, ["-s", str(path), "show-event"])
        task = asyncio.create_task(asking)
        while not capsys.readouterr().out:  # noqa: ASYNC110 - the command tells nobody else
            await asyncio.sleep(0.01)
    assert await task == 1
    assert capsys.readouterr().err == (
        "racoonctl: racoon ended the connection: later events are not shown\n"
    )


async def test_status_prints_the_daemons_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = Daemon({Command.STATUS_VERBOSE: b'{"schema_version":"2.0"}'})
    assert await racoonctl(daemon, tmp_path, "status", "-v", "-f", "json") == 0
    assert capsys.readouterr().out == '{"schema_version":"2.0"}\n'
    assert daemon.asked[0].subject == 1


@pytest.mark.parametrize(
    ("words", "command", "subject"),
    [
        (("rc",), Command.RELOAD_CONFIG, Subject.NONE),
        (("flush-sa", "esp"), Command.FLUSH_SA, Subject.ESP),
        (("ds", "isakmp", "inet", "10.99.0.1", "10.99.0.2"), Command.DELETE_SA, Subject.ISAKMP),
        (
            ("ds", "esp", "inet", "10.99.0.1/32[80]", "10.99.0.2/32/22", "tcp"),
            Command.DELETE_SA,
            Subject.ESP,
        ),
        (("logout-user", "joe"), Command.LOGOUT_USER, Subject.NONE),
    ],
)
async def test_other_commands_reach_the_daemon(
    tmp_path: Path, words: tuple[str, ...], command: Command, subject: Subject
) -> None:
    daemon = Daemon()
    assert await racoonctl(daemon, tmp_path, *words) == 0
    assert (daemon.asked[0].command, daemon.asked[0].subject) == (command, subject)


async def test_the_daemons_own_words_for_what_is_not_there_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = {Command.ESTABLISH_SA: b"racoon.conf has no remote for 10.0.0.2\xff"}
    words = ("es", "isakmp", "inet", "10.0.0.1", "10.0.0.2")
    assert await racoonctl(Daemon(bodies, errno=errno.ENOENT), tmp_path, *words) == 1
    assert capsys.readouterr().err == "racoonctl: racoon.conf has no remote for 10.0.0.2\ufffd\n"


async def test_a_refusal_of_the_daemon_is_its_error_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await racoonctl(Daemon(errno=errno.ENOTSUP), tmp_path, "show-sa", "internal") == 1
    assert capsys.readouterr().err == "racoonctl: Operation not supported\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("vd", "127.0.0.9"), "there is no SA with 127.0.0.9"),
        (("ds", "isakmp", "inet", "10.0.0.1", "10.0.0.2"), "there is no such SA"),
        (("es", "esp", "inet", "10.0.0.1", "10.0.0.2"), "there is no policy for it; 'setkey -DP'"),
    ],
)
async def test_what_is_not_there_is_said_in_the_commands_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    assert await racoonctl(Daemon(errno=errno.ENOENT), tmp_path, *words) == 1
    assert capsys.readouterr().err.startswith(f"racoonctl: {sentence}")


def test_without_a_daemon_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "racoon.sock"
    assert main(["-s", str(path), "show-sa", "isakmp"]) == 1
    assert capsys.readouterr().err == (
        f"racoonctl: cannot connect to racoon admin socket {path}: "
        "No such file or directory (is racoon running?)\n"
    )


def test_an_unknown_command_is_refused_in_racoons_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bogus"]) == 1
    told = capsys.readouterr()
    assert told.out == "Invalid command [bogus]\n"
    assert told.err == "racoonctl: kmpstat: Invalid argument\n"


def test_without_arguments_it_shows_its_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    usage = capsys.readouterr().out
    assert usage.startswith("usage: racoonctl ")
    assert usage.endswith("64 wrong usage.\n")
    assert main(["-h"]) == 0
    assert capsys.readouterr().out == usage


@pytest.mark.parametrize(
    ("short", "command"),
    [
        (["rc"], Command.RELOAD_CONFIG),
        (["sc"], Command.SHOW_SCHEDULE),
        (["ss"], Command.SHOW_SA),
        (["fs"], Command.FLUSH_SA),
        (["ds", "isakmp", "inet", "10.0.0.1", "10.0.0.2"], Command.DELETE_SA),
        (["es", "isakmp", "inet", "10.0.0.1", "10.0.0.2"], Command.ESTABLISH_SA),
        (["vc", "127.0.0.1"], Command.ESTABLISH_SA),
        (["vd", "127.0.0.1"], Command.DELETE_ALL_SA_DST),
        (["se"], Command.SHOW_EVENT),
        (["st"], Command.STATUS),
        (["gc"], Command.GET_CERT),
        (["lu"], Command.LOGOUT_USER),
    ],
)
async def test_every_short_command_is_the_long_one(
    tmp_path: Path, short: list[str], command: Command
) -> None:
    daemon = Daemon(errno=errno.EINVAL)
    assert await racoonctl(daemon, tmp_path, *short) == 1
    (request,) = daemon.asked
    assert request.command == command
    about_isakmp = command in (Command.GET_CERT, Command.SHOW_SA, Command.FLUSH_SA)
    if short[1:] or about_isakmp:
        assert request.subject == Subject.ISAKMP
    if short[1:]:
        index, rest = Index.parse(request.body)
        assert (str(index.dst.address), rest) == (short[-1], b"")


@pytest.mark.parametrize(
    ("kind", "subject"),
    [("esp", Subject.ESP), ("ah", Subject.AH), ("ipsec", Subject.IPSEC)],
)
async def test_an_sa_is_deleted_and_established_by_its_kind(
    tmp_path: Path, kind: str, subject: Subject
) -> None:
    for command in ("ds", "es"):
        daemon = Daemon()
        words = (command, kind, "inet", "10.0.0.1", "10.0.0.2")
        assert await racoonctl(daemon, tmp_path, *words) == 0
        assert [request.subject for request in daemon.asked] == [subject]


@pytest.mark.parametrize(
    ("body", "shown"), [(b"{}", "{}\n"), (b"two\nlines\n", "two\nlines\n"), (b"\xff", "\ufffd\n")]
)
async def test_a_status_ends_with_one_line_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes, shown: str
) -> None:
    assert await racoonctl(Daemon({Command.STATUS: body}), tmp_path, "status") == 0
    assert capsys.readouterr().out == shown


async def test_a_gateway_is_followed_until_it_is_up_or_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Endpoint(ip_address("127.0.0.1"), 500)
    up = EventRecord(type=EventType.PHASE1_UP, when=0, src=home, dst=home)
    down = EventRecord(type=EventType.PHASE1_DOWN, when=0, src=home, dst=home)
    for command, first, last in (("vpn-connect", down, up), ("vpn-disconnect", up, down)):
        assert (
            await racoonctl(Daemon(events=[first, last, first]), tmp_path, command, "127.0.0.1")
            == 0
        )
        assert len(capsys.readouterr().out.splitlines()) == 2


async def test_what_a_reload_leaves_for_a_restart_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = Daemon({Command.RELOAD_CONFIG: b"'listen' is not\n\xff"})
    assert await racoonctl(daemon, tmp_path, "reload-config") == 0
    assert capsys.readouterr().err == "racoonctl: 'listen' is not\nracoonctl: \ufffd\n"


async def test_a_network_of_everything_and_any_protocol_are_the_defaults(tmp_path: Path) -> None:
    daemon = Daemon()
    words = ("ds", "esp", "inet", "0.0.0.0/0", "10.0.0.2/32/80")
    assert await racoonctl(daemon, tmp_path, *words) == 0
    index, _ = Index.parse(daemon.asked[0].body)
    assert (index.src_prefix, index.dst_prefix, index.protocol) == (0, 32, 255)
    assert (index.src.port, index.dst.port) == (0, 80)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("establish-sa", "isakmp", "inet", "10.0.0.1"), "which SA?"),
        (("es", "isakmp", "inet9", "10.0.0.1", "10.0.0.2"), "'inet9' is not an address family"),
        (("es", "isakmp", "inet6", "10.0.0.1", "10.0.0.2"), "10.0.0.1 is not an inet6 address"),
        (("ds", "esp", "inet", "10.0.0.1/99", "10.0.0.2"), "is not ADDRESS/LENGTH/PORT"),
        (("ss", "esq"), "'esq' is not one of isakmp"),
        (("status", "-f", "xml"), "invalid choice"),
        (("vpn-connect",), "the following arguments are required: gateway"),
        (("flush-sa", "all"), "'all' is not one of isakmp"),
        (("vc", "gateway"), "'gateway' is not an IP address"),
        (("ds", "esp", "inet", "10.0.0.1/x", "10.0.0.2"), "is not ADDRESS/LENGTH/PORT"),
        (("ds", "esp", "inet", "10.0.0.1", "10.0.0.2", "tcp", "more"), "which SA?"),
        (("es", "isakmp", "inet6", "fd00::1", "fe80::2%eth0"), "no addresses of one interface"),
        (("ds", "esp", "inet", "10.0.0.1/32/80/tcp", "10.0.0.2"), "is not ADDRESS/LENGTH/PORT"),
        (("ds", "esp", "inet", "10.0.0.1/32/65536", "10.0.0.2"), "is not ADDRESS/LENGTH/PORT"),
        (("ds", "esp", "inet", "10.0.0.1", "10.0.0.2", "none"), "there is no IP protocol 'none'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_code_64_with_or_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    assert main(["-s", str(tmp_path / "nobody"), *words]) == 64
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


def test_it_starts_without_anything_heavy() -> None:
    check = (
        "import sys, mgu.commands.racoonctl, xfrm.pfkey, xfrm.setkey.show;"
        "heavy = {'asyncio', 'OpenSSL', 'cryptography', 'pyroute2', 'lark'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("words", ["show-sa", "status", "reload-config", "vpn-connect 127.0.0.1"])
def test_what_asks_for_no_ipsec_sa_does_not_pay_for_their_model(words: str) -> None:
    check = (
        "import sys; from mgu.commands.racoonctl import main; main(sys.argv[1:]);"
        "heavy = {'dataclasses', 'typing', 'pathlib', 'hmac', 'shutil', 'datetime', 'xfrm.model'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    argv = [sys.executable, "-c", check, "-s", "/nobody", *words.split()]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert "cannot connect to racoon admin socket /nobody" in done.stderr


@pytest.mark.parametrize(
    ("words", "command", "form"),
    [
        ([], Command.STATUS, StatusForm.TEXT),
        (["-f", "text"], Command.STATUS, StatusForm.TEXT),
        (["-f", "json"], Command.STATUS, StatusForm.JSON),
        (["-v", "-f", "json"], Command.STATUS_VERBOSE, StatusForm.JSON),
    ],
)
def test_a_status_is_asked_for_in_the_form_that_is_wanted(
    words: list[str], command: Command, form: StatusForm
) -> None:
    assert plan("status", words, 0).request == Request(command=command, subject=form)
    with pytest.raises(Refused, match="racoonctl' alone shows the usage") as refused:
        plan("status", ["-f", "xml"], 0)
    assert refused.value.code == 64


@pytest.mark.parametrize(
    ("words", "until"),
    [
        ("isakmp inet 10.0.0.1 10.0.0.2", EventType.PHASE1_UP),
        ("esp inet 10.0.0.1 10.0.0.2 any", EventType.PHASE2_UP),
    ],
)
def test_who_waits_for_an_sa_waits_for_its_phase(words: str, until: EventType) -> None:
    waits = plan("establish-sa", ["-w", *words.split()], 0)
    assert (waits.watch, waits.until) == (True, until)
    assert not plan("establish-sa", words.split(), 0).watch
