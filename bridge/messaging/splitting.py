"""Cuts a long answer into messages that Twilio takes: `split` is pure.

A cut is made where a reader pauses: between paragraphs, else after a sentence, else at
the end of a line, else at a space. Only a text without any of these within the limit is
cut between two characters, and never within one that a reader sees as one.
"""

import re
import unicodedata

# "up to 1,600 characters" (errors 21617, 21658). Twilio does not say how a character is
# counted. UTF-16 units are never fewer than characters, so that a text is short enough
# by either count.
UNITS_MAX = 1_600
# A cut at a paragraph or a sentence must leave a part of at least this share of the
# limit; else a text of one short and one long sentence becomes a message of two words.
SHARE_MIN = 0.3
# Room for a mark of direction before a part.
_MARK_UNITS = 1
_RIGHT, _LEFT = "\N{RIGHT-TO-LEFT MARK}", "\N{LEFT-TO-RIGHT MARK}"

_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
# The stops of Latin and Hebrew, Arabic, Urdu, Devanagari and Chinese, then quotes and
# brackets that close. No stop ends a sentence after one letter or a title, nor after a
# number that begins a line: that is an item of a list.
_STOPS = ".!?\u2026\u061f\u06d4\u0964"
_CLOSING = "\"'\u201d\u2019\u00bb)\\]\u05f4\u05f3"
_WIDE_STOPS, _WIDE_CLOSING = "\u3002\uff01\uff1f", "\u300d\u300f\u201d\uff09"
_SENTENCE = re.compile(
    r"(?<!^\d)(?<!^\d\d)(?<!\b\w)(?<!\b[DMS][rst])(?<!\bMrs)(?<!\bProf)"
    rf"[{_STOPS}]+[{_CLOSING}]*\s+|[{_WIDE_STOPS}]+[{_WIDE_CLOSING}]*\s*",
    re.MULTILINE,
)
_LINE = re.compile(r"\n\s*")
_SPACE = re.compile(r"\s+")
_WELL_CUT = (_PARAGRAPH, _SENTENCE)


def split(text: str, units_max: int = UNITS_MAX) -> list[str]:
    """Return the parts of a text, each of at most `units_max` UTF-16 units; [] for a
    text without a visible character."""
    assert units_max >= 8, "no room for a character with its marks"
    parts = []
    text = rest = text.strip()
    mark = ""
    while rest:
        size = _fitting(rest, units_max - len(mark))
        if size < len(rest):
            size = _cut(rest[:size], rest[size:])
        part, left = rest[:size].rstrip(), rest[size:]
        if part:
            parts.append(mark + part)
        rest = left.lstrip()
        mark = _mark_of(text, rest, text[: len(text) - len(rest)])
    return parts


def units_of(text: str) -> int:
    """Return how many UTF-16 units a text has."""
    return len(text) + sum(char > "\uffff" for char in text)


def _fitting(text: str, units_max: int) -> int:
    """Return how many characters of a text fit."""
    units = 0
    for place, char in enumerate(text):
        units += 2 if char > "\uffff" else 1
        if units > units_max:
            return place
    return len(text)


def _cut(fitting: str, beyond: str) -> int:
    """Return where to cut a text of which only `fitting` fits."""
    # A space just beyond the limit ends a word or a sentence within it.
    seen = fitting + (beyond[0] if beyond[0].isspace() else "")
    for pattern in _WELL_CUT:
        ends = [
            found.end()
            for found in pattern.finditer(seen)
            if found.end() >= SHARE_MIN * len(fitting)
        ]
        if ends:
            return ends[-1]
    for pattern in (_LINE, _SPACE):
        ends = [found.end() for found in pattern.finditer(seen)]
        if ends:
            return ends[-1]
    return _between_characters(fitting, beyond)


def _between_characters(fitting: str, beyond: str) -> int:
    """Return the last place before which a reader sees a whole character."""
    size = len(fitting)
    following = beyond[:1]
    while size > 1 and _is_joined(fitting[size - 1], following):
        following = fitting[size - 1]
        size -= 1
    return size if size > 1 else len(fitting)


def _is_joined(before: str, after: str) -> bool:
    """Tell whether two characters are seen as one: marks, joined emoji, skin tones."""
    is_mark = unicodedata.category(after)[0] == "M"
    is_tone = "\U0001f3fb" <= after <= "\U0001f3ff"
    is_flag = all("\U0001f1e6" <= char <= "\U0001f1ff" for char in (before, after))
    joiner = "\N{ZERO WIDTH JOINER}"
    return is_mark or is_tone or is_flag or joiner in (before, after)


def _mark_of(text: str, rest: str, told: str) -> str:
    """Return the mark that keeps a paragraph's direction in the part that goes on.

    A telephone sets each paragraph by its first strong character (UAX #9, P2). A part
    from the middle of a Hebrew paragraph may begin with a Latin name.
    """
    if not rest or told.endswith("\n"):
        return ""
    begin = told.rpartition("\n")[2]
    was, now = _direction(begin), _direction(rest.partition("\n")[0])
    if not was or not now or was == now:
        return ""
    return _RIGHT if was == "R" else _LEFT


def _direction(text: str) -> str:
    """Return "R" or "L", the direction of the first strong character, or ""."""
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind in ("R", "AL"):
            return "R"
        if kind == "L":
            return "L"
    return ""
