"""StandbySession: the next session, made ready beside the one that serves.

Theory of operation. A session ends after an hour, and opening another takes longer than
the pauses of a conversation. So before that a second one is opened, configured, and
told the conversation as far as it is settled, while the first serves unchanged.
`bridge.call.sessions` then changes to it between turns and between two frames. Just
before the change it sends what was said meanwhile.

    NONE --> OPENING --(session.updated)--> TELLING --(all is confirmed)--> READY
     ^______________________________________________________________________|
       closed, from any state: lost, refused, late, or not needed; or it serves now

A standby session that cannot be opened, refuses what it is told or takes too long is
closed and counted. The bridge opens another, up to TRIES_MAX in all. Without one the
session that serves goes on to its end. `StandbySession` does not know `Call`: it takes
the session's events and the time, sets its own timers, and returns the actions to
perform.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from bridge.call import session_config
from bridge.call.history_seed import Entry, HistorySeed
from bridge.call.plan import (
    ERROR_CHARS_MAX,
    Action,
    CallPlan,
    CloseStandby,
    Counters,
    Log,
    OpenStandby,
    ToStandby,
)
from bridge.call.timers import OwnTimers, Timer
from bridge.call.transitions import follow
from bridge.realtime import openai

# The share of a session's life after which a standby session is opened, and how often
# a pause is looked for once it is ready.
RENEW_AT = 0.9
LOOK_S = 0.1
# Opening, configuring and sending a hundred items take a second or two; nobody waits.
READY_S = 10.0
# An unreachable server may be back by then; the session that serves has minutes left.
AGAIN_S = 10.0
TRIES_MAX = 5
AGED = "the session grows old"


class State(Enum):
    """Where the standby session stands."""

    NONE = "there is none"
    OPENING = "a socket is opened and configured"
    TELLING = "it is told the conversation"
    READY = "it has confirmed all that it was told"


_NEXT: dict[State, frozenset[State]] = {
    State.NONE: frozenset((State.OPENING,)),
    State.OPENING: frozenset((State.TELLING, State.NONE)),
    State.TELLING: frozenset((State.READY, State.NONE)),
    State.READY: frozenset((State.NONE,)),
}


class StandbySession:
    """The owner of the session that is to be a call's next."""

    def __init__(self, plan: CallPlan, counters: Counters, timers: OwnTimers) -> None:
        self.state = State.NONE
        self.configured_at = 0.0
        self.tries = 0
        self._plan = plan
        self._counters = counters
        self._timers = timers
        # The entries it was told, and the number of items it must still confirm.
        self._told: set[str] = set()
        self._unconfirmed = 0

    @property
    def is_ready(self) -> bool:
        """Tell whether the server has confirmed all that it was told."""
        return self.state is State.READY

    # --- what the call wants ---

    def limit_age(self, since: float, now: float) -> None:
        """Open the next session before the one that serves since `since` ends."""
        age_s = self._plan.options.openai_session_seconds * RENEW_AT
        self._timers.set(Timer.RENEW, max(since + age_s, now))

    def on_due(self, now: float, *, is_talking: bool) -> list[Action]:
        """Open the standby session during a conversation, or look again soon."""
        if self.state is State.NONE and is_talking:
            return self.open(now)
        if self.state in (State.NONE, State.READY):
            self._timers.set(Timer.RENEW, now + LOOK_S)
        return []

    def open(self, now: float) -> list[Action]:
        """Open a standby session."""
        self._to(State.OPENING)
        self.tries += 1
        self._timers.set(Timer.STANDBY, now + READY_S)
        return [OpenStandby(AGED)]

    def serve(self, entries: Iterable[Entry]) -> list[openai.CreateItem]:
        """Let it serve from here on; return the items it has still to be told."""
        assert self.is_ready, f"{self.state} does not lead to its service"
        items = self._tell(entries)
        self._leave()
        self.tries = 0
        return items

    def close(self, why: str) -> list[Action]:
        """Close it, and open no other until the age of a session requires one."""
        self._timers.cancel(Timer.RENEW)
        if self.state is State.NONE:
            return []
        self._leave()
        return [CloseStandby(why)]

    def forget(self) -> None:
        """Reset the number of tries: a young session serves now."""
        self.tries = 0

    # --- what the standby session says ---

    def receive(
        self, event: openai.Inbound, now: float, seed: HistorySeed
    ) -> list[Action]:
        """Take an event of the standby session; most mean nothing before it serves."""
        answer = _ON_EVENT.get(type(event))
        if answer is None or self.state is State.NONE:
            return []
        return answer(self, event, now, seed)

    def on_lost(self, why: str, now: float) -> list[Action]:
        """Give up: the socket is lost, could not be opened, or sends invalid data."""
        return [] if self.state is State.NONE else self._give_up(why, now)

    def on_late(self, now: float) -> list[Action]:
        """Give up: the standby session was not ready in time."""
        return self.on_lost("not ready in time", now)

    def _on_created(
        self, event: openai.SessionCreated, now: float, seed: HistorySeed
    ) -> list[Action]:
        return [ToStandby(session_config.configure(self._plan))]

    def _on_updated(
        self, event: openai.SessionUpdated, now: float, seed: HistorySeed
    ) -> list[Action]:
        if self.state is not State.OPENING:
            return []
        wrong = session_config.wrong_format(event.session, self._plan)
        if wrong:
            return self._give_up(wrong, now)
        self._to(State.TELLING)
        self.configured_at = now
        settled = []
        for entry in seed():
            if not entry.is_settled:
                break
            settled.append(entry)
        items = self._tell(settled)
        self._look(now)
        return [ToStandby(item) for item in items]

    def _on_item_added(
        self, event: openai.ItemAdded, now: float, seed: HistorySeed
    ) -> list[Action]:
        if self.state is State.TELLING:
            self._unconfirmed -= 1
            self._look(now)
        return []

    def _on_error(
        self, event: openai.Error, now: float, seed: HistorySeed
    ) -> list[Action]:
        error = event.error
        if {error.code, error.type} & session_config.HARMLESS_CODES:
            return []
        return self._give_up(f"{error.code or error.type}: {error.message}", now)

    # --- within ---

    def _tell(self, entries: Iterable[Entry]) -> list[openai.CreateItem]:
        """Return the items of the entries it has not been told."""
        items: list[openai.CreateItem] = []
        for entry in entries:
            if entry.name not in self._told:
                self._told.add(entry.name)
                items += entry.items
        self._unconfirmed += len(items)
        return items

    def _look(self, now: float) -> None:
        """Once all items are confirmed, start looking for the moment to change."""
        if self._unconfirmed <= 0:
            self._to(State.READY)
            self._timers.cancel(Timer.STANDBY)
            self._timers.set(Timer.RENEW, now)

    def _give_up(self, why: str, now: float) -> list[Action]:
        self._counters.failed_standbys += 1
        why = why[:ERROR_CHARS_MAX]
        actions = self.close(why)
        if self.tries < TRIES_MAX:
            self._timers.set(Timer.RENEW, now + AGAIN_S)
            line = Log("warning", f"[REALTIME] No second session: {why}")
        else:
            text = f"{why}: this one serves to its end"
            line = Log("error", f"[REALTIME] No second session: {text}")
        return [*actions, line]

    def _leave(self) -> None:
        self._to(State.NONE)
        self._told = set()
        self._unconfirmed = 0
        self._timers.cancel(Timer.STANDBY)

    def _to(self, state: State) -> None:
        self.state = follow(_NEXT, self.state, state)


_ON_EVENT: dict[
    type, Callable[[StandbySession, Any, float, HistorySeed], list[Action]]
] = {
    openai.SessionCreated: StandbySession._on_created,
    openai.SessionUpdated: StandbySession._on_updated,
    openai.ItemAdded: StandbySession._on_item_added,
    openai.Error: StandbySession._on_error,
}
