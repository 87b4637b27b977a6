"""Responses: which answer of the model runs, and which one waits.

Theory of operation. The server writes one response at a time into a conversation, and
refuses a second. So there is one place; its content is a `Place`:

    FREE --(asked for)--> ASKED --(begun)--> RUNNING --(ended)--> FREE
                            |(cancelled)        |(cancelled)
                        CALLED_OFF --(begun)--> STOPPED --(ended)--> FREE

    all but SUSPENDED --(session left)--> SUSPENDED --(next one ready)--> FREE

A request made while the place is taken waits, and is sent when the place is free.
Requests that wait are merged, because one answer serves them all. A response frees the
place when its `response.done` arrives, even if it was never announced, when an error
names it, or when it is given up. A response that is never announced begins with its
first event. In the VAD modes the server itself answers a `Turn`, but not one that ended
while a response ran: the bridge notices it and requests an answer. `Repeat` says what a
late refusal means for the newest request.

The events of a session that is not confirmed change nothing.
"""

from collections import deque
from enum import Enum

from msgspec import UNSET, UnsetType

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.call.transitions import follow
from bridge.realtime import openai

# How long the server may take to begin its own answer to a turn it has committed.
ANSWER_WAIT_S = 1.0
# The same after a response has ended: the server would have begun at once.
ANSWER_WAIT_AFTER_S = 0.25
# How long it may take to begin what it was asked for. A busy one was seen to take more
# than 5 s: github.com/livekit/agents/pull/5205 gives up after 10 s, too.
BEGIN_S = 10.0
# A judgement: a caller who has waited this long asks whether anyone is there.
STALL_S = 15.0
# Late events of a response are recognised by its id; a few ids are enough.
CANCELLED_KEPT = ENDED_KEPT = 16
# The id of a response to which the server gives none.
NAMELESS = ""


class Place(Enum):
    """What the one place for a response in the conversation holds."""

    FREE = "nothing"
    ASKED = "a request whose response has not begun"
    CALLED_OFF = "a request that was cancelled before its response began"
    RUNNING = "a response that runs"
    STOPPED = "a response that was cancelled and has not ended"
    SUSPENDED = "nothing, for there is no session"


class Turn(Enum):
    """Whether the caller's last turn is answered, where the server answers it."""

    ANSWERED = "it is answered, or there was none"
    AWAITED = "the server's answer is awaited until `answer_by`"
    LATER = "another response runs, at whose end the answer is awaited again"


class Repeat(Enum):
    """What happens to the newest request if the server refuses it."""

    AFTER_END = "it is repeated when what runs has ended"
    AT_ONCE = "it is repeated, for what ran has ended"
    NEVER = "its answer runs, or is wanted no more"


_GONE = frozenset((Place.FREE, Place.SUSPENDED))
_BEGUN = frozenset((Place.RUNNING, Place.STOPPED))
_OFF = frozenset((Place.CALLED_OFF, Place.STOPPED))
_NEXT_PLACE: dict[Place, frozenset[Place]] = {
    # A response that the server begins may have an id that is already cancelled.
    Place.FREE: _BEGUN | {Place.ASKED, Place.SUSPENDED},
    Place.ASKED: _BEGUN | _GONE | {Place.CALLED_OFF},
    Place.CALLED_OFF: _GONE | {Place.STOPPED},
    # The server may announce another response before the end of the first.
    Place.RUNNING: _BEGUN | _GONE,
    Place.STOPPED: _BEGUN | _GONE,
    Place.SUSPENDED: frozenset((Place.FREE,)),
}
_NEXT_TURN: dict[Turn, frozenset[Turn]] = {
    Turn.ANSWERED: frozenset((Turn.AWAITED,)),
    Turn.AWAITED: frozenset((Turn.ANSWERED, Turn.AWAITED, Turn.LATER)),
    Turn.LATER: frozenset((Turn.ANSWERED, Turn.AWAITED)),
}
_NEXT_REPEAT: dict[Repeat, frozenset[Repeat]] = {
    Repeat.AFTER_END: frozenset((Repeat.AT_ONCE, Repeat.NEVER)),
    Repeat.AT_ONCE: frozenset((Repeat.NEVER,)),
    Repeat.NEVER: frozenset((Repeat.NEVER,)),
}


class Responses:
    """The owner of one call's responses, and of the timers ANSWER and STALL.

    Returns the events that must be sent.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = OwnTimers(timers, Timer.ANSWER, Timer.STALL)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Reset everything: the session is gone, and nothing is owed."""
        self.place = Place.FREE
        self.turn = Turn.ANSWERED
        # The id of the running response; None if none runs.
        self.active_id: str | None = None
        # The parameters of the newest response; UNSET if the server began it.
        self.params: openai.ResponseParams | UnsetType = UNSET
        # The server detects a turn that it has not committed.
        self.is_turn_heard = False
        self.answer_by: float | None = None
        self._asked: openai.ResponseCreate | None = None
        self._newest: openai.ResponseCreate | None = None
        self._repeat = Repeat.AFTER_END
        self._waiting: openai.ResponseCreate | None = None
        self._cancelled: deque[str] = deque(maxlen=CANCELLED_KEPT)
        self._ended: deque[str] = deque(maxlen=ENDED_KEPT)
        self._count = 0
        self._timers.cancel(Timer.ANSWER, Timer.STALL)

    # --- what is known ---

    @property
    def is_busy(self) -> bool:
        """Tell whether a response runs, has been asked for, or must wait."""
        return self.place is not Place.FREE

    @property
    def is_waiting(self) -> bool:
        """Tell whether a request waits for the running response to end."""
        return self._waiting is not None

    @property
    def is_owing(self) -> bool:
        """Tell whether an answer runs, waits, or is awaited from the server."""
        return self.is_busy or self.is_waiting or self.answer_by is not None

    @property
    def is_asked(self) -> bool:
        """Tell whether the bridge requested the response that begins next."""
        return self._asked is not None

    @property
    def asked_id(self) -> str | None:
        """The event id of the request whose response has not begun; errors name it."""
        return None if self._asked is None else str(self._asked.event_id)

    @property
    def is_wanted(self) -> bool:
        """Tell whether a request is open and has not been cancelled."""
        return self.place is Place.ASKED

    def is_cancelled(self, response_id: str) -> bool:
        """Tell whether events of this response are late."""
        if self.active_id == NAMELESS and self.place is Place.STOPPED:
            return True
        return response_id in self._cancelled

    def is_stopped(self, response_id: str) -> bool:
        """Tell whether the bridge has cancelled this response, begun or not."""
        return self.place is Place.CALLED_OFF or self.is_cancelled(response_id)

    def is_unannounced(self, response_id: str) -> bool:
        """Tell whether an event of a response must count as its beginning, also where
        no response is awaited: audible speech must be interruptible."""
        if self.place in _BEGUN or self.place is Place.SUSPENDED:
            return False
        return response_id not in self._ended and response_id not in self._cancelled

    def is_its_end(self, response_id: str) -> bool:
        """Tell whether this is the end of the running or the awaited response."""
        if response_id in self._ended or self.place is Place.SUSPENDED:
            return False
        if self.place in _BEGUN:
            return response_id in (self.active_id, NAMELESS) or (
                self.active_id == NAMELESS
            )
        return self.is_asked or self.turn is not Turn.ANSWERED

    # --- what the bridge wants ---

    def request(
        self, now: float, params: openai.ResponseParams | UnsetType = UNSET
    ) -> list[openai.ResponseCreate]:
        """Ask for a response, now or as soon as the running one has ended."""
        event = self._new(params)
        if not self.is_busy:
            if params is UNSET:
                event = self._waiting or event
            self._waiting = None
            return self._ask(event, now)
        # A request with parameters (a goodbye) outranks a plain answer.
        if self._waiting is None or params is not UNSET:
            self._waiting = event
        return []

    def cancel(self, now: float) -> list[openai.ResponseCancel]:
        """Cancel what runs or was requested; its late deltas must be dropped."""
        if self.place is Place.ASKED:
            self._to(Place.CALLED_OFF)
        elif self.place is Place.RUNNING:
            assert self.active_id is not None, "what runs has an id"
            self._to(Place.STOPPED)
            self._cancelled.append(self.active_id)
            self._timers.set(Timer.STALL, now + STALL_S)
        else:
            return []
        return [openai.ResponseCancel()]

    def give_up(self, now: float) -> list[openai.ResponseCreate]:
        """Stop waiting for a response; return the request that waited for its end."""
        if self.place is not Place.SUSPENDED:
            self._free(self.active_id or NAMELESS)
        return self._go_on(now)

    def ask_for_unanswered(self, now: float) -> list[openai.ResponseCreate]:
        """Request the answer that the server did not begin by `answer_by`."""
        if self.turn is not Turn.AWAITED:
            return []
        if self.is_busy:
            self._turn_to(Turn.LATER)
            return []
        if self.answer_by is None or now < self.answer_by:
            return []
        events = self.request(now)
        self._repeat_to(Repeat.NEVER)
        return events

    def is_stalled(self, now: float, audible_until: float) -> bool:
        """Tell whether to give up the response, when STALL is due; while the caller
        still hears its audio, the timer is set anew. Of what is cancelled they hear
        nothing: only its end is awaited."""
        if not self.is_busy or self.place in _OFF:
            return self.is_busy
        silent_until = audible_until + (BEGIN_S if self.is_asked else STALL_S)
        if now < silent_until:
            self._timers.set(Timer.STALL, silent_until)
        return now >= silent_until

    # --- what the server does ---

    def note_created(self, response_id: str, now: float) -> bool:
        """Note that a response begins; False if it has ended or no session exists."""
        if response_id in self._ended or self.place is Place.SUSPENDED:
            return False
        if self.place is Place.CALLED_OFF:
            self._cancelled.append(response_id)
        is_cancelled = response_id in self._cancelled
        self._to(Place.STOPPED if is_cancelled else Place.RUNNING)
        self.active_id = response_id
        self.params = UNSET if self._asked is None else self._asked.response
        self._asked = None
        self._note_answered()
        self._timers.set(Timer.STALL, now + STALL_S)
        return True

    def note_done(self, response_id: str, now: float) -> list[openai.ResponseCreate]:
        """Note that a response has ended; return the request that waited for it."""
        if self.is_its_end(response_id):
            self._free(response_id)
        elif response_id not in self._ended:
            self._ended.append(response_id)
        if self._repeat is Repeat.AFTER_END:
            self._repeat_to(Repeat.AT_ONCE)
        if self.turn is not Turn.ANSWERED:
            self._turn_to(Turn.AWAITED, now + ANSWER_WAIT_AFTER_S)
        return self._go_on(now)

    def note_speech(self) -> None:
        """Note that the server detects a turn of the caller, and will commit it."""
        self.is_turn_heard = True

    def note_committed(self, now: float, *, is_answered: bool = True) -> None:
        """Note a committed turn; `is_answered`: the server answers it by itself."""
        self.is_turn_heard = False
        self._turn_to(Turn.AWAITED, now + ANSWER_WAIT_S if is_answered else now)

    def note_left_to_operator(self) -> None:
        """Note that an operator answers the caller: nothing is awaited."""
        self.is_turn_heard = False
        self._waiting = None
        self._repeat_to(Repeat.NEVER)
        self._note_answered()

    def note_refused(
        self, event_id: str | None, now: float, *, try_again: bool
    ) -> list[openai.ResponseCreate]:
        """Forget a refused request, or repeat it as soon as the place is free.

        The place may be free now: refusals come late. A collision without a name is the
        newest request's. A request for an unanswered turn is not repeated.
        """
        refused = self._newest
        is_its = event_id is None and try_again
        if refused is None or not (is_its or refused.event_id == event_id):
            return []
        is_off = self._repeat is Repeat.NEVER or self.place is Place.CALLED_OFF
        if self.is_asked:
            self._to(Place.FREE)
        self._asked = self._newest = None
        self.params = refused.response
        if not try_again:
            return self._go_on(now)
        if is_off or self._waiting is not None:
            return []
        if self._repeat is Repeat.AT_ONCE and not self.is_busy:
            return self._ask(refused, now)
        self._waiting = refused
        return []

    # --- when the session changes ---

    def suspend(self, *, is_asked_later: bool = False) -> None:
        """Keep what ran or is owed for `resume`: the session is gone.

        `is_asked_later`: the bridge will request an answer anyway, because tools run or
        a turn must be ended again; a plain request is then not kept.
        """
        is_owed = self.place is Place.RUNNING or self.turn is not Turn.ANSWERED
        asked = self._waiting or (self._asked if self.is_wanted else None)
        self._to(Place.SUSPENDED)
        if asked is None and is_owed:
            asked = self._new(UNSET)
        if is_asked_later and asked is not None and asked.response is UNSET:
            asked = None
        self.active_id = self._asked = self._newest = None
        self.is_turn_heard = False
        self._note_answered()
        self._waiting = asked
        self._timers.cancel(Timer.STALL)

    def resume(
        self, now: float, instead: openai.ResponseParams | UnsetType = UNSET
    ) -> list[openai.ResponseCreate]:
        """Return the request that is owed, or `instead`: a new session is ready."""
        assert self.place is Place.SUSPENDED, f"{self.place} does not lead to a resume"
        self._to(Place.FREE)
        event, self._waiting = self._waiting, None
        if instead is not UNSET:
            event = self._new(instead)
        return [] if event is None else self._ask(event, now)

    # --- within ---

    def _new(self, params: openai.ResponseParams | UnsetType) -> openai.ResponseCreate:
        self._count += 1
        return openai.ResponseCreate(
            event_id=f"response-{self._count}", response=params
        )

    def _ask(
        self, event: openai.ResponseCreate, now: float
    ) -> list[openai.ResponseCreate]:
        self._to(Place.ASKED)
        self._asked = self._newest = event
        self._repeat = Repeat.AFTER_END
        self._note_answered()
        self._timers.set(Timer.STALL, now + BEGIN_S)
        return [event]

    def _go_on(self, now: float) -> list[openai.ResponseCreate]:
        """Return the request that waited, if the place is free."""
        if self._waiting is None or self.is_busy:
            return []
        event, self._waiting = self._waiting, None
        return self._ask(event, now)

    def _free(self, response_id: str) -> None:
        """Free the place of what ran, or was requested and never announced."""
        if self._asked is not None:
            self.params = self._asked.response
        self._ended += {response_id, self.active_id or NAMELESS} - {NAMELESS}
        if NAMELESS in self._cancelled:
            self._cancelled.remove(NAMELESS)
        if self.is_busy:
            self._to(Place.FREE)
        self.active_id = self._asked = None

    def _note_answered(self) -> None:
        if self.turn is not Turn.ANSWERED:
            self._turn_to(Turn.ANSWERED)

    def _to(self, place: Place) -> None:
        self.place = follow(_NEXT_PLACE, self.place, place)

    def _turn_to(self, turn: Turn, answer_by: float | None = None) -> None:
        self.turn = follow(_NEXT_TURN, self.turn, turn)
        self.answer_by = answer_by
        self._timers.set(Timer.ANSWER, answer_by)

    def _repeat_to(self, repeat: Repeat) -> None:
        self._repeat = follow(_NEXT_REPEAT, self._repeat, repeat)
