"""Every command line of the pages runs, or at least is one that exists."""

import argparse
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise

import pytest

from bridge.cli.main import COMMANDS

from .pages import (
    LANGUAGES,
    NOT_RUN,
    PAGES,
    ROOT,
    Block,
    blocks_of,
    shell_commands,
    spans_of,
    steps_of,
)

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
TARGETS = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
)
# They run the command that they are given.
WRAPPERS = {"chrt", "docker", "env", "exec", "nohup", "sudo"}


class Parser(argparse.ArgumentParser):
    """Says what is wrong by an exception."""

    def error(self, message: str) -> None:
        """Raise what would be printed."""
        raise ValueError(f"{self.prog}: {message}")


def parser_of(command: str) -> Parser:
    """Return the real parser of one command, below `kolbridge`."""
    parser = Parser(prog="kolbridge", exit_on_error=False)
    import_module(COMMANDS[command][0]).add_parser(parser.add_subparsers())
    return parser


def read_command(words: list[str]) -> None:
    """Read what stands after `kolbridge`; ValueError where it is not one of its."""
    if words[0] in ("--help", "--version"):
        return
    if words[0] not in COMMANDS:
        raise ValueError(f"kolbridge has no command {words[0]!r}")
    if "--help" not in words:
        parser_of(words[0]).parse_args(words)


def flags_of(parser: argparse.ArgumentParser, words: list[str]) -> set[str]:
    """Return the flags of a parser and of those below it that the words lead to."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found |= flags_of(below, words) if name in words else set()
    return found


def kolbridge_words(words: list[str]) -> list[str] | None:
    """Return what a command asks of `kolbridge`; None where it asks nothing."""
    while words and "=" in words[0]:
        words = words[1:]
    if words and words[0] in WRAPPERS:
        # A user, a service and an image have that name, too.
        words = next(
            (
                words[at:]
                for at, (word, after) in enumerate(pairwise(words))
                if _is_ours(word) and after in COMMANDS
            ),
            [],
        )
    if len(words) < 2 or not _is_ours(words[0]):
        return None
    return words[1:]


def _is_ours(word: str) -> bool:
    return word == "kolbridge" or word.endswith("/kolbridge")


def faults_of(block: Block) -> Iterator[str]:
    """Yield what is wrong with the commands of a block that is not run."""
    for words in shell_commands(block.text):
        asked = kolbridge_words(words)
        try:
            if asked is not None:
                read_command(asked)
        except (ValueError, argparse.ArgumentError) as error:
            yield f"{block.page}:{block.line}: {' '.join(words)}: {error}"
        if words[0] == "make":
            for target in words[1:]:
                if target not in TARGETS and "=" not in target:
                    yield f"{block.page}:{block.line}: make has no target {target}"
        for word in words:
            is_ours = re.match(r"(deploy|scripts|docs|tests|bench)/[\w./@-]+$", word)
            if is_ours and not (ROOT / word).exists():
                yield f"{block.page}:{block.line}: there is no {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_blocks_have_a_language_that_says_what_to_do_with_them(page):
    for block in blocks_of(page):
        where = f"{block.page}:{block.line}"
        assert block.language in LANGUAGES, f"{where}: {block.language or 'none'}"
        is_told = block.text.startswith(NOT_RUN)
        assert is_told == (block.language == "sh"), f"{where}: expected {NOT_RUN}why"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_that_are_not_run_exist(page):
    shown = [block for block in blocks_of(page) if block.language == "sh"]

    assert not [fault for block in shown for fault in faults_of(block)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_in_a_line_of_text_exist(page):
    for line, span in spans_of(page):
        words = span.split()
        if words[:1] != ["kolbridge"] or len(words) == 1:
            continue
        name = words[1].strip("…")
        where = f"{page.name}:{line}: {span}"
        assert name in COMMANDS or name.startswith("--") or not name, where
        if name in COMMANDS:
            # In a usage line "[" and "]" surround what may be left out.
            given = {word.strip("[],.…") for word in words}
            flags = {word.split("=")[0] for word in given if word.startswith("--")}
            assert flags <= flags_of(parser_of(name), words), where


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if any(block.language == "console" for block in blocks_of(page))
    ],
    ids=lambda path: path.name,
)
def test_commands_run(page, shell):
    steps = [
        step
        for block in blocks_of(page)
        if block.language == "console"
        for step in steps_of(block.text)
    ]

    if any("curl " in step.command for step in steps) and not shutil.which("curl"):
        pytest.skip("curl is not installed")

    found = shell.run(steps)

    for step, (code, output) in zip(steps, found, strict=False):
        assert code == step.code, f"{page.name}: {step.command}\n{output}"
        for line in map(shell.translated, step.output):
            pattern = re.escape(line.strip()).replace("…", ".*")
            assert re.search(pattern, output), (
                f"{page.name}: {step.command}\nexpected: {line}\ncame: {output}"
            )
    assert len(found) == len(steps), f"{page.name}: {steps[len(found)].command}"


# --- what the checks above see ---


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kolbridge serv", "no command"),
        ("A=1 kolbridge serve --take-it", "--take-it"),
        ("sudo -u kolbridge kolbridge tenant hours", "required"),
        ("make nonsense", "no target"),
        ("cat deploy/nothing.yaml", "no deploy/nothing.yaml"),
    ],
)
def test_a_command_that_does_not_exist_is_a_fault(text, fault):
    found = list(faults_of(Block("page.md", 1, "sh", f"{NOT_RUN}why\n{text}")))

    assert len(found) == 1
    assert fault in found[0]


def test_commands_that_exist_are_none():
    text = (
        "# not run: it needs an account\n"
        "kolbridge migrate && kolbridge serve --take-over 2> log &\n"
        "docker run --publish 8080:8080 kolbridge\n"
        "docker compose exec kolbridge kolbridge doctor\n"
        "make install demo UPGRADE=1   # both\n"
    )

    assert not list(faults_of(Block("page.md", 1, "sh", text)))


def test_output_and_exit_code_are_compared(shell):
    steps = steps_of("$ echo one\none\n$ (exit 3)  # ends with 3\n$ false")

    assert [step.code for step in steps] == [0, 3, 0]
    assert shell.run(steps) == [(0, "one\n"), (3, ""), (1, "")]
