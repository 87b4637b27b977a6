"""Masks texts: no whole phone number or card, no secret, no hidden character.

Numbers are found as people, models and transcribers write them: with spaces, dashes of
any kind, points, slashes and brackets, in any script's digits, one by one. Text that
only looks like a number stays: dates, times, addresses, ids, and the values of the
service's own `name=number`. Masking a masked text changes nothing, and the text before
or after a number does not change the mask: a replayed call depends on both.

Control characters and characters that change the direction of writing are shown by
their code, because a terminal would obey them and a reader would be misled.
"""

import io
import re
from collections.abc import Iterable
from typing import IO

# Masking a secret shorter than this would also mask ordinary words.
SECRET_CHARS_MIN = 8
# A local number without its area code.
DIGITS_MIN = 7
# The first and last digits of a number shorter than this would reveal it.
SHOWN_FROM_DIGITS = 9

# C0 and C1 but for tab and line feed, what marks or turns the direction of writing,
# line ends of Unicode's own, what has no width and joins nothing, tags.
_HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
_HIDDEN_CHARACTER = re.compile(f"[{_HIDDEN}]")
_LINE_CHARACTER = re.compile(f"[{_HIDDEN}\t\n]")
# Hyphen, non-breaking hyphen, dashes, minus, Hebrew maqaf, wide and small forms.
_DASHES = "\\-\u00ad\u058a\u05be\u2010-\u2015\u2043\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d"
_BETWEEN = f"[\\s().,/_·•\u30fb{_DASHES}{_HIDDEN}]{{0,3}}"
# Names whose value is a person's number, whatever the value looks like.
_PERSONAL = (
    r"(?i:phone|tel|mobile|cell|fax|number|num|from|to|caller|called|contact|whatsapp"
    r"|sip|card|ssn|pin|code|digits?|account)"
)
_TEXT = re.compile(
    rf"""
    (?P<kept>
        <U\+[0-9A-F]{{4,6}}>                                    # a hidden character
      | …\d\d(?!\d)                                            # the end of a mask
      | (?<!\d)\d{{4}}-\d\d-\d\d(?!\d)
        (?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{{1,9}})?)?(?:Z|[+-]\d\d:?\d\d)?(?!\d))?
      | (?<!\d)\d{{1,2}}([./-])\d{{1,2}}\2(?:19|20)\d\d(?!\d)  # 28.11.2026
      | (?<![\d.])(?:\d{{1,3}}\.){{3}}\d{{1,3}}(?![\d.]*\d)    # an IPv4 address
      | \b[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\b
      | \b[A-Za-z]{{1,8}}_?[0-9A-Za-z]{{20,}}\b                # CA..., item_...
      | \b(?:call|conv|event|item|msg|resp|sess)_[0-9A-Za-z]{{12,}}\b
      | \b(?:[0-9a-f]{{32}}|[0-9a-f]{{64}})\b
      | (?<![\w.,])(?:0|[1-9]\d*)\.\d{{1,3}}(?![\w.]|[ -]\d)   # 123456789.25
      | \bpid[ ]\d+
      | \b(?!\w*{_PERSONAL}=)[A-Za-z]\w*=-?(?:0|[1-9]\d*)(?:\.\d+)?(?!{_BETWEEN}\d)
    )
  | (?P<number>\+?\(?\d(?:{_BETWEEN}\d){{{DIGITS_MIN - 1},}})
    """,
    re.VERBOSE,
)


def mask_phone(number: str) -> str:
    """Return a number with only its first and last digits, to tell calls apart."""
    plain = number.removeprefix("whatsapp:")
    digits = re.sub(f"[\\s().{_DASHES}]", "", plain).removeprefix("+")
    if not digits.isdigit():
        return "anonymous" if not plain or plain == "anonymous" else "…"
    return _masked(plain)


def _masked(number: str) -> str:
    number = _HIDDEN_CHARACTER.sub("", number)
    is_short = sum(one.isdigit() for one in number) < SHOWN_FROM_DIGITS
    return f"{'' if is_short else number[:4]}…{number[-2:]}"


def _mask_found(match: re.Match[str]) -> str:
    return match[0] if match["number"] is None else _masked(match["number"])


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without secrets, whole numbers of people and hidden characters."""
    for secret in secrets:
        if len(secret) >= SECRET_CHARS_MIN:
            text = text.replace(secret, "***")
    text = text.encode("utf-8", "replace").decode()
    return _HIDDEN_CHARACTER.sub(_name, _TEXT.sub(_mask_found, text))


def visible(text: str) -> str:
    """Return a text whose control and direction characters are shown by their code;
    lines and tabs stay."""
    return _HIDDEN_CHARACTER.sub(_code, text)


def one_line(text: str) -> str:
    """Return a text as `visible` does, with line ends and tabs by their code, too."""
    return _LINE_CHARACTER.sub(_code, text)


def _name(match: re.Match[str]) -> str:
    """Return Unicode's own name for a character, whose end no number goes on from."""
    return f"<U+{ord(match[0]):04X}>"


def _code(match: re.Match[str]) -> str:
    """Return JSON's own escape, so that JSON text stays valid JSON."""
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


class VisibleStream(io.TextIOBase):
    """A text stream to a terminal or a log that shows hidden characters by code."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text as `visible` returns it."""
        self._stream.write(visible(text))
        return len(text)

    def flush(self) -> None:
        """Flush the underlying stream."""
        self._stream.flush()

    def fileno(self) -> int:
        """Return the underlying descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Tell whether the underlying stream is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Tell that the stream can be written to."""
        return True
