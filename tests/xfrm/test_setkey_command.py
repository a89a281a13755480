"""setkey's command line, as far as it needs no kernel."""

import subprocess
import sys
from pathlib import Path

import pytest

from mgu.commands.setkey import main
from xfrm.setkey.parse import parse
from xfrm.setkey.statements import AddPolicy, AddSa

GOOD = "spdadd 10.0.0.1 10.0.0.2 any -P out none;\n"


def test_it_comes_up_without_what_it_may_not_need() -> None:
    program = (
        "import sys, mgu.commands.setkey_calls, xfrm.pfkey, xfrm.setkey.show\n"
        "heavy = {'lark', 'pyroute2', 'asyncio', 'cryptography', 'OpenSSL'}\n"
        "heavy |= {'dataclasses', 'pathlib', 'hmac', 'xfrm.setkey.parse'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_the_help_needs_nothing_of_the_kernel() -> None:
    program = (
        "import sys; from mgu.commands.setkey import main\n"
        "try: main(['-h'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'typing', 'pathlib', 'socket', 'ipaddress', 'xfrm'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)


@pytest.mark.parametrize("words", [[], ["-D", "-F"], ["-z"], ["--exp"], ["-f"], ["-c", "file"]])
def test_wrong_usage_ends_with_64_and_says_how_it_goes(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 64
    assert "usage: setkey [-knrv] FILE" in capsys.readouterr().err


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-h"])
    assert ended.value.code == 0
    assert "exit codes: 0 done; 1" in capsys.readouterr().out


def test_a_dry_run_looks_at_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.conf", tmp_path / "bad.conf"
    good.write_text(GOOD)
    bad.write_text(f"{GOOD}\nadd nonsense;\n")
    assert main(["-n", "-v", str(good)]) == 0
    assert capsys.readouterr().err == f"{good}: 1 statements\n"
    assert main(["-n", str(good), str(bad)]) == 1
    assert f"setkey: {bad},3: column 13: " in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-n", "-f", str(tmp_path / "missing")]) == 1
    assert "missing: No such file or directory" in capsys.readouterr().err


def test_a_mistake_is_shown_with_a_caret_and_without_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "setkey.conf"
    file.write_text('add 10.0.0.1 10.0.0.2 esp 500 -E aes-cbc "hunter2hunter2hu" -m tunel;\n')
    assert main(["-n", "-f", str(file)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"setkey: {file},1: column 61: '-m' is not understood here")
    _, line, caret = told.rstrip("\n").split("\n")
    assert line[caret.index("^") :].startswith("-m tunel;")
    assert "hunter2" not in told


def test_the_example_of_the_documentation_is_an_sa_and_its_policy() -> None:
    page = (Path(__file__).parents[2] / "docs" / "setkey.md").read_text()
    example = page.partition("with manual keys:\n")[2].partition("\n## ")[0]
    sa, policy = parse(example)
    assert isinstance(sa, AddSa)
    assert isinstance(policy, AddPolicy)
    (template,) = policy.policy.templates
    assert (template.src, template.dst, template.mode) == (sa.sa.src, sa.sa.dst, sa.sa.mode)
