"""Requests: what is asked of the model, and that everybody is answered."""

from typing import Any

from msgspec import UNSET

from bench.simulation.law import law
from bridge import floor, openai
from bridge.call import Call
from bridge.plan import Log, OpenModel, RunTool, UseSpare

# How late the answer to a turn may be asked for: the core's second, and a stall's.
ANSWER_S = 2.5


def is_renewal(action: Any) -> bool:
    """Tell whether this is where another session takes over."""
    is_line = type(action) is Log and "Session renewed" in action.text
    return is_line or type(action) is UseSpare


class Asked:
    """Never two responses at once, none before the session, every turn answered."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._active: str | None = None
        self._asked: str | None = None
        self._committed_at: float | None = None
        self._told_at: float | None = None
        self._told_first = 0.0
        self._has_news = False
        self._is_ready = False
        self._is_cancelled = False
        self._tools: set[str] = set()

    def before(self, what: Any) -> None:
        """Learn what runs from what the server says."""
        kind = type(what)
        if kind is openai.SessionUpdated:
            self._is_ready = True
        elif kind is openai.ResponseCreated:
            self._active, self._asked = what.response.id, None
            self._committed_at = self._told_at = None
            self._is_cancelled = False
        elif kind is openai.ResponseDone and self._active == what.response.id:
            self._active = None
            self._has_news |= what.response.status != "completed"
        elif kind is openai.Error:
            is_collision = what.error.code == "conversation_already_has_active_response"
            self._has_news |= is_collision
            is_its = what.error.event_id == self._asked
            if is_its or (is_collision and what.error.event_id is None):
                self._asked = None

    def after(self, actions: list[Any], now: float) -> None:
        """Check every request."""
        is_renewed = False
        for action in actions:
            kind = type(action)
            is_renewed = is_renewed or is_renewal(action)
            if is_renewed and kind is openai.AppendAudio:
                self._committed_at = None  # the turn is open again
            if kind is openai.ResponseCreate:
                law(self._is_ready, "no response before the session is confirmed")
                is_free = self._active is None and self._asked is None
                law(is_free, "never two responses", self._active, self._asked)
                if action.response is UNSET:
                    law(self._has_news, "nothing is answered twice", action)
                    self._has_news = False
                self._asked = action.event_id
                self._committed_at = self._told_at = None
            elif kind is openai.ResponseCancel:
                self._is_cancelled = True
            elif kind is openai.CommitAudio:
                law(self._is_ready, "nothing before the session is confirmed", kind)
                self.committed(now)
            elif kind is OpenModel or kind is UseSpare:
                self._lose_session(now)
                self._is_ready = kind is UseSpare
            elif kind in (openai.AppendAudio, openai.CreateItem):
                law(self._is_ready, "nothing before the session is confirmed", kind)
                is_item = kind is openai.CreateItem
                self._has_news |= (
                    is_item and type(action.item) is openai.FunctionCallOutput
                )
            elif kind is RunTool:
                law(action.tool_call_id not in self._tools, "a tool runs once")
                self._tools.add(action.tool_call_id)

    def _lose_session(self, now: float) -> None:
        """What ran or was asked for is owed by the next session."""
        is_cut = self._active is not None and not self._is_cancelled
        if (is_cut or self._asked is not None) and self._call.open_tools:
            self.told(now)
        elif is_cut or self._asked is not None:
            self._committed_at = now
        self._is_ready = False
        self._has_news = True
        self._active = self._asked = None

    def committed(self, now: float) -> None:
        """A turn of the caller awaits its answer."""
        self._committed_at = now
        self._has_news = True

    def told(self, now: float) -> None:
        """A tool's answer, or keys, await the model's."""
        self._told_at = self._told_first = now
        self._has_news = True

    def check_answered(self, now: float, is_tool_open: bool) -> None:
        """Check that no turn, no tool and no key waits for ever."""
        is_busy = self._active is not None or self._asked is not None
        is_off = is_busy or not self._is_ready or not self._call.is_talking
        if is_off:
            self._committed_at = self._committed_at and now
        if is_off or is_tool_open:
            self._told_at = self._told_at and now
            self._told_first = now
        elif self._told_at is not None and floor.is_callers(self._call):
            self._told_at = min(now, self._told_first + floor.FLOOR_WAIT_S)
        waited_s = now - (self._committed_at or now)
        law(waited_s <= ANSWER_S, "every turn is answered", waited_s)
        waited_s = now - (self._told_at or now)
        law(waited_s <= ANSWER_S, "every tool and key is answered for", waited_s)
