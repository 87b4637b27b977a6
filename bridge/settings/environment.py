"""Variables as people write them: the environment, over a `.env` file.

This module owns how the text of a variable is found. It knows no setting and no range:
those are `bridge.settings.process`'.
"""

import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

PREFIX = "KOLBRIDGE_"
# Everybody writes these in small letters, too.
EITHER_CASE = ("HTTPS_PROXY", "NO_PROXY")
# How alike names are, as difflib counts. The environment is everybody's: there only a
# slip of the pen is ours (OPENAI_APIKEY 0.96; OPENAI_API_BASE, another's, is 0.83).
SLIP_RATIO = 0.85
NEAR_RATIO = 0.6


class EnvironmentFileError(ValueError):
    """A `.env` file cannot be read; `lines` say where, one each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def read_environment(
    env: Mapping[str, str], in_file: Mapping[str, str]
) -> dict[str, str]:
    """Return what is given; the environment goes before the file.

    An empty value counts as not given. Quotes around a value of the environment are
    taken off: `docker run --env-file` leaves them on.
    """
    given = dict(in_file)
    given |= {name: _unquote(value) for name, value in env.items() if value.strip()}
    for name in EITHER_CASE:
        if name not in given and name.lower() in given:
            given[name] = given[name.lower()]
    return {name: value for name, value in given.items() if value.strip()}


def read_dotenv(path: Path) -> dict[str, str]:
    """Read NAME=value lines: quotes, comments, `export`, a byte order mark.

    Nothing within a value is replaced. Raises EnvironmentFileError with every line that
    is none.
    """
    # Who has no file needs no reader of it.
    from dotenv.parser import parse_stream

    found, wrong, number = {}, [], 1
    text = _text_of(path)
    for binding in parse_stream(io.StringIO(text)):
        piece = binding.original.string
        at = number + piece[: len(piece) - len(piece.lstrip())].count("\n")
        number += piece.count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            wrong.append(f"{path}:{at}: expected NAME=value, quotes closed")
        elif binding.key is not None and binding.value:
            found[binding.key] = binding.value
    if wrong:
        raise EnvironmentFileError(*wrong)
    return found


def unknown_names(
    known: Collection[str], env: Mapping[str, str], in_file: Collection[str]
) -> Iterator[str]:
    """Yield a line for each name that looks like ours and is none.

    In the file every name should be ours; in the environment only what begins with
    KOLBRIDGE_ or is a slip of the pen away from one of ours.
    """
    for name in sorted({*in_file, *env} - {*known, *map(str.lower, EITHER_CASE)}):
        is_ours = name in in_file or name.startswith(PREFIX)
        near = get_close_matches(name, known, 1, NEAR_RATIO if is_ours else SLIP_RATIO)
        if near:
            yield f"{name} is no setting and is ignored: is {near[0]} meant?"
        elif is_ours:
            yield f"{name} is no setting and is ignored"


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
        is_utf16 = data.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(
            f"{path}: expected a readable text file: {error}"
        ) from None


def _unquote(value: str) -> str:
    text = value.strip()
    if len(text) > 1 and text[0] in "'\"" and text[0] == text[-1]:
        return text[1:-1]
    return value
