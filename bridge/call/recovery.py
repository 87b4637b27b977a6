"""Recovery: what is done about an answer that fails or has no sound.

Theory of operation. The caller must hear something of every answer. So an inaudible
answer is as bad as a failed one, whatever the server calls it: empty, text alone,
filtered, out of tokens, an item that cannot be answered, digital silence, or an `error`
without an end of the answer. Of such answers in a row

    the first    is requested once more. A failed one is requested after a pause; one
                 over a limit of the account is requested again each time, because
                 another session does not help.
    the second   is replaced by a sentence of the bridge if it is inaudible. A failed
                 one is requested from another session, because this session may give
                 only errors.
    the others   are requested from other sessions, up to FAILURES_MAX: then the call
                 fails.

An answer that is heard, or that calls a tool, ends the row. During the last words of a
call there is one more try, and then the call ends. The result of the running answer is
its `Outcome`, which only grows:

    NOTHING --> SILENCE --> NAMELESS --> ANSWER    (each may be left out)

`Recovery` returns a `Remedy`. `bridge.call.bad_answers` sends the request; `Floor` says
when the caller has stopped speaking.
"""

from enum import Enum

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.call.transitions import follow
from bridge.realtime import openai

# The pause before a failed answer is requested again: an immediate repeat would fail,
# too.
RETRY_WAIT_S = 1.0
# The same pause, once another session has failed, too.
RETRY_WAIT_LATER_S = 3.0
# The same pause, if the end of an answer came without its beginning: the beginning may
# still arrive.
UNANNOUNCED_WAIT_S = 0.5
# An answer is given up if nothing of it has come for this long after an error, and how
# often that is checked.
ERROR_WAIT_S = 3.0
ERROR_LOOK_S = 0.5
FAILURES_MAX = 4
# Mu-law within 24 of 0: -62 dBFS and less.
SILENT = bytes((*range(0x7C, 0x80), *range(0xFC, 0x100)))


class Outcome(Enum):
    """What has arrived of the running answer."""

    NOTHING = "nothing, or text alone"
    SILENCE = "digital silence"
    NAMELESS = "a tool call that cannot be answered"
    ANSWER = "sound, or a tool call"


# Access to an enum member runs Python code; this member is needed for each delta.
_ANSWER = Outcome.ANSWER
_NEXT: dict[Outcome, frozenset[Outcome]] = {
    Outcome.NOTHING: frozenset((Outcome.SILENCE, Outcome.NAMELESS, Outcome.ANSWER)),
    Outcome.SILENCE: frozenset((Outcome.NAMELESS, Outcome.ANSWER)),
    Outcome.NAMELESS: frozenset((Outcome.ANSWER,)),
    Outcome.ANSWER: frozenset(),
}


class Mute(Enum):
    """Why an answer is inaudible."""

    EMPTY = "empty"
    TEXT = "text"
    FILTERED = "filtered"
    TOKENS = "tokens"
    NAMELESS = "nameless"
    CANCELLED = "cancelled"
    SILENT = "silent"


class Remedy(Enum):
    """What to do about a bad answer."""

    WAIT = "RETRY will say when it is asked for once more"
    ASK = "it is asked for once more when the floor is free"
    OTHER_SESSION = "another session is asked"
    HANG_UP = "nothing more is tried in the last words"
    FAIL = "nothing more is tried: the call fails"


# The progress of an answer: the ids of the response and of the request, and the number
# of deltas.
Progress = tuple[str | None, str | None, int]


class Recovery:
    """The owner of the facts about bad answers, and of the timers RETRY and ERROR."""

    def __init__(self, timers: Timers) -> None:
        self._timers = OwnTimers(timers, Timer.RETRY, Timer.ERROR)
        self.failures = 0
        # The next request is for a sentence of the bridge, not for the answer again.
        self.is_own_due = False
        self.outcome = Outcome.NOTHING
        self._deltas = 0
        # The progress at an error that may have ended an answer, and the error's text.
        self._watched: Progress | None = None
        self._watched_at = 0.0
        self._error = ""

    # --- the answer that runs ---

    def begin(self, *, is_announced: bool) -> None:
        """Note that another answer runs, of which nothing has arrived.

        An announced one counts as the second try, if one was due.
        """
        self.outcome = Outcome.NOTHING
        self._deltas = 0
        if is_announced:
            self._timers.cancel(Timer.RETRY)

    def note_audio(self, audio: bytes) -> None:
        """Note that a piece of the answer's audio has arrived."""
        self._deltas += 1
        if self.outcome is _ANSWER:
            return
        if audio.strip(SILENT):
            self._to(Outcome.ANSWER)
        elif self.outcome is Outcome.NOTHING:
            self._to(Outcome.SILENCE)

    def note_tool(self) -> None:
        """Note that the answer calls a tool."""
        if self.outcome is not Outcome.ANSWER:
            self._to(Outcome.ANSWER)

    def note_nameless(self) -> None:
        """Note that the answer makes a tool call that cannot be answered."""
        if self.outcome not in (Outcome.NAMELESS, Outcome.ANSWER):
            self._to(Outcome.NAMELESS)

    def mute_kind(self, response: openai.Response) -> Mute | None:
        """Return why the answer that has ended was inaudible, or None if it was not."""
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
        """Note that an answer was good: the row of bad ones is over."""
        self.failures = 0

    def note_failed(
        self, now: float, wait_s: float, *, is_ending: bool, is_limited: bool
    ) -> Remedy:
        """Note that an answer has failed; it may be requested again after `wait_s`.

        `is_limited`: it was over a limit of the account, which all sessions share.
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
        """Note that an answer was inaudible."""
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

    # --- an error without an end of the answer ---

    def watch(self, runs: str | None, asked: str | None, text: str, now: float) -> None:
        """Watch whether an answer goes on after an error that may have ended it.

        `runs` and `asked` are the ids of the response and of the request.
        """
        if self._note_progress(runs, asked, text, now):
            self._timers.set(Timer.ERROR, now + ERROR_LOOK_S)

    def look(self, runs: str | None, asked: str | None, now: float) -> str | None:
        """Return the error, if nothing has come for ERROR_WAIT_S; else look again.

        Call this when ERROR is due.
        """
        self._note_progress(runs, asked, self._error, now)
        if now < self._watched_at + ERROR_WAIT_S:
            self._timers.set(Timer.ERROR, now + ERROR_LOOK_S)
            return None
        self._watched = None
        return self._error

    def forget(self) -> None:
        """Stop watching: the error has ended no answer that is owed."""
        self._watched = None

    def leave_session(self) -> None:
        """Stop all timers: the next session is asked at once for what is owed."""
        self.forget()
        self._timers.cancel(Timer.RETRY, Timer.ERROR)

    def _note_progress(
        self, runs: str | None, asked: str | None, text: str, now: float
    ) -> bool:
        """Note the progress; tell whether it is another answer, or more of it."""
        progress, watched = (runs, asked, self._deltas), self._watched
        self._error = text
        if progress == watched:
            return False
        self._watched, self._watched_at = progress, now
        return True

    def _to(self, outcome: Outcome) -> None:
        self.outcome = follow(_NEXT, self.outcome, outcome)
