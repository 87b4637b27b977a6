"""The pages of docs/, and the contents of their fenced blocks.

A block's language says what a reader does with it, and what the tests do:

console  `$ ` begins a command and `> ` goes on with it; other lines are its output. The
         commands of a page are run in order, in one shell, in a folder of its own. Each
         must end with 0, or with N where it says `# ends with N`. A line of output must
         come; `…` in it stands for anything.
sh       is not run. Before it stands `<!-- not run: why -->`, which no reader sees, and
         which is the first line of the `Block`. What the block asks of `kolbridge` is
         read by the real parsers, and the files and targets that it names are there.

All other languages in LANGUAGES are text to look at.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
NOT_RUN = "# not run: "
LANGUAGES = {
    *("console", "sh", "text", "ini", "nginx", "haproxy", "yaml", "json", "toml"),
    *("python", "sql", "xml", "http"),
}
_REASON = re.compile(r"^ *<!-- (not run: .*) -->$")
_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>.*)$")
_ENDS_WITH = re.compile(r"#\s*ends with (\d+)\s*$")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str


class Step(NamedTuple):
    """A command of a console block."""

    command: str
    output: tuple[str, ...]
    code: int


def blocks_of(path: Path) -> Iterator[Block]:
    """Yield every fenced block of a page."""
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    reason: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened = number, fence["indent"], fence["info"].split(" ")[0]
            lines, reason = reason, []
        elif opened is not None and fence and not fence["info"]:
            yield Block(path.name, opened[0], opened[2], "\n".join(lines))
            opened, lines = None, []
        elif opened is not None:
            lines.append(line.removeprefix(opened[1]))
        elif told := _REASON.match(line):
            reason = [f"# {told[1]}"]
    assert opened is None, f"{path.name}:{opened[0]}: this block has no end"


def steps_of(text: str) -> list[Step]:
    """Return the commands of a console block, each with the output that it shows."""
    steps: list[Step] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], (), 0))
            continue
        assert steps, f"a console block begins with a command: {line!r}"
        last = steps[-1]
        if line.startswith("> "):
            steps[-1] = last._replace(command=f"{last.command}\n{line[2:]}")
        elif line.strip():
            steps[-1] = last._replace(output=(*last.output, line))
    return [_with_code(step) for step in steps]


def _with_code(step: Step) -> Step:
    ends = _ENDS_WITH.search(step.command)
    return step._replace(code=int(ends[1])) if ends else step


def shell_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a shell text.

    Operators separate commands; redirections and comments are left out.
    """
    reader = shlex.shlex(_joined(text), posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words: list[str] = []
    is_target = False
    for word in reader:
        if set(word) <= set(";&|()"):
            if words:
                yield words
            words = []
        elif set(word) <= set("<>&"):
            is_target = True
            if words and words[-1].isdecimal():
                del words[-1]
        elif is_target:
            is_target = False
        else:
            words.append(word)
    if words:
        yield words


def _joined(text: str) -> str:
    """Return the lines joined by `;`; a line that ends in a backslash continues."""
    whole = re.sub(r"\\\n\s*", " ", text)
    return " ; ".join(re.sub(r"(^|\s)#.*$", "", line) for line in whole.split("\n"))


def spans_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each text in code font outside of blocks, with its line."""
    is_block = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if _FENCE.match(line):
            is_block = not is_block
        elif not is_block:
            for span in re.findall(r"`([^`]+)`", line):
                yield number, span
