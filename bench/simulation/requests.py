"""Requests: what the bridge asks of the model; every turn gets an answer."""

from typing import Any

from msgspec import UNSET

from bench.simulation.invariant import check
from bridge.call import floor
from bridge.call.machine import Call
from bridge.call.plan import Log, OpenModel, Phase, RunTool, UseStandby, Whisper
from bridge.call.recovery import RETRY_WAIT_LATER_S
from bridge.call.sessions import OPEN_S, REOPEN_S
from bridge.call.tool_calls import TOLD_S
from bridge.realtime import openai
from bridge.telephony import twilio

# How late a turn's answer may be requested: the core's second, and a stall.
ANSWER_S = 2.5
# The same after an error without the response's end: the core's three, and a stall.
ERROR_S = 4.5
# How long there may be no session: the time of the attempts, and a stall.
HANDSHAKE_S = max(OPEN_S, REOPEN_S) + 1.5


# How the texts begin of what the model is told so that it speaks.
_NEWS = ("Keypad: ", "The person of the business, who", "The connection to the person")


def is_rollover(action: Any) -> bool:
    """Tell whether this is where another session takes over."""
    is_line = type(action) is Log and "Session renewed" in action.text
    return is_line or type(action) is UseStandby


def _is_news(item: Any) -> bool:
    """Tell whether an item may be answered: a tool's output, keys, or a hand back.

    Keys may be told right after a request, which then did not know them.
    """
    if type(item) is not openai.MessageItem:
        return type(item) is openai.FunctionCallOutput
    return getattr(item.content[0], "text", "").startswith(_NEWS)


def _is_given_up(action: Any) -> bool:
    """Tell whether an answer is given up that an error has ended. Another one is asked
    for; the request to cancel it is not there if it was cancelled before."""
    return type(action) is Log and "no answer after" in action.text


class Asked:
    """Never two responses at once, none before the session, every turn answered."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._active: str | None = None
        self._asked: str | None = None
        self._committed_at: float | None = None
        self._told_at: float | None = None
        self._told_first = 0.0
        resumed = call.plan.resumed
        self._has_news = resumed is not None and resumed.is_answer_due
        self._news_at = float("-inf")
        self._is_ready = False
        # Cancelled while it ran, or before it began.
        self._is_cancelled = self._is_called_off = False
        self._ended: set[str] = set()
        self._tools: set[str] = set()
        # The output of the running answer, and whether an ended one had no sound.
        self._is_heard = False
        self._is_mute = False
        self._pause_s = 0.0
        self._error_at: float | None = None
        self._is_error = False

    @property
    def is_busy(self) -> bool:
        """Whether an answer runs, or has been asked for."""
        return self._active is not None or self._asked is not None

    def before(self, what: Any, now: float) -> None:
        """Learn from the server's events which response runs."""
        kind = type(what)
        if kind is openai.SessionUpdated:
            self._is_ready = True
        elif kind is openai.ResponseCreated:
            # The server's own answer knows all but what was told just before.
            is_own = self._asked is None
            self._has_news &= not is_own or now < self._news_at + TOLD_S
            self._active, self._asked = what.response.id, None
            self._committed_at = self._told_at = None
            self._is_cancelled, self._is_heard = self._is_called_off, False
            self._is_called_off = False
        elif kind is openai.AudioDelta:
            self._begin_unannounced(what.response_id)
            self._is_heard = True
        elif kind is openai.OutputItemAdded:
            self._begin_unannounced(what.response_id)
            self._error_at = None if self._error_at is None else now
        elif kind is openai.OutputItemDone:
            self._begin_unannounced(what.response_id)
            self._is_heard |= what.item.type == "function_call"
        elif kind is openai.ResponseDone:
            self._on_done(what.response)
        elif kind is openai.Error:
            is_collision = what.error.code == "conversation_already_has_active_response"
            self._has_news |= is_collision
            self._is_error = what.error.code == "server_error" and (
                what.error.event_id is None
            )
            is_its = what.error.event_id == self._asked
            if is_its or (is_collision and what.error.event_id is None):
                self._asked = None

    def _begin_unannounced(self, response_id: str) -> None:
        """A response without an announcement begins with the first sign of it."""
        if self._active is None and response_id not in self._ended:
            self._active, self._asked = response_id, None
            self._committed_at = self._told_at = None
            self._is_cancelled = self._is_heard = False

    def _on_done(self, response: openai.Response) -> None:
        is_its = self._active == response.id
        is_awaited = self._active is None and self._asked is not None
        self._has_news |= response.status != "completed" and is_its
        if is_its or (is_awaited and response.id not in self._ended):
            is_mute = is_awaited or not self._is_heard
            self._is_mute = is_mute and not self._is_cancelled
            is_failed = response.status == "failed"
            self._pause_s = RETRY_WAIT_LATER_S if is_failed else 0.0
            self._has_news |= is_mute
            self._active = self._asked = None
        self._ended.add(response.id)

    def after(self, what: Any, actions: list[Any], now: float) -> None:
        """Check every request."""
        is_renewed = False
        is_clear = any(type(action) is twilio.Clear for action in actions)
        self._check_error(actions, now)
        if type(what) is Whisper and what.speaks:
            self._has_news, self._news_at = True, now
        if self._is_mute:
            self._is_mute = False
            self.told(now + self._pause_s)
        if self._is_cancelled and any(map(_is_given_up, actions)):
            self._ended.add(self._active or "")
            self._active = self._asked = None
            self._has_news = True
        if is_clear and self._active is None and self._asked is None:
            self._committed_at = None  # what was owed is interrupted by a new turn
        for action in actions:
            kind = type(action)
            is_renewed = is_renewed or is_rollover(action)
            if is_renewed and kind is openai.AppendAudio:
                self._committed_at = None  # the turn has opened again
            if kind is openai.ResponseCreate:
                check(self._is_ready, "no response before the session is confirmed")
                is_free = self._active is None and self._asked is None
                check(is_free, "never two responses", self._active, self._asked)
                if action.response is UNSET:
                    check(self._has_news, "nothing is answered twice", action)
                    self._has_news = False
                self._asked = action.event_id
                self._committed_at = self._told_at = None
                self._is_called_off = False
            elif kind is openai.ResponseCancel:
                self._is_cancelled = True
                self._is_called_off = self._active is None
                if what is None and not is_clear:  # the request is given up
                    self._ended.add(self._active or "")
                    self._active = self._asked = None
                    self._has_news = True
            elif kind is openai.CommitAudio:
                check(self._is_ready, "nothing before the session is confirmed", kind)
                self.committed(now)
            elif kind is OpenModel or kind is UseStandby:
                self._lose_session(now)
                self._is_ready = kind is UseStandby
            elif kind in (openai.AppendAudio, openai.CreateItem):
                check(self._is_ready, "nothing before the session is confirmed", kind)
                if kind is openai.CreateItem and _is_news(action.item):
                    self._has_news, self._news_at = True, now
            elif kind is RunTool:
                check(action.tool_call_id not in self._tools, "a tool runs once")
                self._tools.add(action.tool_call_id)

    def _check_error(self, actions: list[Any], now: float) -> None:
        """The call does not wait long for an answer that an error has prevented."""
        is_busy = self.is_busy
        if self._is_error and is_busy and self._error_at is None:
            self._error_at = now
        kinds = {type(action) for action in actions}
        is_ended = kinds & {openai.ResponseCancel, openai.ResponseCreate, OpenModel}
        if not is_busy or is_ended or self._is_heard or UseStandby in kinds:
            self._error_at = None
        self._is_error = False
        is_off = not self._is_ready or not self._call.is_talking
        self._error_at = now if is_off and self._error_at else self._error_at
        waited_s = now - (self._error_at or now)
        check(waited_s <= ERROR_S, "an error without an end is noticed", waited_s)

    def _lose_session(self, now: float) -> None:
        """The next session owes the running or requested response."""
        is_cut = self._active is not None and not self._is_cancelled
        if (is_cut or self._asked is not None) and self._call.tool_calls.open:
            self.told(now)
        elif is_cut or self._asked is not None:
            self._committed_at = now
        self._is_ready = False
        self._has_news = True
        self._active = self._asked = None

    def committed(self, now: float) -> None:
        """A turn of the caller's awaits its answer."""
        self._committed_at = now
        self._has_news = True

    def told(self, now: float) -> None:
        """A tool's answer, or keys, await the model's answer."""
        self._told_at = self._told_first = now
        self._has_news = True

    def check_answered(self, now: float, is_tool_open: bool) -> None:
        """Check that no turn, tool or key waits for ever."""
        if self._call.takeover.is_on:  # an operator answers
            self._committed_at = self._told_at = None
        is_off = self.is_busy or not self._is_ready or not self._call.is_talking
        if is_off:
            self._committed_at = self._committed_at and now
        if is_off or is_tool_open:
            self._told_at = self._told_at and now
            self._told_first = now
        elif self._told_at is not None and self._call.has_caller_floor:
            self._told_at = min(now, self._told_first + floor.FLOOR_WAIT_S)
        waited_s = now - (self._committed_at or now)
        check(waited_s <= ANSWER_S, "every turn is answered", waited_s)
        waited_s = now - (self._told_at or now)
        check(waited_s <= ANSWER_S, "every tool and key is answered for", waited_s)


class Sessions:
    """A session is ready within the time of a handshake, or the call ends."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._since: float | None = None

    def after(self, now: float) -> None:
        """Check for how long there has been no session."""
        call = self._call
        is_off = call.is_session_ready or call.phase in (Phase.ENDING, Phase.ENDED)
        self._since = None if is_off else now if self._since is None else self._since
        waited_s = now - (now if self._since is None else self._since)
        check(waited_s <= HANDSHAKE_S, "a session is had, or the call ends", waited_s)
