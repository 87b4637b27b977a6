"""The command line: what it lists, what it imports, what it returns."""

import os
import subprocess
import sys

import pytest

from bridge.cli import main
from bridge.service import serve


def test_help_lists_every_command_and_imports_none(capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(["--help"])

    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name, (_, text) in main.COMMANDS.items():
        assert name in shown
        assert text in shown


@pytest.mark.parametrize("command", main.COMMANDS)
def test_help_of_a_command_says_what_it_does_and_has_examples(command, capsys):
    with pytest.raises(SystemExit):
        main.main([command, "--help"])

    usage, description, *rest = capsys.readouterr().out.split("\n\n")
    assert usage.startswith(f"usage: kolbridge {command}")
    assert description[0].isupper()
    assert description.endswith(".")
    assert any(part.startswith("examples:\n") for part in rest)


def test_command_line_starts_without_the_heavy_libraries():
    heavy = "asyncpg", "aiohttp", "uvloop", "numpy", "picows"
    script = (
        "import sys\nfrom bridge.cli import main\n"
        "try: main.main(['--help'])\nexcept SystemExit: pass\n"
        f"sys.exit(sum(name in sys.modules for name in {heavy!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)

    assert done.returncode == 0


def test_version_is_told(capsys):
    with pytest.raises(SystemExit):
        main.main(["--version"])

    assert capsys.readouterr().out.startswith("kolbridge")


def test_no_command_is_an_error_that_shows_the_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main.main([])

    assert ended.value.code == 2
    assert "usage: kolbridge" in capsys.readouterr().err


def test_command_returns_its_modules_exit_code(monkeypatch):
    monkeypatch.setattr(serve, "run", lambda args: 7)

    assert main.main(["serve"]) == 7


def test_interrupted_command_says_so_in_its_exit_code(monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "run", interrupted)

    assert main.main(["serve"]) == main.EXIT_INTERRUPTED


def test_command_that_is_interrupted_while_it_loads_says_nothing(monkeypatch):
    def interrupted(module):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "import_module", interrupted)

    assert main.main(["serve"]) == main.EXIT_INTERRUPTED


@pytest.mark.parametrize("printed", ["'a line'", "'many\\n' * 100_000"])
def test_reader_who_has_enough_gets_no_traceback(printed):
    script = (
        "import sys\nfrom bridge.cli import main\nfrom bridge.service import serve\n"
        f"serve.run = lambda args: print({printed}) or 0\n"
        "sys.exit(main.main(['serve']))"
    )
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes) as gone:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=gone, stderr=subprocess.PIPE
        )

    assert (done.returncode, done.stderr) == (main.EXIT_CUT_OFF, b"")


PRINTING = """
import sys
from bridge.cli import database, main
from bridge.service import serve

async def say(url, settings):
    print("a line\\n" * {lines})

serve.run = lambda args: database.run_with_url("calls", say, database.Schema.ANY)
sys.exit(main.main(["serve"]))
"""
NO_SERVER = "postgresql://nobody@127.0.0.1:9/nothing"


@pytest.mark.parametrize("lines", [1, 100_000])
def test_full_disk_of_what_is_printed_is_not_the_database_s(lines):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PRINTING.format(lines=lines)],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "DATABASE_URL": NO_SERVER},
        )

    expected = b"kolbridge: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (main.EXIT_CUT_OFF, expected)


def test_command_whose_output_is_closed_does_its_work():
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, PRINTING.format(lines=1)],
        stderr=subprocess.PIPE,
        env={**os.environ, "DATABASE_URL": NO_SERVER},
    )

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_there_is_shows_how_it_is_used(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main.main([name, "--help"])

    assert ended.value.code == 0
    assert f"examples:\n  kolbridge {name}" in capsys.readouterr().out


def test_what_a_terminal_would_obey_does_not_reach_it(monkeypatch, capsys):
    def say(args):
        print("name \x1b[2J\u202e")
        print("lost \x9b", file=sys.stderr)
        return 0

    monkeypatch.setattr(serve, "run", say)

    assert main.main(["serve"]) == 0
    out, errors = capsys.readouterr()
    assert (out, errors) == ("name \\u001b[2J\\u202e\n", "lost \\u009b\n")
