"""The calls of a chaos run: what their model says, and what their callers heard.

The model has no memory but its session's conversation: it says what follows from the
items in it, as a real model would. A caller books one time, which the model chooses,
and says goodbye. Each sentence ends with sound of its own, so that it is known how
often a caller heard the sentence to its end.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from time import monotonic
from typing import NamedTuple

from bridge.sandbox.caller import Caller
from bridge.sandbox.clips import clip
from bridge.sandbox.result import CallResult
from bridge.sandbox.script import Output, Reply, Script, ToolUse
from bridge.sandbox.session import Session
from bridge.sandbox.timeline import (
    Happening,
    InterruptAfter,
    Say,
    StayOnLine,
    Step,
    WaitForAi,
)

# By sentence: its sound. An offer is "Time", a number, and its words.
GREETING, OFFER, BOOKED, BYE = "Hello and", "Time", "Very good,", "Goodbye"
SOUND = {
    GREETING: clip("ai-en-greeting").audio[:16_000],
    OFFER: clip("ai-en-offer").audio[:24_000],
    BOOKED: clip("ai-en-booked").audio[:16_000],
    BYE: clip("ai-en-goodbye").audio[8_000:19_200],
}
WORDS = {
    GREETING: "Hello and thank you for calling.",
    OFFER: "is free on Tuesday morning at nine o'clock. Is that good?",
    BOOKED: "Very good, your appointment is booked.",
    BYE: "Goodbye and thank you for the call.",
}
SORRY = Reply(clip("ai-en-goodbye").audio[:8_000], "Sorry, the line was lost.")
CANNOT = Reply(clip("ai-en-confirm").audio[:8_000], "I cannot book just now.")
_NUMBER = re.compile(r"(\d+) is free")
LAST_WORDS = (
    Reply(SOUND[BYE], WORDS[BYE]),
    ToolUse("end_call", {"reason": "goodbye"}),
)
# How often the model tries to book.
TRIES = 3
# The last half second of a sentence says that it was heard to its end.
END_BYTES = 4_000
BOOK = "calendar_create_appointment"
SPEECH = Say(clip("human-en-command-1").audio[:12_800])
# A caller who was not heard says it again.
STEPS: tuple[Step, ...] = (
    *(3 * (WaitForAi(), SPEECH)),
    *(3 * (WaitForAi(timeout_ms=8_000), SPEECH)),
    StayOnLine(),
)
# A caller who speaks over the offer of a time.
INTERRUPTING: tuple[Step, ...] = (
    *(WaitForAi(), SPEECH, InterruptAfter(ms=1_000), SPEECH),
    *STEPS[2:],
)
LOOK_S = 0.01
FIRST_TIME = (datetime.now(UTC) + timedelta(days=2)).replace(
    hour=0, minute=0, second=0, microsecond=0
)


class Model:
    """What the sandbox's model says; `asked` has the numbers of the times it books."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[int] = asyncio.Queue()
        self._offered = 0
        self.script = Script(
            greeting=[Reply(SOUND[GREETING], "")],
            otherwise=self._answer,
            aside=self._aside,
        )

    def _answer(self, session: Session) -> Sequence[Output]:
        said = _sentences(session)
        offered = [found for text in said for found in _NUMBER.findall(text)]
        if not offered:
            return [Reply(SOUND[OFFER], f"Time {self._offer()}")]
        number = int(offered[-1])
        if not _has_booked(session):
            if _has_just_failed(session):
                return [CANNOT]
            if len(_failures(session)) >= TRIES:
                return LAST_WORDS
            self.asked.put_nowait(number)
            starts_at = time_of(number).isoformat()
            return [ToolUse(BOOK, {"starts_at": starts_at, "name": "Dana Cohen"})]
        if not any(text.startswith(BOOKED) for text in said):
            return [Reply(SOUND[BOOKED], WORDS[BOOKED])]
        return LAST_WORDS

    def _aside(self, session: Session) -> Sequence[Output]:
        """Say sorry, and what is missing of the last sentence."""
        last = ["", *_sentences(session)][-1]
        for name, words in WORDS.items():
            rest = self._rest(name, words, last)
            if rest:
                share = max(1.0 - len(rest) / len(words), 0.0)
                start = int(len(SOUND[name]) * share) // 160 * 160
                missing = Reply(SOUND[name][start:], rest)
                return [Reply(SORRY.audio, SORRY.transcript, (missing,))]
        return [SORRY]

    def _offer(self, number: str = "") -> str:
        """Return the words that offer a time, a new one if it has no number yet."""
        if not number:
            self._offered += 1
            number = str(self._offered)
        return f"{number} {WORDS[OFFER]}"

    def _rest(self, name: str, words: str, last: str) -> str:
        """Return what is missing of a sentence that was heard as `last`, "" if it was
        another one, or was heard to its end. An offer without its number, or of which
        the number may be cut, is given one."""
        heard = last
        if name == OFFER and last.startswith(OFFER):
            number = re.search(r"(\d+) is", last)
            if "is free" not in last:
                return self._offer(number[1] if number else "")
            heard = last[last.index("is free") :]
        heard = heard.rstrip(". ")
        is_this = bool(heard) and words.startswith(heard)
        return words[len(heard) :].strip() if is_this and heard != words[:-1] else ""


def time_of(number: int) -> datetime:
    """Return the time that is offered under a number."""
    return FIRST_TIME + timedelta(minutes=30 * number)


def _said(session: Session) -> list[str]:
    return [
        item.text
        for item in session.conversation
        if item.fields.get("role") == "assistant" and item.text
    ]


def _sentences(session: Session) -> list[str]:
    """Return the sentences as they were heard, each with what was said of it later."""
    sentences: list[str] = []
    for text in _said(session):
        sorry = _common_start(text, SORRY.transcript)
        if len(sorry) > 5 and sentences:
            sentences[-1] = f"{sentences[-1]} {text[len(sorry) :].strip()}".strip()
        else:
            sentences.append(text)
    return sentences


def _common_start(one: str, other: str) -> str:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(letter for letter, _ in pairs)


def _outputs(session: Session) -> list[str]:
    return [
        item.fields["output"]
        for item in session.conversation
        if item.fields["type"] == "function_call_output"
    ]


def _has_booked(session: Session) -> bool:
    return any('"booked"' in output for output in _outputs(session))


def _failures(session: Session) -> list[str]:
    """Return the results of bookings that failed; not of those that were cut off."""
    return [text for text in _outputs(session) if "not known" not in text]


def _has_just_failed(session: Session) -> bool:
    """Tell whether the last item is the result of a booking that failed."""
    last = [*session.conversation][-1].fields
    return last["type"] == "function_call_output" and last["output"] in _failures(
        session
    )


class Moment(NamedTuple):
    """Something on the caller's side, on the monotonic clock."""

    at: float
    kind: str


class Visit:
    """One call, from its ring to its end."""

    def __init__(self, caller: Caller, steps: Sequence[Step] = STEPS) -> None:
        self._steps = steps
        # The sentences that this caller lets end.
        self.sentences = [
            name for name in SOUND if steps is not INTERRUPTING or name != OFFER
        ]
        # Whether nothing keeps the model from booking.
        self.must_book = True
        self.moments: list[Moment] = []
        # How many utterances of the AI have begun.
        self.utterances = 0
        self._caller = replace(caller, observe=self.observe)
        self.phone = caller.from_number
        self.result: CallResult | None = None
        # When its process was killed or frozen, and how.
        self.hits: list[tuple[float, str]] = []

    def observe(self, happening: Happening) -> None:
        """Note what the caller does and hears."""
        self.moments.append(Moment(monotonic(), happening.kind))
        if happening.kind == "ai starts":
            self.utterances += 1

    async def run(self, max_s: float) -> None:
        """Place the call."""
        self.result = await self._caller.call(self._steps, max_s=max_s)

    def next_words_s(self) -> list[tuple[str, float]]:
        """Return, for each loss of the line by a hit, how long the caller heard
        nothing of the service."""
        found = []
        for at, kind in self.hits:
            lost = [m.at for m in self.moments if m.at >= at and m.kind in _LOST]
            heard = [
                m.at
                for m in self.moments
                if lost and m.at >= lost[0] and m.kind == "ai starts"
            ]
            if heard:
                found.append((kind, heard[0] - at))
        return found

    def times_heard(self) -> dict[str, int]:
        """Return how often the caller heard each sentence to its end."""
        assert self.result is not None, "the call is over"
        heard = self.result.heard
        return {
            name: sum(part.count(SOUND[name][-END_BYTES:]) for part in heard)
            for name in self.sentences
            if self.must_book or name != BOOKED
        }

    @property
    def was_told(self) -> bool:
        """Whether the caller heard that the appointment is booked."""
        assert self.result is not None, "the call is over"
        return any(SOUND[BOOKED][-END_BYTES:] in part for part in self.result.heard)


_LOST = ("hung up on", "moved")


async def until_utterance(visits: Sequence[Visit], number: int) -> None:
    """Wait until the AI begins its utterance of this number in one of the calls."""
    while all(visit.utterances < number for visit in visits):  # noqa: ASYNC110 a count
        await asyncio.sleep(LOOK_S)


async def until_interruption(visits: Sequence[Visit]) -> None:
    """Wait until the AI has been stopped by one of the callers."""
    while all(  # noqa: ASYNC110 a list
        moment.kind != "clear" for visit in visits for moment in visit.moments
    ):
        await asyncio.sleep(LOOK_S)
