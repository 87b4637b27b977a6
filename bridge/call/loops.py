"""Loops: an AI that repeats itself, and two machines that keep answering each other.

Repetition by the caller alone is no loop. Two turns of the AI are alike when their
words are nearly the same and they read back the same digits and spelt letters. A turn
that was cut short has good reason to be said again; it does not count as the AI's own
repetition.

A loop is first corrected. Whether it continues in spite of that is judged by the turns
since the correction. If only the AI spoke, any further turn continues the loop. If the
AI answers the caller, the caller may have asked for a repetition; the loop then
continues only after LOOP_TURNS further turns with exactly the same words. A loop of two
machines continues after one more round.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from bridge.call.transcript import Turn

# Three similar turns are a loop; at 0.9 turns that differ in a word or two are similar.
LOOP_TURNS = 3
LOOP_SIMILARITY = 0.9
# "Yes." three times is a conversation, not a loop.
LOOP_CHARS_MIN = 12
# Repeated turns begin alike. To compare two machines with turns of this length takes
# 6 ms. To compare whole long turns takes up to 30 ms, and gives 0.67 for 2,700
# characters of which 2 % differ.
LOOP_CHARS_MAX = 300
# The possible periods of a loop, in turns of one side; three rounds of three turns are
# nine turns.
PERIODS = (1, 2, 3)
ROUND_TURNS = LOOP_TURNS * PERIODS[-1]
# Two or more single letters or digits in a row, as in "D, A, N, A".
_SPELT = re.compile(r"\b\w(?:\W+\w\b)+")


def find(turns: Sequence[Turn]) -> Turn | None:
    """Return the AI's newest turn if the AI is in a loop."""
    ai = _last(turns, "ai")
    if _is_alone(ai):
        return ai[-1]
    if _period(ai) and _period(_last(turns, "caller")):
        return ai[-1]
    return None


def is_same(turns: Sequence[Turn], corrected: Turn) -> bool:
    """Tell whether the AI's loop is the one that was corrected at that turn."""
    newest = _last(turns, "ai")[-PERIODS[-1] :]
    return any(_is_alike(turn.text, corrected.text) for turn in newest)


def goes_on(turns: Sequence[Turn], corrected: Turn) -> bool:
    """Tell whether a loop that is still found continues in spite of its correction."""
    since = turns[turns.index(corrected) + 1 :]
    ai = [turn for turn in since if turn.role == "ai"]
    if len(ai) == len(since):
        return bool(ai)  # only the AI has spoken
    if not _is_alone(_last(turns, "ai")):
        return len(ai) >= _period(_last(turns, "ai"))  # two machines, one more round
    said = {_normal(turn.text) for turn in ai[-LOOP_TURNS:]}
    return len(ai) >= LOOP_TURNS and said == {_normal(corrected.text)}


def _last(turns: Sequence[Turn], role: str) -> list[Turn]:
    return [turn for turn in turns if turn.role == role and turn.text][-ROUND_TURNS:]


def _is_alone(ai: Sequence[Turn]) -> bool:
    """Tell whether the AI repeats itself, whatever the other side says."""
    whole = [turn for turn in ai if not turn.interrupted]
    return bool(whole) and whole[-1] is ai[-1] and _goes_round(whole, 1)


def _period(turns: Sequence[Turn]) -> int:
    """Return after how many turns this side repeats itself; 0 if it does not."""
    return next((one for one in PERIODS if _goes_round(turns, one)), 0)


def _goes_round(turns: Sequence[Turn], period: int) -> bool:
    """Tell whether the newest turns repeat LOOP_TURNS times with this period.

    With a period above one, a single pair may differ.
    """
    texts = [turn.text for turn in turns[: -LOOP_TURNS * period - 1 : -1]]
    round_chars = sum(len(_normal(text)) for text in texts[:period])
    if len(texts) < LOOP_TURNS * period or round_chars < LOOP_CHARS_MIN:
        return False
    may_differ = period > 1
    for at, earlier in enumerate(texts[period:], period):
        if not _is_alike(texts[at % period], earlier):
            if at == period or not may_differ:  # the newest pair must be alike
                return False
            may_differ = False
    return True


def _is_alike(one: str, other: str) -> bool:
    if one == other:
        return True
    if _content(one) != _content(other):
        return False
    matcher = SequenceMatcher(None, _normal(one), _normal(other))
    # Lengths and letters are compared first: that is quick, and settles most pairs.
    bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(bound() >= LOOP_SIMILARITY for bound in bounds)


def _content(text: str) -> tuple[str, str]:
    """Return the digits and the spelt letters that a turn reads back."""
    digits = "".join(re.findall(r"\d", text))
    spelt = "".join(_SPELT.findall(text.casefold()))
    return digits, "".join(re.findall(r"\w", spelt))


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))[:LOOP_CHARS_MAX]
