"""Names and texts of businesses: how they are stored, and when two names are the same.

People type one name in many ways: composed or not, with a typographic apostrophe or a
Hebrew geresh, an extra space, an invisible mark. `tidy` returns the form that is
stored. `same_name_key` is equal for all forms of one name.
"""

import re
import unicodedata

# These are invisible, but part of how a name is written: joiners of Persian, Indic
# scripts and emoji, and the marks that order digits and signs in Hebrew and Arabic.
_KEPT_FORMATS = frozenset("\u200c\u200d\u200e\u200f\u061c")
# Controls, lone surrogates, private code points, line and paragraph separators. A code
# point that this Python's Unicode does not know may be a letter or emoji of the next.
_REFUSED = frozenset(("Cc", "Cs", "Co", "Zl", "Zp"))
_SPACES = re.compile(r"\s+")
# What is typed for U+0027; U+05F3 is the Hebrew geresh.
_APOSTROPHES = "\u2018\u2019\u201b\u02b9\u02bb\u02bc\u02bd\u2032`\u00b4\u05f3\uff07"
# What is typed for U+0022; U+05F4 is the Hebrew gershayim.
_QUOTES = "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\u05f4\uff02"
_SIGNS = str.maketrans(
    {**dict.fromkeys(_APOSTROPHES, "'"), **dict.fromkeys(_QUOTES, '"')}
)

# Characters that XML 1.0 cannot hold, section 2.2 (Char), most of which a PostgreSQL
# text cannot hold either, and the controls from U+007F on, which XML discourages.
_UNWRITABLE = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def unwritable(text: str) -> str | None:
    """Return the first character that no document for Twilio can hold."""
    found = _UNWRITABLE.search(text)
    return found and found[0]


def writable(text: str) -> str:
    """Return a text without the characters that no document can hold."""
    return _UNWRITABLE.sub("", text)


def tidy(name: str) -> str:
    """Return a name in its stored form: composed (NFC), with single spaces.

    Characters that only format a text (soft hyphens, byte order marks, embedded
    directions) are removed. Raises ValueError for text that is no name on one line.
    """
    if any(unicodedata.category(char) in _REFUSED for char in name):
        raise ValueError("expected a name on one line")
    visible = "".join(
        char
        for char in name
        if char in _KEPT_FORMATS or unicodedata.category(char) != "Cf"
    )
    kept = _SPACES.sub(" ", unicodedata.normalize("NFC", visible)).strip()
    if not any(unicodedata.category(char)[0] not in "CZM" for char in kept):
        raise ValueError("expected a name on one line")
    return kept


def same_name_key(name: str) -> str:
    """Return a key that is equal for two names if they are one name, however typed."""
    signs = name.translate(_SIGNS).replace("''", '"')
    folded = unicodedata.normalize("NFKC", signs).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    plain = "".join(
        "-" if unicodedata.category(char) == "Pd" else char
        for char in folded
        if unicodedata.category(char) != "Cf"
    )
    return " ".join(plain.split())


def may_be_one(name: str | None, other: str | None) -> bool:
    """Tell whether two names may be one person's: one of them may say only a part."""
    words, others = (set(same_name_key(one or "").split()) for one in (name, other))
    return words <= others or others <= words
