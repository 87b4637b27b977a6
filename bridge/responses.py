"""Responses: which answer of the model runs, and which one waits.

The server writes one response at a time into a conversation and refuses a second. So a
request made while one runs waits here, and goes out when it has ended; requests that
wait are merged, because one answer serves them all. In the VAD modes the server itself
answers a turn, but not one that ended while a response ran: such a turn is noticed and
asked for.
"""

from collections import deque

from msgspec import UNSET, UnsetType

from bridge import openai

# How long the server may take to begin its own answer to a turn it committed.
ANSWER_WAIT_S = 1.0
# The same after a response has ended: the server would have begun at once.
ANSWER_WAIT_AFTER_S = 0.25
# Late deltas of a cancelled response are recognised by its id; a few are enough.
CANCELLED_KEPT = 16


class Responses:
    """The owner of one call's responses; returns the events that must be sent."""

    def __init__(self) -> None:
        self.active_id: str | None = None
        # What the newest response was asked for with; nothing where the server began.
        self.params: openai.ResponseParams | UnsetType = UNSET
        self._asked: openai.ResponseCreate | None = None
        self._last_asked: openai.ResponseCreate | None = None
        self._is_asked_cancelled = False
        self._is_spare = False
        self._has_ended_since = False
        self._waiting: openai.ResponseCreate | None = None
        self._cancelled: deque[str] = deque(maxlen=CANCELLED_KEPT)
        self._count = 0
        # The server hears a turn that it has not committed.
        self.is_turn_heard = False
        self._has_unanswered_turn = False
        self._is_suspended = False
        self.answer_by: float | None = None

    @property
    def is_busy(self) -> bool:
        """Tell whether a response runs, has been asked for, or must wait."""
        is_running = self.active_id is not None or self._asked is not None
        return is_running or self._is_suspended

    @property
    def is_waiting(self) -> bool:
        """Tell whether a request waits for the running response to end."""
        return self._waiting is not None

    @property
    def is_owing(self) -> bool:
        """Tell whether an answer runs, waits, or is to come to what was said."""
        return self.is_busy or self.is_waiting or self.answer_by is not None

    @property
    def is_asked(self) -> bool:
        """Tell whether what begins next was asked for by us."""
        return self._asked is not None

    def request(
        self, params: openai.ResponseParams | UnsetType = UNSET
    ) -> list[openai.ResponseCreate]:
        """Ask for a response, now or as soon as the running one has ended."""
        event = self._new(params)
        if not self.is_busy:
            if self._waiting is not None and params is UNSET:
                event = self._waiting
            self._waiting = None
            return self._ask(event)
        # Words of our own (a goodbye) outrank a plain answer.
        if self._waiting is None or params is not UNSET:
            self._waiting = event
        return []

    def cancel(self) -> list[openai.ResponseCancel]:
        """Stop the response that runs or was asked for, if any.

        Its late deltas must be dropped.
        """
        if self.active_id is None:
            is_first = self._asked is not None and not self._is_asked_cancelled
            self._is_asked_cancelled = self._asked is not None
            return [openai.ResponseCancel()] if is_first else []
        if self.active_id in self._cancelled:
            return []
        self._cancelled.append(self.active_id)
        return [openai.ResponseCancel()]

    def is_cancelled(self, response_id: str) -> bool:
        """Tell whether what arrives for this response is late."""
        return response_id in self._cancelled

    def note_created(self, response_id: str) -> None:
        """A response has begun, asked for by us or by the server's turn detection."""
        self.active_id = response_id
        self.params = UNSET if self._asked is None else self._asked.response
        if self._is_asked_cancelled:
            self._cancelled.append(response_id)
        self._asked = None
        self._is_asked_cancelled = False
        self._answered()

    def note_done(self, response_id: str, now: float) -> list[openai.ResponseCreate]:
        """A response has ended; return the request that waited for it."""
        if self.active_id == response_id:
            self.active_id = None
        self._has_ended_since = True
        if self._has_unanswered_turn:
            self.answer_by = now + ANSWER_WAIT_AFTER_S
        if self._waiting is None or self.is_busy:
            return []
        event, self._waiting = self._waiting, None
        return self._ask(event)

    def note_speech(self) -> None:
        """The server hears a turn of the caller, which it will commit."""
        self.is_turn_heard = True

    def note_committed(self, now: float, *, is_answered: bool = True) -> None:
        """A turn of the caller is complete; the server answers it by itself, or not."""
        self.is_turn_heard = False
        self._has_unanswered_turn = True
        self.answer_by = now + ANSWER_WAIT_S if is_answered else now

    def note_refused(
        self, event_id: str | None, *, try_again: bool
    ) -> list[openai.ResponseCreate]:
        """The server refused a request: forget it, or repeat it once it can be served.

        That may be now, for refusals come late. A collision that names no request can
        only be the last one's. One made for an unanswered turn is never repeated: what
        runs answers it.
        """
        refused = self._last_asked
        is_its = event_id is None and try_again
        if refused is None or not (is_its or refused.event_id == event_id):
            return []
        is_wanted = not self._is_spare and not self._is_asked_cancelled
        self._asked = self._last_asked = None
        self._is_asked_cancelled = False
        if not try_again or not is_wanted or self._waiting is not None:
            return []
        if self._has_ended_since and not self.is_busy:
            return self._ask(refused)
        self._waiting = refused
        return []

    def ask_for_unanswered(self, now: float) -> list[openai.ResponseCreate]:
        """Ask for the answer that the server did not begin by `answer_by`."""
        if not self._has_unanswered_turn or self.answer_by is None:
            return []
        if self.is_busy:
            self.answer_by = None
            return []
        if now < self.answer_by:
            return []
        events = self.request()
        self._is_spare = True
        return events

    def suspend(self, *, is_asked_later: bool = False) -> None:
        """The session is gone: what ran or was owed is asked for at `resume`.

        Nothing plain where tools run, or a turn is to be ended anew, for then we ask.
        """
        is_owed = self.active_id is not None and not self.is_cancelled(self.active_id)
        asked = self._waiting
        if asked is None and not self._is_asked_cancelled:
            asked = self._asked
        if asked is None and (is_owed or self._has_unanswered_turn):
            asked = self._new(UNSET)
        if is_asked_later and asked is not None and asked.response is UNSET:
            asked = None
        self.active_id = self._asked = self._last_asked = None
        self._is_asked_cancelled = self.is_turn_heard = False
        self._answered()
        self._waiting = asked
        self._is_suspended = True

    def resume(
        self, instead: openai.ResponseParams | UnsetType = UNSET
    ) -> list[openai.ResponseCreate]:
        """A new session is ready; return the request that is owed, or `instead`."""
        self._is_suspended = False
        event, self._waiting = self._waiting, None
        if instead is not UNSET:
            event = self._new(instead)
        return [] if event is None else self._ask(event)

    def _new(self, params: openai.ResponseParams | UnsetType) -> openai.ResponseCreate:
        self._count += 1
        return openai.ResponseCreate(
            event_id=f"response-{self._count}", response=params
        )

    def _ask(self, event: openai.ResponseCreate) -> list[openai.ResponseCreate]:
        self._asked = self._last_asked = event
        self._is_spare = self._has_ended_since = False
        self._answered()
        return [event]

    def _answered(self) -> None:
        self._has_unanswered_turn = False
        self.answer_by = None
