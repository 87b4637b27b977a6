"""The running calls of one process for those who watch, hear or join them.

An `OperatorLine` is one operator's connection to one call. It carries orders and the
operator's audio into the call, and both sides' audio out of it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic, time
from typing import NamedTuple

from bridge.call.machine import Call
from bridge.call.plan import HandBack, LineOrder, SayGoodbye, TakeOver
from bridge.line.driver import CallDriver
from bridge.line.listeners import Listener
from bridge.settings.prices import Prices, cost_of
from bridge.telemetry.live_call import LiveCall, Snapshot
from bridge.telemetry.metrics import Metrics

WORDS_CHARS_MAX = 200


class Holder(NamedTuple):
    """An operator and the page that they speak from: two may have one name."""

    name: str
    page: str


NOBODY = Holder("", "")


class LocalLine:
    """An operator's connection to a call of this process."""

    def __init__(
        self,
        driver: CallDriver,
        listener: Listener | None,
        owner: Holder,
        lines: "Lines",
    ) -> None:
        self._driver = driver
        self._listener = listener
        self._owner = owner
        self._lines = lines

    @property
    def hears(self) -> bool:
        """Whether the line carries audio out of the call."""
        return self._listener is not None

    async def take(self) -> bytes:
        """Return both sides' next frames; empty once the call is over."""
        return b"" if self._listener is None else await self._listener.take()

    async def obey(self, order: LineOrder) -> None:
        """Pass an order to the call; what another operator has is not handed back."""
        driver, call = self._driver, self._driver.call
        if isinstance(order, SayGoodbye):
            driver.receive(partial(call.receive_hangup, politely=True), "operator")
            return
        holder = self._lines.holder_of(driver)
        if isinstance(order, HandBack) and holder not in (NOBODY, self._owner):
            return
        before = call.counters.takeovers
        driver.receive(call.receive_operator, order)
        if isinstance(order, TakeOver) and call.counters.takeovers > before:
            self._lines.holders[call.plan.call_sid] = self._owner
        elif isinstance(order, HandBack):
            self._lines.holders.pop(call.plan.call_sid, None)

    async def speak(self, frames: bytes) -> None:
        """Send the caller what this operator says, if this operator has the call."""
        call = self._driver.call
        if self._lines.holder_of(self._driver) == self._owner:
            self._driver.receive(call.receive_operator_audio, frames)

    async def close(self) -> None:
        """Leave the call. It is the AI's again soon, if this operator had it."""
        if self._listener is not None:
            self._driver.listeners.remove(self._listener)
            self._listener = None


class Lines:
    """The operators' lines of one process, and who has taken over which call."""

    def __init__(
        self,
        metrics: Metrics,
        drivers: Callable[[], Iterable[CallDriver]],
        find: Callable[[str], CallDriver | None],
        prices: Prices,
    ) -> None:
        self.holders: dict[str, Holder] = {}
        self._metrics = metrics
        self._drivers = drivers
        self._find = find
        self._prices = prices

    def snapshot(self) -> Snapshot:
        """Return the calls as they are now."""
        drivers = list(self._drivers())
        running = {driver.call.plan.call_sid for driver in drivers}
        for call_sid in self.holders.keys() - running:
            del self.holders[call_sid]
        return Snapshot(
            calls=tuple(self._view(driver) for driver in drivers),
            refused=tuple(self._metrics.refused),
        )

    def open(
        self, call_sid: str, business_id: str, name: str, page: str, *, hears: bool
    ) -> LocalLine | None:
        """Return a line to a running call of this business, if there is room for it."""
        driver = self._find(call_sid)
        if driver is None or driver.call.plan.business_id != business_id:
            return None
        listener = driver.listeners.add(name) if hears else None
        if hears and listener is None:
            return None
        return LocalLine(driver, listener, Holder(name, page), self)

    def holder_of(self, driver: CallDriver) -> Holder:
        """Return who has taken a call over; NOBODY if the AI leads it."""
        if not driver.call.takeover.is_on:
            return NOBODY
        return self.holders.get(driver.call.plan.call_sid, NOBODY)

    def _view(self, driver: CallDriver) -> LiveCall:
        call, now = driver.call, monotonic()
        plan, noted = call.plan, call.call_record
        role, words = noted.transcript.last_words()
        holder = self.holder_of(driver)
        speaker = "ai" if call.playout.is_playing(now) else ""
        if call.takeover.is_speaking:
            speaker = "operator"
        if call.uplink.is_gate_open:
            speaker = "caller"
        options = plan.options
        models = options.openai_model, options.openai_transcription_model
        return LiveCall(
            call_sid=plan.call_sid,
            business_id=plan.business_id,
            business_name=plan.business_name,
            from_number=plan.from_number,
            to_number=plan.to_number,
            opened_at=round(time() - (now - noted.opened_at), 1),
            phase=call.phase.value,
            speaker=speaker,
            gate=_gate_of(call),
            last_role=role,
            last_words=words[-WORDS_CHARS_MAX:],
            tools=tuple(name for name, _ in call.tool_calls.open.values()),
            cost=cost_of(noted.usage, *models, self._prices),
            taken_over_by=holder.name,
            taken_over_page=holder.page,
            listeners=tuple(driver.listeners.names),
        )


def _gate_of(call: Call) -> str:
    if call.uplink.is_gate_open:
        return "open"
    return "music" if call.uplink.gate.music else "closed"
