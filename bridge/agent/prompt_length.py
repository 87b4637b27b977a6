"""How long a prompt is, in the tokens of the model, without its tokenizer.

"Instructions cannot be longer than 16384 tokens": the API refuses the session, and all
callers hear the fallback. The count here is an upper bound, not an estimate: 1 to 3
times what OpenAI's o200k_base makes of sentences in the languages that are spoken here,
of prices, times, numbers and markup. Noise without words (base64) may be more; doctor
asks the API itself.
"""

import re
from collections.abc import Mapping
from unicodedata import combining

import orjson

# The API's own limit, in its own words above.
TOKENS_MAX = 16_384
# What is kept free for what is known of the caller.
CALLER_TOKENS = 1_024
# A word is a token for each three letters or less, and so is a number; a space belongs
# to what comes after it, unless that is a number.
_CHARS_A_TOKEN = 3
_PIECES = re.compile(r"[A-Za-z]+|[0-9]+|[^\x00-\x7f]|[\r\n]+| (?=[0-9])|\s{2,}|\S")
# Scripts with a token or less a letter; others have one for each byte.
_WHOLE_LETTERS = (
    (0x0900, 0x0AFF),  # Devanagari to Gujarati
    (0x0B80, 0x0DFF),  # Tamil to Sinhala
    (0x0E00, 0x0E7F),  # Thai
    (0x1000, 0x10FF),  # Myanmar, Georgian
    (0x1780, 0x17FF),  # Khmer
    (0x1E00, 0x1FFF),  # Latin and Greek with accents
    (0x2000, 0x206F),  # punctuation
    (0x20A0, 0x20BF),  # currencies
    (0x3000, 0x9FFF),  # kana, Han
    (0xAC00, 0xD7AF),  # Hangul
    (0xFF00, 0xFFEF),  # full width
)


def token_bound(text: str) -> int:
    """Return a number of tokens that a text is not longer than."""
    return int(sum(map(_weight, _PIECES.findall(text)))) + 1


def fitting(known: Mapping[str, object]) -> dict[str, object]:
    """Return what is known of a caller, in half of CALLER_TOKENS at most.

    The longest values are left out. Each is measured once: no frame moves meanwhile.
    """
    sizes = {
        name: token_bound(orjson.dumps({name: value}, default=str).decode())
        for name, value in known.items()
    }
    left = sum(sizes.values())
    kept = dict(known)
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if left <= CALLER_TOKENS // 2:
            break
        left -= sizes[name]
        del kept[name]
    return kept


def _weight(piece: str) -> float:
    first = piece[0]
    if first.isascii():
        return -(-len(piece) // _CHARS_A_TOKEN) if piece.isalnum() else 1
    code = ord(first)
    if code < 0x250:
        return 1
    if code < 0x800:
        # Points and vowel signs break words into their letters.
        return 2 if combining(first) else 0.5
    if any(low <= code <= high for low, high in _WHOLE_LETTERS):
        return 1
    return len(first.encode("utf-8", "replace"))
