"""Loops: an AI that repeats itself, and two machines that keep answering each other.

What the caller alone repeats is no loop. The AI's turns are alike when their words
nearly are and what they read back is the same: digits, and letters that are spelt. A
turn that was cut short is begun anew for good reason, and does not count against the AI
alone.

A loop is corrected first. Whether it goes on in spite of that is asked of what was said
since: an AI that talks to itself has no excuse; one that answers the caller may have
been asked to say it again, and must have said the very same so often once more.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from bridge.call.transcript import Turn

# Three turns alike are a loop; 0.9 lets a changed word or two pass as one.
LOOP_TURNS = 3
LOOP_SIMILARITY = 0.9
# "Yes." three times is a conversation, not a loop.
LOOP_CHARS_MIN = 12
# What is said again begins alike. Two machines with turns as long take 6 ms to compare;
# all of a long turn takes up to 30 ms, and gives 0.67 for 2,700 characters of which 2 %
# differ.
LOOP_CHARS_MAX = 300
# After how many turns a side may begin again; three rounds of three are nine turns.
PERIODS = (1, 2, 3)
ROUND_TURNS = LOOP_TURNS * PERIODS[-1]
# Two or more single letters or digits in a row, as in "D, A, N, A".
_SPELT = re.compile(r"\b\w(?:\W+\w\b)+")


def find(turns: Sequence[Turn]) -> Turn | None:
    """Return the AI's newest turn if it goes round in a loop."""
    ai = _last(turns, "ai")
    if _is_alone(ai):
        return ai[-1]
    if _period(ai) and _period(_last(turns, "caller")):
        return ai[-1]
    return None


def is_same(turns: Sequence[Turn], corrected: Turn) -> bool:
    """Tell whether the loop the AI is in is the one that was corrected at that turn."""
    newest = _last(turns, "ai")[-PERIODS[-1] :]
    return any(_is_alike(turn.text, corrected.text) for turn in newest)


def goes_on(turns: Sequence[Turn], corrected: Turn) -> bool:
    """Tell whether a loop that is still there was not helped by its correction."""
    since = turns[turns.index(corrected) + 1 :]
    ai = [turn for turn in since if turn.role == "ai"]
    if len(ai) == len(since):
        return bool(ai)  # nobody else has said anything
    if not _is_alone(_last(turns, "ai")):
        return len(ai) >= _period(_last(turns, "ai"))  # two machines, a round more
    said = {_normal(turn.text) for turn in ai[-LOOP_TURNS:]}
    return len(ai) >= LOOP_TURNS and said == {_normal(corrected.text)}


def _last(turns: Sequence[Turn], role: str) -> list[Turn]:
    return [turn for turn in turns if turn.role == role and turn.text][-ROUND_TURNS:]


def _is_alone(ai: Sequence[Turn]) -> bool:
    """Tell whether the AI says the same, whatever the other side does."""
    whole = [turn for turn in ai if not turn.interrupted]
    return bool(whole) and whole[-1] is ai[-1] and _goes_round(whole, 1)


def _period(turns: Sequence[Turn]) -> int:
    """Return after how many turns this side says the same again; 0 if it does not."""
    return next((one for one in PERIODS if _goes_round(turns, one)), 0)


def _goes_round(turns: Sequence[Turn], period: int) -> bool:
    """Tell whether the newest turns are LOOP_TURNS rounds of so many, but one."""
    texts = [turn.text for turn in turns[: -LOOP_TURNS * period - 1 : -1]]
    round_chars = sum(len(_normal(text)) for text in texts[:period])
    if len(texts) < LOOP_TURNS * period or round_chars < LOOP_CHARS_MIN:
        return False
    may_differ = period > 1
    for at, earlier in enumerate(texts[period:], period):
        if not _is_alike(texts[at % period], earlier):
            if at == period or not may_differ:  # the newest pair decides, mostly
                return False
            may_differ = False
    return True


def _is_alike(one: str, other: str) -> bool:
    if one == other:
        return True
    if _content(one) != _content(other):
        return False
    matcher = SequenceMatcher(None, _normal(one), _normal(other))
    # By their lengths and letters first: most turns have others, and that is quick.
    bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(bound() >= LOOP_SIMILARITY for bound in bounds)


def _content(text: str) -> tuple[str, str]:
    """Return what a turn reads back: its digits, and the letters it spells."""
    digits = "".join(re.findall(r"\d", text))
    spelt = "".join(_SPELT.findall(text.casefold()))
    return digits, "".join(re.findall(r"\w", spelt))


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))[:LOOP_CHARS_MAX]
