"""ifcfg files, psk.txt and the racoon files that `ipsec` writes and administrators edit."""

import stat
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.conf.configuration import load
from ike.conf.psk import read as read_keys
from ike.values import Mode
from mgu.connections import folder, keys, racoon
from mgu.connections.connection import BadConnection, Connection, check, parse, render
from mgu.paths import IFCFG_DIR, RACOON_CONF, under_root
from wire.record import replace
from wire.secret import Secret

PEER = ip_address("192.168.1.200")
OFFICE = Connection(
    name="office",
    dst=PEER,
    src=ip_address("192.168.1.100"),
    network=ip_network("192.168.2.0/24"),
    protocol=132,
    dst_port=2816,
    reqid=3,
)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    return tmp_path


def test_an_ifcfg_file_says_all_of_a_connection() -> None:
    assert parse("office", render(OFFICE)) == OFFICE


def test_a_connection_is_a_tunnel_when_there_is_a_network_behind_the_peer() -> None:
    assert OFFICE.policy(ip_address("192.168.1.100")).protections[0].mode is Mode.TUNNEL
    host = Connection(name="node", dst=PEER)
    policy = host.policy(ip_address("10.0.0.1"))
    assert policy.protections[0].mode is Mode.TRANSPORT
    assert (policy.selector.local, policy.selector.remote) == (
        ip_network("10.0.0.1/32"),
        ip_network("192.168.1.200/32"),
    )


def test_a_connection_protects_the_traffic_that_it_names() -> None:
    narrow = replace(
        OFFICE, src_network=ip_network("10.1.0.0/16"), src_port=5000, on_boot=False, protocol=17
    )
    assert parse("office", render(narrow)) == narrow
    lines = render(narrow).splitlines()
    assert {"ONBOOT=no", "SRCNET=10.1.0.0/16", "SRCPORT=5000", "DSTPORT=2816"} <= set(lines)
    assert "ONBOOT=yes" in render(OFFICE).splitlines()
    selector = narrow.policy(ip_address("192.168.1.100")).selector
    assert (selector.local, selector.remote) == (narrow.src_network, narrow.network)
    assert (selector.protocol, selector.local_port, selector.remote_port) == (17, 5000, 2816)


@pytest.mark.parametrize("protocol", [6, 17, 33, 132, 136])
def test_tcp_udp_dccp_sctp_and_udplite_have_ports_and_no_other(protocol: int) -> None:
    check(replace(OFFICE, protocol=protocol))
    with pytest.raises(BadConnection):
        check(replace(OFFICE, protocol=protocol + 1))


def test_the_first_address_of_an_interface_is_the_gateways_own() -> None:
    assert folder.interface_address(4, "lo") == ip_address("127.0.0.1")
    with pytest.raises(BadConnection, match="lo has no IPv6 address: name ours with"):
        folder.interface_address(6, "lo")  # ::1 is of the host's scope
    with pytest.raises(BadConnection, match="none-such has no IPv4 address"):
        folder.interface_address(4, "none-such")


def test_an_ifcfg_file_that_cannot_be_read_is_nobodys_yet() -> None:
    folder.save(OFFICE)
    folder.path_of("folder").mkdir()
    assert folder.names() == ["office"]
    assert folder.unreadable() == ["folder"]


def test_a_line_of_psk_txt_without_a_key_hides_no_other(root: Path) -> None:
    path = root / "psk.txt"
    path.write_bytes(b"alone\n10.0.0.1 key\n10.0.0.2 0xnothex\n* everybody\n")
    assert keys.has_key(path, "10.0.0.1")
    assert not keys.has_key(path, "10.0.0.2")


def test_a_key_for_all_is_a_key_for_each(root: Path) -> None:
    path = root / "psk.txt"
    path.write_text("* everybody\n")
    assert keys.has_key(path, "10.0.0.1")


def test_a_key_is_appended_on_the_last_line(root: Path) -> None:
    path = root / "psk.txt"
    path.write_text("10.0.0.1 one\n")
    keys.set_key(path, "10.0.0.2", Secret(b"two"))
    assert path.read_text() == "10.0.0.1 one\n10.0.0.2 two\n"


def test_lines_that_are_not_ours_stay_in_an_ifcfg_file() -> None:
    before = "# mine\nTYPE=IPSEC\nMTU=1400\nDST=10.0.0.1\nSRCPORT=7\n"
    after = render(Connection(name="office", dst=PEER), before)
    assert after.splitlines()[:4] == ["# mine", "TYPE=IPSEC", "MTU=1400", f"DST={PEER}"]
    assert "SRCPORT" not in after


def test_values_may_be_quoted_as_a_shell_would() -> None:
    text = f"TYPE=\"IPSEC\"  # a network\nDST='{PEER}'\nONBOOT=no\n"
    assert parse("office", text) == Connection(name="office", dst=PEER, on_boot=False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("TYPE=Ethernet\n", "TYPE=IPSEC is missing"),
        ("TYPE=IPSEC\n", "DST=ADDRESS is missing"),
        ("TYPE=IPSEC\nDST=nobody\n", "'nobody' does not appear to be"),
        ("TYPE=IPSEC\nDST='10.0.0.1\n", "line 2 has a quote that is not closed"),
        ("TYPE=IPSEC\nDST=10.0.0.1\nrm -rf\n", "line 3 is not KEY=value"),
        ("TYPE=IPSEC\nDST=10.0.0.1\nDSTPORT=80\n", "a port needs a protocol that has ports"),
        ("TYPE=IPSEC\nDST=10.0.0.1\nIPPROTO=nonesuch\n", "there is no IP protocol 'nonesuch'"),
    ],
)
def test_a_bad_ifcfg_file_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadConnection, match=sentence):
        parse("office", text)


@given(st.text(max_size=200))
def test_any_ifcfg_text_is_read_or_refused(text: str) -> None:
    try:
        parse("office", text)
    except BadConnection as error:
        assert str(error)


def test_addresses_of_two_families_do_not_make_a_connection() -> None:
    with pytest.raises(BadConnection, match="mix IPv4 and IPv6"):
        check(replace(OFFICE, network=ip_network("2001:db8::/64")))


def test_a_connection_is_up_as_started_else_as_onboot_says() -> None:
    folder.save(OFFICE)
    assert folder.is_up(OFFICE)
    folder.set_started("office", False)
    assert not folder.is_up(OFFICE)
    folder.set_started("office", True)
    assert folder.is_up(replace(OFFICE, on_boot=False))


def test_ifcfg_files_of_other_types_are_left_alone() -> None:
    folder.save(OFFICE)
    folder.path_of("eth0").write_text("TYPE=Ethernet\nDEVICE=eth0\n")
    assert folder.names() == ["office"]


def test_an_unknown_connection_is_named_with_those_there_are() -> None:
    folder.save(OFFICE)
    with pytest.raises(BadConnection, match=r"no connection 'home' \(there is office\)"):
        folder.load("home")


def test_each_connection_gets_a_reqid_of_its_own_from_the_range_that_is_ours() -> None:
    first = folder.with_free_reqid(replace(OFFICE, name="a"), [])
    second = folder.with_free_reqid(replace(OFFICE, name="b"), [first])
    elsewhere = replace(OFFICE, name="c", dst=ip_address("10.9.9.9"))
    third = folder.with_free_reqid(elsewhere, [first, second])
    assert [first.reqid, second.reqid, third.reqid] == [0x4D470000, 0x4D470001, 0x4D470002]
    assert folder.with_free_reqid(second, [first, third]).reqid == 0x4D470001


# psk.txt


def entries(path: Path) -> dict[str, bytes]:
    return {name: key.reveal() for name, key in read_keys(path).entries}


def test_the_latest_key_of_a_host_wins_and_all_else_stays(root: Path) -> None:
    path = root / "psk.txt"
    path.write_bytes(b"# by hand\n10.0.0.9 other\n10.0.0.1 old\n\n# end\n10.0.0.1 older\n")
    path.chmod(0o600)
    assert keys.set_key(path, "10.0.0.1", Secret(b"new key"))
    assert path.read_bytes() == b"# by hand\n10.0.0.9 other\n10.0.0.1 new key\n\n# end\n"
    assert not keys.set_key(path, "10.0.0.1", Secret(b"new key"))


def test_a_new_psk_file_is_private_and_says_what_it_is(root: Path) -> None:
    path = root / "racoon/psk.txt"
    keys.set_key(path, "10.0.0.1", Secret(b"one"))
    keys.set_key(path, "10.0.0.2", Secret(b"two"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"# ")
    assert entries(path) == {"10.0.0.1": b"one", "10.0.0.2": b"two"}


def test_a_psk_file_that_others_could_read_is_closed_when_it_is_written(root: Path) -> None:
    path = root / "psk.txt"
    path.write_bytes(b"10.0.0.1 one\n")
    path.chmod(0o644)
    keys.set_key(path, "10.0.0.1", Secret(b"one"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_without_a_last_line_end_is_continued_on_a_line_of_its_own(root: Path) -> None:
    path = root / "psk.txt"
    path.write_bytes(b"10.0.0.1 one")
    path.chmod(0o600)
    keys.set_key(path, "10.0.0.2", Secret(b"two"))
    assert entries(path) == {"10.0.0.1": b"one", "10.0.0.2": b"two"}


def test_removing_a_key_leaves_comments_and_others(root: Path) -> None:
    path = root / "psk.txt"
    path.write_bytes(b"# c\n10.0.0.1 one\n10.0.0.2 two\n")
    path.chmod(0o600)
    assert keys.remove_key(path, "10.0.0.1")
    assert not keys.remove_key(path, "10.0.0.1")
    assert path.read_bytes() == b"# c\n10.0.0.2 two\n"


@pytest.mark.parametrize("key", [b"", b" blank", b"two\nlines", b"0xhunter2", b"k" * 1000])
def test_a_key_that_racoon_would_read_otherwise_is_refused_unshown(root: Path, key: bytes) -> None:
    with pytest.raises(BadConnection) as caught:
        keys.set_key(root / "psk.txt", "10.0.0.1", Secret(key))
    assert "hunter2" not in str(caught.value)


@given(st.binary(min_size=1, max_size=60))
def test_what_is_accepted_as_a_key_is_what_racoon_reads(
    tmp_path_factory: pytest.TempPathFactory, key: bytes
) -> None:
    path = tmp_path_factory.mktemp("psk") / "psk.txt"
    try:
        keys.set_key(path, "10.0.0.1", Secret(key))
    except BadConnection:
        return
    wanted = bytes.fromhex(key[2:].decode()) if key.startswith(b"0x") else key
    assert entries(path) == {"10.0.0.1": wanted}


# racoon.conf


def test_the_files_for_a_peer_are_what_racoon_reads(root: Path) -> None:
    keys.set_key(root / "etc/racoon/psk.txt", str(PEER), Secret(b"key"))
    racoon.write_common()
    racoon.write_remote(PEER, "PSK")
    made = load(under_root(RACOON_CONF), root)
    assert [remote.address for remote in made.engine.remotes] == [PEER]
    assert made.engine.keys.find(str(PEER)) == Secret(b"key")
    assert made.notices == ()


def test_files_that_were_edited_by_hand_are_kept(root: Path) -> None:
    racoon.write_common()
    racoon.write_remote(PEER, "PSK")
    path = racoon.remote_path(PEER)
    edited = path.read_text().replace("8 hour", "1 hour") + "# mine\n"
    path.write_text(edited)
    assert not racoon.write_common()
    assert not racoon.write_remote(PEER, "PSK")
    assert path.read_text() == edited


def test_a_racoon_conf_without_what_connections_need_gets_it_and_keeps_the_rest(
    root: Path,
) -> None:
    path = under_root(RACOON_CONF)
    path.parent.mkdir(parents=True)
    path.write_text("# mine\nlog debug;\n")
    assert racoon.write_common()
    assert path.read_text().startswith("# mine\nlog debug;\n\n# added by ipsec\n")
    assert not racoon.write_common()


def test_a_remote_file_is_written_anew_for_another_authentication_method(root: Path) -> None:
    racoon.write_remote(PEER, "PSK")
    assert racoon.write_remote(PEER, "X509")
    assert "authentication_method rsasig;" in racoon.remote_path(PEER).read_text()


def test_a_racoon_conf_that_does_not_parse_is_not_touched(root: Path) -> None:
    path = under_root(RACOON_CONF)
    path.parent.mkdir(parents=True)
    path.write_text("remot\n")
    with pytest.raises(BadConnection, match="did you mean 'remote'"):
        racoon.write_common()
    assert path.read_text() == "remot\n"


def test_an_ifcfg_file_may_be_in_any_encoding_and_keeps_its_octets(root: Path) -> None:
    path = root / IFCFG_DIR.lstrip("/") / "ifcfg-n"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"# B\xfcro\nTYPE=IPSEC\nDST=10.0.0.2\n")
    made = folder.load("n")
    assert folder.save(replace(made, protocol=6))
    assert path.read_bytes().startswith(b"# B\xfcro\nTYPE=IPSEC\n")
    assert folder.load("n").protocol == 6
