"""Responses: which answer of the model runs, and which one waits.

The server writes one response at a time into a conversation and refuses a second. So a
request made while one runs waits here, and goes out when it has ended; requests that
wait are merged, because one answer serves them all. In the VAD modes the server itself
answers a turn, but not one that ended while a response ran: such a turn is noticed and
asked for.

Whatever ends a response frees its place for the next one: its `response.done`, whether
its beginning was announced or not, an error that names it, a session that is gone, or
that it is given up. Of what is never announced the first sign is its beginning.
"""

from collections import deque

from msgspec import UNSET, UnsetType

from bridge.realtime import openai

# How long the server may take to begin its own answer to a turn it committed.
ANSWER_WAIT_S = 1.0
# The same after a response has ended: the server would have begun at once.
ANSWER_WAIT_AFTER_S = 0.25
# What comes late of a response is recognised by its id; a few are enough.
CANCELLED_KEPT = 16
ENDED_KEPT = 16
# A response that the server gives no id.
NAMELESS = ""


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
        self._ended: deque[str] = deque(maxlen=ENDED_KEPT)
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

    @property
    def asked_id(self) -> str | None:
        """The name of the request that has not begun, by which an error may be its."""
        return None if self._asked is None else str(self._asked.event_id)

    @property
    def is_wanted(self) -> bool:
        """Tell whether what was asked for has not been called off since."""
        return self._asked is not None and not self._is_asked_cancelled

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
        if self.active_id == NAMELESS and NAMELESS in self._cancelled:
            return True
        return response_id in self._cancelled

    def is_stopped(self, response_id: str) -> bool:
        """Tell whether we have stopped the response of this end, begun or not."""
        is_asked_stopped = self.active_id is None and self._is_asked_cancelled
        return is_asked_stopped or self.is_cancelled(response_id)

    def is_unannounced(self, response_id: str) -> bool:
        """Tell whether a sign of a response is its beginning, for none was told.

        So it is though none was awaited any more: what sounds can be interrupted.
        """
        is_free = self.active_id is None and response_id not in self._ended
        return is_free and response_id not in self._cancelled

    def is_its_end(self, response_id: str) -> bool:
        """Tell whether this is the end of what runs, or of what was awaited."""
        if response_id in self._ended:
            return False
        if self.active_id is None:
            return self._is_awaited
        return NAMELESS in (response_id, self.active_id) or (
            response_id == self.active_id
        )

    @property
    def _is_awaited(self) -> bool:
        """Tell whether a response should begin: we asked, or the server should."""
        return self._asked is not None or self._has_unanswered_turn

    def note_created(self, response_id: str) -> None:
        """A response has begun, asked for by us or by the server's turn detection."""
        if response_id in self._ended:
            return
        self.active_id = response_id
        self.params = UNSET if self._asked is None else self._asked.response
        if self._is_asked_cancelled:
            self._cancelled.append(response_id)
        self._asked = None
        self._is_asked_cancelled = False
        self._answered()

    def note_done(self, response_id: str, now: float) -> list[openai.ResponseCreate]:
        """A response has ended; return the request that waited for it."""
        if self.is_its_end(response_id):
            self._free(response_id)
        self._has_ended_since = True
        if self._has_unanswered_turn:
            self.answer_by = now + ANSWER_WAIT_AFTER_S
        return self._go_on()

    def give_up(self) -> list[openai.ResponseCreate]:
        """Wait no longer for what is cancelled; return what waited for its end."""
        if not self._is_suspended:
            self._free(self.active_id or NAMELESS)
        return self._go_on()

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
        self.params = refused.response
        if not try_again:
            return self._go_on()
        if not is_wanted or self._waiting is not None:
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

    def _go_on(self) -> list[openai.ResponseCreate]:
        """Send the request that waited, if its place is free."""
        if self._waiting is None or self.is_busy:
            return []
        event, self._waiting = self._waiting, None
        return self._ask(event)

    def _free(self, response_id: str) -> None:
        """What ran, or was asked for and never announced, is over."""
        if self.active_id is None and self._asked is not None:
            self.params = self._asked.response
        self._ended += {response_id, self.active_id or NAMELESS} - {NAMELESS}
        if NAMELESS in self._cancelled:
            self._cancelled.remove(NAMELESS)
        if self.active_id is None:
            self._asked = None
            self._is_asked_cancelled = False
        self.active_id = None

    def _answered(self) -> None:
        self._has_unanswered_turn = False
        self.answer_by = None
