"""Renewal: a call outlives its session with the model.

A session ends after an hour, or with its socket; there is no resume. In good time and
between turns, or at once where the socket is lost, another is opened and given the
conversation's items. Meanwhile the caller is withheld as under the AI's voice, so that
what he says is given to the new session from its first sound. A model that cannot be
had again within REOPEN_S ends the call with the fallback sentence.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from bridge import ending, openai, session
from bridge.plan import Log, OpenModel, Phase
from bridge.responses import Responses
from bridge.timers import Timer

if TYPE_CHECKING:
    from bridge.call import Call

# The share of a session's life after which a pause is looked for, and how often.
RENEW_AT = 0.9
LOOK_S = 0.1
# A caller bears this much silence; opening a session takes about half a second.
REOPEN_S = 5.0
REOPEN_WAIT_S = 0.25
# More losses than this in one call are no accident.
LOSSES_MAX = 5
# A caller is not left unheard for a greeting that never comes.
GREETING_WAIT_S = 8.0
# What a new session is told of the old one: its newest items.
ITEMS_MAX = 100


class Renewal:
    """What one call knows of its earlier sessions."""

    def __init__(self) -> None:
        self.is_reopening = False
        self.losses = 0
        # Items in the ledger and tool calls that the new session has never heard of.
        self.old_items: set[str] = set()
        self.old_tools: set[str] = set()


def limit_age(call: "Call") -> None:
    """Look for a pause before the session ends by itself."""
    age_s = call.plan.options.openai_session_seconds * RENEW_AT
    call.timers.set(Timer.RENEW, call.now + age_s)


def on_renewal_due(call: "Call") -> None:
    """Replace the session in the first moment in which nobody would notice."""
    if _is_between_turns(call):
        _begin(call, "the session grows old")
    else:
        call.timers.set(Timer.RENEW, call.now + LOOK_S)


def on_lost(call: "Call", reason: str) -> None:
    """The model's leg is gone: open another, or give up."""
    if call.phase is Phase.ENDING:
        # The last words are in the ledger, or there are none.
        call.is_session_ready = False
        call.responses = Responses()
        call.uplink.begin_session()
        call.playout.finish_all()
        call.feed()
        ending.hang_up_when_heard(call)
    elif call.renewal.is_reopening:
        call.timers.set(Timer.REOPEN, call.now + REOPEN_WAIT_S)
    elif not call.is_session_ready:
        ending.fail(call, "model_unreachable", reason)
    elif call.renewal.losses >= LOSSES_MAX:
        ending.fail(call, "model_lost", reason)
    else:
        call.renewal.losses += 1
        call.log(Log("warning", f"[REALTIME] Model lost: {reason}"))
        _begin(call, reason)


def on_reopening_due(call: "Call") -> None:
    """Try again to open a session."""
    call.actions.append(OpenModel("again"))


def on_ready(call: "Call") -> None:
    """Give the new session the conversation, and ask for what is owed."""
    call.renewal.is_reopening = False
    items = list(_items(call))
    call.actions += items
    call.info(f"[REALTIME] Session renewed: items={len(items)}")
    if call.phase is Phase.WAITING:
        call.responses.resume()
        call.greet_when_ready()
        return
    greeting: openai.ResponseParams | UnsetType = UNSET
    if call.is_greeting_due and call.is_talking:
        greeting = session.greeting(call.plan)
        call.timers.set(Timer.GREETING, call.now + GREETING_WAIT_S)
    owed = call.responses.resume(greeting)
    call.actions += owed
    if owed and not call.open_tools:
        call.is_tool_answer_due = False


def _begin(call: "Call", reason: str) -> None:
    call.counters.reopened_sessions += 1
    call.renewal.is_reopening = True
    call.is_session_ready = False
    if call.phase is Phase.WAITING:
        _greet_anew(call)
    call.renewal.old_items |= call.playout.finish_all()
    call.renewal.old_tools |= call.open_tools
    call.responses.suspend()
    if call.has_retried:
        call.request()  # a second try was due, or ran
    call.uplink.begin_session()
    call.timers.cancel(Timer.ANSWER, Timer.RETRY, Timer.RENEW, Timer.GREETING)
    call.timers.set(Timer.SESSION, call.now + REOPEN_S)
    call.actions.append(OpenModel(reason))
    call.feed()


def _greet_anew(call: "Call") -> None:
    """Drop what waits for the caller: the new session greets him from the beginning."""
    for cut in call.playout.interrupt(call.now):
        call.notes.transcript.cut(cut.item_id, cut.heard_ms, cut.total_ms)
    call.responses = Responses()
    call.is_greeting_asked = False


def _is_between_turns(call: "Call") -> bool:
    uplink, playout = call.uplink, call.playout
    is_somebody_speaking = (
        uplink.is_turn_open
        or uplink.is_gate_open
        or playout.has_unsent
        or playout.is_playing(call.now)
    )
    is_something_due = (
        call.responses.is_busy
        or call.has_retried
        or call.responses.answer_by is not None
        or bool(call.open_tools)
        or call.keypad.has_digits
    )
    return call.is_talking and not is_somebody_speaking and not is_something_due


def _items(call: "Call") -> Iterator[openai.CreateItem]:
    """Yield the newest items of the conversation, tools where they were called."""
    told: list[tuple[float, tuple[openai.CreateItem, ...]]] = [
        (turn.at_s, (session.said(turn.role, turn.text),))
        for turn in call.notes.transcript.turns()
        if turn.text
    ]
    for tool in call.notes.tools:
        at = sum(at_s <= tool.at_s for at_s, _ in told)
        told.insert(at, (tool.at_s, session.tool_pair(tool)))
    for _, items in told[-ITEMS_MAX:]:
        yield from items
