"""Recovery: what is done about an answer that fails or has no sound.

Theory of operation. A caller must hear something of every answer. So one without a
sound is as bad as a failed one, whatever the server calls it: empty, text alone,
filtered, out of tokens, an item that cannot be answered, digital silence, or an `error`
that no end of the answer follows. Of such answers in a row

    the first    is asked for once more (a failed one after a pause, and one that is
                 over a limit of the account's again and again, for no session helps);
    the second   is, without a sound, replaced by a sentence of ours; a failed one is
                 asked of another session, for this one may answer nothing but errors;
    the others   are asked of other sessions, up to FAILURES_MAX: then the call fails.

An answer that is heard, or calls a tool, begins the row anew. In the last words of a
call there is one more try, and then the end. What has come of the answer that runs is
its `Outcome`, which only grows:

    NOTHING --> SILENCE --> NAMELESS --> ANSWER    (each may be left out)

`Recovery` returns a `Remedy`; who asks, and when the caller leaves us the floor, is
`bridge.call.bad_answers`'s and `Floor`'s.
"""

from enum import Enum

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.call.transitions import follow
from bridge.realtime import openai

# Before a failed answer is asked for again: what failed at once fails at once again.
RETRY_WAIT_S = 1.0
# The same, once another session has failed, too.
RETRY_WAIT_LATER_S = 3.0
# An end of what was never announced: its announcement may still be on its way.
UNANNOUNCED_WAIT_S = 0.5
# An answer of which nothing has come for so long after an error will not come, and how
# often it is looked for.
ERROR_WAIT_S = 3.0
ERROR_LOOK_S = 0.5
FAILURES_MAX = 4
# Mu-law within 24 of 0: -62 dBFS and less.
SILENT = bytes((*range(0x7C, 0x80), *range(0xFC, 0x100)))


class Outcome(Enum):
    """What has come of the answer that runs."""

    NOTHING = "nothing, or text alone"
    SILENCE = "digital silence"
    NAMELESS = "a tool call that cannot be answered"
    ANSWER = "sound, or a tool call"


# A member looked up in its enumeration goes through Python; this one is each delta's.
_ANSWER = Outcome.ANSWER
_NEXT: dict[Outcome, frozenset[Outcome]] = {
    Outcome.NOTHING: frozenset((Outcome.SILENCE, Outcome.NAMELESS, Outcome.ANSWER)),
    Outcome.SILENCE: frozenset((Outcome.NAMELESS, Outcome.ANSWER)),
    Outcome.NAMELESS: frozenset((Outcome.ANSWER,)),
    Outcome.ANSWER: frozenset(),
}


class Mute(Enum):
    """Why nothing of an answer can be heard."""

    EMPTY = "empty"
    TEXT = "text"
    FILTERED = "filtered"
    TOKENS = "tokens"
    NAMELESS = "nameless"
    CANCELLED = "cancelled"
    SILENT = "silent"


class Remedy(Enum):
    """What is to be done about a bad answer."""

    WAIT = "RETRY will say when it is asked for once more"
    ASK = "it is asked for once more when the floor is free"
    OTHER_SESSION = "another session is asked"
    HANG_UP = "nothing more is tried in the last words"
    FAIL = "nothing more is tried: the call fails"


# What stands of an answer: the id of what runs, the request's, and its deltas.
Progress = tuple[str | None, str | None, int]


class Recovery:
    """The owner of what is known of bad answers, and of the timers RETRY and ERROR."""

    def __init__(self, timers: Timers) -> None:
        self._timers = OwnTimers(timers, Timer.RETRY, Timer.ERROR)
        self.failures = 0
        # What is asked for next is a sentence of ours, not the answer once more.
        self.is_own_due = False
        self.outcome = Outcome.NOTHING
        self._deltas = 0
        # What stood when an error came that may have cost an answer, and its text.
        self._watched: Progress | None = None
        self._watched_at = 0.0
        self._error = ""

    # --- the answer that runs ---

    def begin(self, *, is_announced: bool) -> None:
        """Another answer runs: nothing has come of it.

        One that is announced is the second try, where one was to be asked for.
        """
        self.outcome = Outcome.NOTHING
        self._deltas = 0
        if is_announced:
            self._timers.cancel(Timer.RETRY)

    def note_audio(self, audio: bytes) -> None:
        """A piece of the answer's sound has come."""
        self._deltas += 1
        if self.outcome is _ANSWER:
            return
        if audio.strip(SILENT):
            self._to(Outcome.ANSWER)
        elif self.outcome is Outcome.NOTHING:
            self._to(Outcome.SILENCE)

    def note_tool(self) -> None:
        """It calls a tool."""
        if self.outcome is not Outcome.ANSWER:
            self._to(Outcome.ANSWER)

    def note_nameless(self) -> None:
        """It calls a tool without a name, or in a way that cannot be answered."""
        if self.outcome not in (Outcome.NAMELESS, Outcome.ANSWER):
            self._to(Outcome.NAMELESS)

    def mute_kind(self, response: openai.Response) -> Mute | None:
        """Say why nothing of the answer that has ended was heard, if nothing was."""
        if self.outcome is Outcome.ANSWER:
            return None
        details = response.status_details
        reason = details.reason if details is not None else None
        if response.status == "cancelled":
            return Mute.CANCELLED
        if reason == "content_filter":
            return Mute.FILTERED
        if response.status == "incomplete":
            return Mute.TOKENS
        if self.outcome is Outcome.NAMELESS:
            return Mute.NAMELESS
        if self.outcome is Outcome.SILENCE:
            return Mute.SILENT
        return Mute.TEXT if response.has_text else Mute.EMPTY

    # --- bad ones in a row ---

    def note_good(self) -> None:
        """An answer was one: the row is over."""
        self.failures = 0

    def note_failed(
        self, now: float, wait_s: float, *, is_ending: bool, is_limited: bool
    ) -> Remedy:
        """An answer has failed; it may be asked for again after `wait_s`.

        `is_limited`: over a limit of the account's, which no other session has more of.
        """
        self.failures += 1
        self.is_own_due = False
        if self._is_over(is_ending):
            return self._last_remedy(is_ending)
        if self.failures % 2 == 0 and not is_limited:
            return Remedy.OTHER_SESSION
        if self.failures > 1:
            wait_s = RETRY_WAIT_LATER_S
        self._timers.set(Timer.RETRY, now + wait_s)
        return Remedy.WAIT

    def note_mute(self, now: float, *, is_ending: bool, is_announced: bool) -> Remedy:
        """Nothing of an answer could be heard."""
        self.failures += 1
        self.is_own_due = self.failures > 1
        if self._is_over(is_ending):
            return self._last_remedy(is_ending)
        if self.failures > 2:
            return Remedy.OTHER_SESSION
        if is_announced:
            return Remedy.ASK
        self._timers.set(Timer.RETRY, now + UNANNOUNCED_WAIT_S)
        return Remedy.WAIT

    def _is_over(self, is_ending: bool) -> bool:
        return self.failures > (1 if is_ending else FAILURES_MAX)

    def _last_remedy(self, is_ending: bool) -> Remedy:
        return Remedy.HANG_UP if is_ending else Remedy.FAIL

    # --- an error that no end follows ---

    def watch(self, runs: str | None, asked: str | None, text: str, now: float) -> None:
        """An error has come that may have cost the answer: look whether it goes on.

        `runs` and `asked` are the ids of the response and of the request.
        """
        if self._note_progress(runs, asked, text, now):
            self._timers.set(Timer.ERROR, now + ERROR_LOOK_S)

    def look(self, runs: str | None, asked: str | None, now: float) -> str | None:
        """ERROR is due: return the error, if nothing came for ERROR_WAIT_S.

        Else it is looked at again.
        """
        self._note_progress(runs, asked, self._error, now)
        if now < self._watched_at + ERROR_WAIT_S:
            self._timers.set(Timer.ERROR, now + ERROR_LOOK_S)
            return None
        self._watched = None
        return self._error

    def forget(self) -> None:
        """The error has cost nothing: no answer is owed."""
        self._watched = None

    def leave_session(self) -> None:
        """What is owed is asked of the next session, at once."""
        self.forget()
        self._timers.cancel(Timer.RETRY, Timer.ERROR)

    def _note_progress(
        self, runs: str | None, asked: str | None, text: str, now: float
    ) -> bool:
        """Note what stands; tell whether that is another answer, or more of it."""
        progress, watched = (runs, asked, self._deltas), self._watched
        self._error = text
        if progress == watched:
            return False
        self._watched, self._watched_at = progress, now
        return True

    def _to(self, outcome: Outcome) -> None:
        self.outcome = follow(_NEXT, self.outcome, outcome)
