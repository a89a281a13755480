"""What the daemons take for granted: racoon's ports and files, wpa_supplicant's."""

import pytest

from mgu.daemons import iked, supplicant


def test_racoons_ports_are_those_of_the_standards_unless_others_are_given() -> None:
    given = iked.parser().parse_args([])
    assert (given.port, given.natt_port) == (500, 4500)  # RFC 2408, 2.5.1; RFC 3948, 2.1
    given = iked.parser().parse_args(["-p", "501", "-P", "4501"])
    assert (given.port, given.natt_port) == (501, 4501)


def test_racoon_speaks_both_families_unless_one_is_asked_for() -> None:
    both, four, six = (iked.parser().parse_args(words) for words in ([], ["-4"], ["-6"]))
    assert [(each.ipv4, each.ipv6) for each in (both, four, six)] == [
        (False, False),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("port", ["0", "65536", "-1", "isakmp"])
def test_what_is_no_port_is_wrong_usage(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        iked.parser().parse_args([f"-p{port}"])
    assert left.value.code == 64
    assert f"'{port}' is not a port" in capsys.readouterr().err


def test_the_help_of_the_supplicant_names_the_file_that_it_reads() -> None:
    assert "configuration (default /etc/wpa_supplicant.conf)" in supplicant.parser().format_help()
