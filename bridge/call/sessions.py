"""Sessions: the model's sessions of one call; one serves at a time.

Theory of operation. A call can last longer than its session with the model. A session
ends after an hour, or with its socket, and cannot be resumed. Before that, a standby
session is made ready (`bridge.call.standby_session`), and between turns the call
changes to it: the caller's next words go there, and nobody waits. If the socket is lost
earlier, the standby session takes over at once. If there is none, another session is
opened (`bridge.call.handshake`) and given the conversation's items. If no session is
ready within REOPEN_S, the call ends with the fallback sentence. While an operator
speaks with the caller, nobody waits for a session, and it is tried without an end.

    FIRST --(it is lost)--> LATER --(it is lost)--> LATER
      |___(the call ends)_____|___(the call ends)___> LAST: no other is opened

`Sessions` does not know `Call`. It takes facts and the time, sets its own timers, and
returns orders: actions to perform unchanged, and what the rest of the call must now do.
"""

from collections.abc import Iterable
from enum import Enum
from math import inf

from bridge.call import session_config
from bridge.call.handshake import Handshake, State, is_final
from bridge.call.history_seed import HistorySeed
from bridge.call.plan import (
    ERROR_CHARS_MAX,
    Action,
    CallPlan,
    Counters,
    Fail,
    Log,
    OpenModel,
    Refusal,
    ToStandby,
    UseStandby,
)
from bridge.call.standby_session import AGED, StandbySession
from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.call.transitions import follow
from bridge.realtime import openai

# How long the first handshake may take: Twilio rings, or the caller awaits a greeting.
OPEN_S = 10.0
# A judgement: a caller tolerates this much silence in a conversation, and a server that
# restarts is back within it. Opening a session takes about half a second.
REOPEN_S = 10.0
# A session confirms a turn within a round trip. One that sends nothing at all is stuck,
# or its socket is half open; the caller may say "hello?" until the socket is lost.
SIGN_S = 5.0
# More losses than this in one call have a lasting cause.
LOSSES_MAX = 5


class Stage(Enum):
    """Which of a call's sessions serves, or is being opened."""

    FIRST = "the first one, or the standby session that took its place"
    LATER = "one in the place of another that was lost"
    LAST = "the one that hears the call's last words, if there is one"


_NEXT: dict[Stage, frozenset[Stage]] = {
    Stage.FIRST: frozenset((Stage.LATER, Stage.LAST)),
    Stage.LATER: frozenset((Stage.LATER, Stage.LAST)),
    Stage.LAST: frozenset(),
}


class Notice(Enum):
    """What happened to a call's session: the rest of the call has to act on it."""

    READY = "the first one is configured"
    LEFT = "it is gone, and another is being opened"
    CHANGED = "the standby session has taken its place"
    RENEWED = "another is configured, and knows the conversation"
    GONE = "it is gone, and no other is opened"


Order = Action | Notice | Fail


class Sessions:
    """The owner of one call's sessions; times in s on the call's clock."""

    def __init__(
        self, plan: CallPlan, counters: Counters, timers: Timers, now: float
    ) -> None:
        self.stage = Stage.FIRST
        self.handshake = Handshake(now, OPEN_S)
        standby_timers = OwnTimers(timers, Timer.RENEW, Timer.STANDBY)
        self.standby = StandbySession(plan, counters, standby_timers)
        self.losses = 0
        # Items in the ledger and open tool calls that this session does not know.
        self.old_items: set[str] = set()
        self.old_tools: set[str] = set()
        self._plan = plan
        self._counters = counters
        self._timers = OwnTimers(timers, Timer.SESSION, Timer.SIGN)
        self._awaits_sign = False
        self._reopen_s = REOPEN_S
        self._await_handshake()

    @property
    def is_ready(self) -> bool:
        """Tell whether the session that serves is configured."""
        return self.handshake.state is State.READY

    def go_on_from_another(self) -> None:
        """Tell the first session the conversation, which another process has led."""
        self._to(Stage.LATER)

    def note_left(self, items: Iterable[str], tools: Iterable[str]) -> None:
        """Note what the session that serves now does not know of the one before."""
        # Anything older is gone, and is never truncated or answered.
        self.old_items, self.old_tools = set(items), set(tools)

    def be_patient(self) -> None:
        """Try without an end from here on: an operator speaks with the caller."""
        self._reopen_s = inf
        self.handshake.limit(inf)

    def be_prompt(self, now: float) -> None:
        """Note that the caller waits for the AI again."""
        self._reopen_s = REOPEN_S
        self.handshake.limit(now + REOPEN_S)
        self._await_handshake()

    def let_go(self, why: str) -> list[Action]:
        """Open no further session: the call ends. A running handshake may finish."""
        self._to(Stage.LAST)
        self.note_sign()
        self._await_handshake()
        return self.standby.close(why)

    # --- what the session says ---

    def on_created(self, now: float) -> list[Order]:
        """Configure the session; nothing else is sent before it is confirmed."""
        if self.handshake.state not in (State.OPENING, State.PAUSING):
            return []
        self.handshake.note_created(now)
        self._await_handshake()
        return [
            Log("info", "[REALTIME] Connected"),
            session_config.configure(self._plan),
        ]

    def on_updated(
        self, echoed: openai.Session, now: float, seed: HistorySeed
    ) -> list[Order]:
        """Check the configuration the server confirmed; send it the conversation."""
        if self.handshake.state in (State.READY, State.CLOSED):
            return []
        wrong = session_config.wrong_format(echoed, self._plan)
        if wrong:
            return [Fail("session_refused", wrong)]
        self.handshake.note_ready()
        self._await_handshake()
        self.standby.limit_age(now, now)
        configured = self._configured_line()
        if self.stage is Stage.FIRST:
            return [configured, Notice.READY]
        self.standby.forget()
        items = [item for entry in seed() for item in entry.items]
        text = f"[REALTIME] Session renewed: items={len(items)}"
        return [configured, *items, Log("info", text), Notice.RENEWED]

    def _configured_line(self) -> Log:
        options = self._plan.options
        rate = "8kHz"
        if options.openai_output_format == "audio/pcm":
            rate = "24kHz, resampled and encoded here"
        return Log(
            "info",
            f"[REALTIME] Session configured: voice={options.openai_voice}, "
            f"format={options.openai_output_format} ({rate})",
        )

    def on_error(
        self, error: openai.ErrorBody, now: float, seed: HistorySeed
    ) -> list[Order] | None:
        """Judge an error by its code; None if the session can go on unchanged."""
        names = {error.code, error.type}
        text = f"{error.code or error.type}: {error.message}"
        if session_config.EXPIRED in names and self.is_ready:
            return self.on_lost(session_config.EXPIRED, now, seed)
        is_ours = error.event_id == session_config.CONFIGURE_ID
        is_lasting = bool(names & session_config.REFUSED_CODES) or (
            is_ours and session_config.is_refusal(error)
        )
        if not self.is_ready and not is_lasting:
            named = tuple(name for name in (error.code, error.type) if name)
            return self.on_refused(Refusal(reason=text, names=named), now)
        if is_ours or not self.is_ready:
            return [Fail("session_refused", text)]
        if names & session_config.FATAL_CODES:
            return [Fail("model_failed", text)]
        return None

    def await_sign(self, now: float) -> None:
        """Note that the session must confirm a turn of the caller's."""
        if self.is_ready and self.stage is not Stage.LAST and not self._awaits_sign:
            self._awaits_sign = True
            self._timers.set(Timer.SIGN, now + SIGN_S)

    def note_sign(self) -> None:
        """Note that the session has sent an event, or that none is awaited."""
        if self._awaits_sign:
            self._awaits_sign = False
            self._timers.cancel(Timer.SIGN)

    def on_sign_late(self, now: float, seed: HistorySeed) -> list[Order]:
        """Give a session up that has sent nothing since it was given a turn."""
        return self.on_lost(f"no sign of it for {SIGN_S:.0f} s", now, seed)

    # --- its loss, and its age ---

    def on_lost(self, reason: str, now: float, seed: HistorySeed) -> list[Order]:
        """Open another session, or give up: this one is lost or unusable."""
        self.note_sign()
        if self.stage is Stage.LAST:
            return self._give_up()
        if not self.is_ready:
            return self.on_refused(Refusal(reason=reason), now)
        if self.losses >= LOSSES_MAX:
            return [Fail("model_lost", reason)]
        self.losses += 1
        line = Log("warning", f"[REALTIME] Model lost: {reason}")
        if self.standby.is_ready:
            return [line, *self._change(reason, now, seed)]
        return [line, *self._open_another(reason, now)]

    def on_refused(self, refusal: Refusal, now: float) -> list[Order]:
        """Try again after a pause, or give up: a handshake has failed."""
        shake = self.handshake
        if shake.state is State.PAUSING:
            return []  # it was late before it was lost
        if self.stage is Stage.LAST:
            return self._give_up()
        if is_final(refusal) or not shake.pause(now, refusal.retry_after_s):
            is_first = self.stage is Stage.FIRST
            name = "model_unreachable" if is_first else "model_lost"
            return [Fail(name, refusal.reason)]
        self._counters.retried_handshakes += 1
        self._await_handshake()
        why = refusal.reason[:ERROR_CHARS_MAX]
        return [Log("warning", f"[REALTIME] No session, to be tried again: {why}")]

    def on_handshake_due(self, now: float) -> list[Order]:
        """Open another socket if a pause is over; else a step was late."""
        if self.handshake.state is not State.PAUSING:
            return self.on_refused(Refusal(reason="no session in time"), now)
        self.handshake.try_again(now)
        self._await_handshake()
        return [OpenModel("again")]

    def on_rollover_due(
        self, now: float, seed: HistorySeed, *, is_talking: bool, is_between_turns: bool
    ) -> list[Order]:
        """Open a standby session; once it is ready, change to it between turns."""
        if self.standby.is_ready and is_between_turns:
            return self._change(AGED, now, seed)
        return list(self.standby.on_due(now, is_talking=is_talking))

    # --- within ---

    def _open_another(self, reason: str, now: float) -> list[Order]:
        """Open another session in place of the lost one."""
        self._to(Stage.LATER)
        self.handshake.begin(now, self._reopen_s)
        self._await_handshake()
        self._counters.reopened_sessions += 1
        return [*self.standby.close(reason), OpenModel(reason), Notice.LEFT]

    def _change(self, reason: str, now: float, seed: HistorySeed) -> list[Order]:
        """Let the standby session serve from here on."""
        self._counters.changed_sessions += 1
        items = self.standby.serve(seed())
        self.standby.limit_age(self.standby.configured_at, now)
        text = f"[REALTIME] Session changed: {reason}, items={len(items)} at the last"
        return [
            *map(ToStandby, items),
            UseStandby(reason),
            Log("info", text),
            Notice.CHANGED,
        ]

    def _give_up(self) -> list[Order]:
        self.handshake.close()
        self._await_handshake()
        return [Notice.GONE]

    def _await_handshake(self) -> None:
        self._timers.set(Timer.SESSION, self.handshake.deadline)

    def _to(self, stage: Stage) -> None:
        self.stage = follow(_NEXT, self.stage, stage)
