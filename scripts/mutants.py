"""Finds the small faults that can be put into a source, one at a time.

A fault replaces one piece of the text: another operator, the other truth value, a
number one higher, a condition reversed, a statement left out. Sources are read as
tokens, so that Python and Cython are read alike. Declarations, assertions, constants of
a module (tests name them) and the first values of a new object's attributes (every test
would notice their loss) are left alone.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tokenize import TokenInfo

WORDS = {
    "and": "or",
    "or": "and",
    "True": "False",
    "False": "True",
    "break": "continue",
    "continue": "break",
}
# After these a call follows.
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
SIGNS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "+": "-",
    "-": "+",
    "*": "//",
    "/": "*",
    "//": "*",
    "%": "+",
    "&": "|",
    "|": "&",
    "<<": ">>",
    ">>": "<<",
    "+=": "-=",
    "-=": "+=",
    "|=": "&=",
    "&=": "|=",
}
LEFT_ALONE = {
    *("import", "from", "cimport", "class", "cdef", "cpdef", "ctypedef"),
    *("def", "async", "assert", "raise", "@", "global", "nonlocal", "enum"),
}
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*$")
FLOAT = re.compile(r"\d+\.\d+$")
ADDED = ("+=", "-=", "|=", "&=")
KEYWORDS = {"if", "elif", "else", "for", "while", "return", "with", "try", "except"}
KEYWORDS |= {"finally", "pass", "break", "continue", "yield", "await", "del", "match"}
SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT}


@dataclass(frozen=True, order=True)
class Mutant:
    """One fault: `old`, at an offset of a file's text, becomes `new`."""

    path: Path
    line: int
    start: int
    old: str
    new: str

    def __str__(self) -> str:
        old = " ".join(self.old.split())
        return f"{self.path}:{self.line}: {old}  ->  {self.new}"

    def of(self, text: str) -> str:
        """Return the text with this fault in it."""
        end = self.start + len(self.old)
        assert text[self.start : end] == self.old, f"another text of {self.path}"
        return text[: self.start] + self.new + text[end:]


class Source:
    """A file's text, and its logical lines with their positions."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        sizes = [len(line) for line in text.splitlines(keepends=True)]
        self._offsets = [sum(sizes[:row]) for row in range(len(sizes) + 1)]

    def lines(self) -> Iterator[list[TokenInfo]]:
        """Yield the tokens of each logical line, without comments."""
        line: list[TokenInfo] = []
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.NEWLINE:
                yield line
                line = []
            elif token.type not in SKIPPED and token.type != tokenize.ENDMARKER:
                line.append(token)

    def mutant(self, first: TokenInfo, last: TokenInfo, new: str) -> Mutant:
        """Return the mutant that replaces the text from one token to another."""
        start = self._offsets[first.start[0] - 1] + first.start[1]
        end = self._offsets[last.end[0] - 1] + last.end[1]
        old = self.text[start:end]
        return Mutant(self.path, first.start[0], start, old, new.replace("{}", old))


def find(path: Path, text: str) -> list[Mutant]:
    """Return the mutants of a source, in its order."""
    source = Source(path, text)
    found: list[Mutant] = []
    function = ""
    for line in source.lines():
        words = [token.string for token in line]
        if "def" in words[:2] or (words[0] == "cpdef" and words[-1] == ":"):
            function = words[1 + words.index("def")] if "def" in words else ""
        if not words or words[0] in LEFT_ALONE or _is_constant(line):
            continue
        within = list(_in_line(source, line))
        found += within or _condition(source, line, words)
        found += _statement(source, line, words, function)
    return sorted(found)


def _is_constant(line: list[TokenInfo]) -> bool:
    """Recognise a module's constant, a type alias, a docstring or a declaration."""
    words = [token.string for token in line]
    if line[0].type == tokenize.STRING:
        return True
    if CONSTANT.match(words[0]) and len(words) > 1:
        return words[1] in ("=", ":", ",")
    return len(words) > 1 and words[1] == ":" and "=" not in words


def _in_line(source: Source, line: list[TokenInfo]) -> Iterator[Mutant]:
    """Yield the mutants that change one or two tokens of a line."""
    is_for = False
    padded = [None, *line, None]
    for before, token, after in zip(padded, line, padded[2:], strict=False):
        word = token.string
        follows = after.string if after else ""
        precedes = before.string if before else ""
        is_in = word == "in" and not is_for
        is_for = word == "for" or (is_for and word != "in")
        if word.isdigit() or FLOAT.match(word):
            yield source.mutant(token, token, _number(word))
        elif token.type == tokenize.OP:
            if word in SIGNS and _is_binary(before, token, after):
                yield source.mutant(token, token, SIGNS[word])
        elif word in ("not", "is") and after and follows in ("in", "not"):
            yield source.mutant(token, after, "in" if word == "not" else "is")
        elif word == "not" and precedes != "is":
            yield source.mutant(token, token, "")
        elif word == "is":
            yield source.mutant(token, token, "is not")
        elif is_in and precedes != "not":
            yield source.mutant(token, token, "not in")
        elif word in CALLED and follows == "(" and precedes != ".":
            yield source.mutant(token, token, CALLED[word])
        elif word in WORDS and token.type == tokenize.NAME:
            yield source.mutant(token, token, WORDS[word])


def _number(word: str) -> str:
    return str(int(word) + 1 if word.isdigit() else float(word) + 1)


def _is_binary(
    before: TokenInfo | None, sign: TokenInfo, after: TokenInfo | None
) -> bool:
    """Recognise an operator of two values, not a sign, a pointer, a cast or a type."""
    if before is None or after is None:
        return False
    if sign.string == "|" and "None" in (before.string, after.string):
        return False
    is_spaced = before.end < sign.start and sign.end < after.start
    is_value = before.type in (tokenize.NUMBER, tokenize.STRING)
    is_value |= before.type == tokenize.NAME and before.string not in KEYWORDS
    return is_spaced and (is_value or before.string in ")]")


def _condition(
    source: Source, line: list[TokenInfo], words: list[str]
) -> Iterator[Mutant]:
    """Yield the negation of a condition in which nothing else can change."""
    if words[0] in ("if", "elif", "while") and words[-1] == ":":
        yield source.mutant(line[1], line[-2], "not {}")


def _statement(
    source: Source, line: list[TokenInfo], words: list[str], function: str
) -> Iterator[Mutant]:
    """Yield the mutant that leaves a statement out."""
    if line[0].type != tokenize.NAME or words[0] in KEYWORDS or words[-1] == ":":
        return
    target = words[: words.index("=")] if "=" in words else []
    is_kept = "." in target and function != "__init__"
    if is_kept or any(sign in words for sign in ADDED) or _is_call(words):
        yield source.mutant(line[0], line[-1], "pass")


def _is_call(words: list[str]) -> bool:
    """Recognise `a.b(...)` alone, without an assignment outside its parentheses."""
    depth = 0
    for word, following in pairwise([*words, ""]):
        depth += (word in "([{") - (word in ")]}") if len(word) == 1 else 0
        if depth == 0 and (word in ("=", ":") or following == ":"):
            return False
    return "(" in words and words[-1] == ")"
