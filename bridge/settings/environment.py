"""Variables as people write them: from the environment, else from a `.env` file.

This module owns how the text of a variable is found. It defines no setting and no
range: `bridge.settings.process` does.
"""

import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

PREFIX = "KOLBRIDGE_"
# These are commonly written in lower case, too.
EITHER_CASE = ("HTTPS_PROXY", "NO_PROXY")
# How similar names are, by difflib's ratio. All programs share the environment: there
# only a typing slip counts as a setting (OPENAI_APIKEY has 0.96; OPENAI_API_BASE,
# another program's, has 0.83).
SLIP_RATIO = 0.85
NEAR_RATIO = 0.6


class EnvironmentFileError(ValueError):
    """A `.env` file cannot be read; each of `lines` names the place of one fault."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def read_environment(
    env: Mapping[str, str], in_file: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that are set; the environment overrides the file.

    An empty value counts as not set. Quotes around a value in the environment are
    removed: `docker run --env-file` keeps them.
    """
    given = dict(in_file)
    given |= {name: _unquote(value) for name, value in env.items() if value.strip()}
    for name in EITHER_CASE:
        if name not in given and name.lower() in given:
            given[name] = given[name.lower()]
    return {name: value for name, value in given.items() if value.strip()}


def read_dotenv(path: Path) -> dict[str, str]:
    """Read NAME=value lines, with quotes, comments, `export` and a byte order mark.

    Nothing within a value is replaced. Raises EnvironmentFileError with every malformed
    line.
    """
    # Imported here: without a file, its parser is not needed.
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
    """Yield a line for each name that looks like a setting and is none.

    In the file every name should be a setting. In the environment a name looks like a
    setting only if it begins with KOLBRIDGE_ or is a typing slip away from one.
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
