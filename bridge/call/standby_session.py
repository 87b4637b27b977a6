"""Spare: the next session, made ready beside the one that serves.

Theory of operation. A session ends after an hour, and opening another takes longer than
the pauses of a conversation. So in good time a second one is opened, configured, and
told the conversation as far as it is settled, while the first goes on as if nothing
were. Ready is the spare when the server has confirmed every item;
`bridge.call.session_rollover` then changes to it in a moment in which nobody would
notice, between two frames, and tells it just before what was said meanwhile.

A spare that cannot be had, refuses what it is told or takes too long is closed and
counted, and opened anew up to TRIES_MAX times. Without one the session that serves goes
on to its end.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.call import history_seed, session_config
from bridge.call.call_record import ERROR_CHARS_MAX
from bridge.call.plan import CloseSpare, Log, OpenSpare, ToSpare
from bridge.call.timers import Timer
from bridge.realtime import openai

if TYPE_CHECKING:
    from bridge.call.machine import Call

# Opening, configuring and a hundred items take a second or two; nobody waits for it.
READY_S = 10.0
# A server that could not be had may be back by then; the session has minutes left.
AGAIN_S = 10.0
TRIES_MAX = 5


class Spare:
    """What one call knows of the session that is to be its next."""

    def __init__(self) -> None:
        self.is_open = False
        self.is_told = False
        self.configured_at = 0.0
        self.tries = 0
        # The entries of the conversation it was told, and the items it must confirm.
        self._told: set[str] = set()
        self._unconfirmed = 0

    @property
    def is_ready(self) -> bool:
        """Tell whether the server has confirmed all that the spare was told."""
        return self.is_told and self._unconfirmed <= 0

    def begin(self) -> None:
        """Another spare is being opened."""
        self.end()
        self.is_open = True
        self.tries += 1

    def end(self) -> None:
        """There is no spare: it was closed, or it is the session now."""
        self.is_open = self.is_told = False
        self._told = set()
        self._unconfirmed = 0

    def confirm(self) -> None:
        """One item that it was told is in its conversation."""
        self._unconfirmed -= 1

    def tell(self, call: "Call", *, is_last: bool) -> list[openai.CreateItem]:
        """Return what it has not been told: all of it, or as far as it is settled."""
        items: list[openai.CreateItem] = []
        for entry in history_seed.entries(call):
            if not is_last and not entry.is_settled:
                break
            if entry.name not in self._told:
                self._told.add(entry.name)
                items += entry.items
        self.is_told = True
        self._unconfirmed += len(items)
        return items


def open_spare(call: "Call") -> None:
    """Have a second session opened."""
    call.spare.begin()
    call.timers.set(Timer.SPARE, call.now + READY_S)
    call.actions.append(OpenSpare("the session grows old"))


def close(call: "Call", why: str) -> None:
    """Do without the spare, if there is one."""
    if call.spare.is_open:
        call.spare.end()
        call.timers.cancel(Timer.SPARE)
        call.actions.append(CloseSpare(why))


def on_event(call: "Call", event: openai.Inbound) -> None:
    """Take an event of the spare's; most say nothing while it does not serve."""
    answer = _ON_EVENT.get(type(event))
    if answer is not None and call.spare.is_open:
        answer(call, event)


def on_lost(call: "Call", reason: str) -> None:
    """Its socket is gone, or could not be had, or brings what nobody can read."""
    if call.spare.is_open:
        _give_up(call, reason)


def on_late(call: "Call") -> None:
    """It was not ready in time."""
    _give_up(call, "not ready in time")


def _give_up(call: "Call", why: str) -> None:
    call.counters.failed_spares += 1
    why = why[:ERROR_CHARS_MAX]
    close(call, why)
    if call.spare.tries < TRIES_MAX:
        call.timers.set(Timer.RENEW, call.now + AGAIN_S)
        call.log(Log("warning", f"[REALTIME] No second session: {why}"))
    else:
        call.timers.cancel(Timer.RENEW)
        text = f"{why}: this one serves to its end"
        call.log(Log("error", f"[REALTIME] No second session: {text}"))


def _on_created(call: "Call", event: openai.SessionCreated) -> None:
    call.actions.append(ToSpare(session_config.configure(call.plan)))


def _on_updated(call: "Call", event: openai.SessionUpdated) -> None:
    if call.spare.is_told:
        return
    wrong = session_config.wrong_format(event.session, call.plan)
    if wrong:
        _give_up(call, wrong)
        return
    call.spare.configured_at = call.now
    told = call.spare.tell(call, is_last=False)
    call.actions += map(ToSpare, told)
    _look(call)


def _on_item_added(call: "Call", event: openai.ItemAdded) -> None:
    if call.spare.is_told and not call.spare.is_ready:
        call.spare.confirm()
        _look(call)


def _look(call: "Call") -> None:
    """Once it is ready, look for the moment to change to it, from now on."""
    if call.spare.is_ready:
        call.timers.cancel(Timer.SPARE)
        call.timers.set(Timer.RENEW, call.now)


def _on_error(call: "Call", event: openai.Error) -> None:
    error = event.error
    names = {error.code, error.type}
    if not names & session_config.HARMLESS_CODES:
        _give_up(call, f"{error.code or error.type}: {error.message}")


_ON_EVENT: dict[type, Callable[["Call", Any], None]] = {
    openai.SessionCreated: _on_created,
    openai.SessionUpdated: _on_updated,
    openai.ItemAdded: _on_item_added,
    openai.Error: _on_error,
}
