"""The calls of one process: a webhook opens each, a stream joins it, and it ends.

The switchboard admits calls up to a limit and decides which stream belongs to which
call. The switchboard remembers for a while how calls ended, because Twilio asks what
comes next. It alone owns the call drivers, each from its webhook to its end.
"""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from time import monotonic
from typing import Any

from bridge.agent.tools import ToolRunner
from bridge.call.ending import LEFT_BY_CALLER
from bridge.call.last_turn import SHUTDOWN
from bridge.call.machine import Call
from bridge.call.plan import CallPlan, CallRecord
from bridge.line import fast_path
from bridge.line.driver import CallDriver, Exchange
from bridge.line.legs import StreamRefused, TwilioLeg
from bridge.line.transcriber import Transcriber
from bridge.line.websocket import CLOSE_WAIT_S
from bridge.ports.port_demux import Head
from bridge.ports.workers import Workers
from bridge.recorder.flight_recorder import Recorders
from bridge.settings.process import Settings
from bridge.switchboard.admission import Admission, few_max
from bridge.switchboard.call_setup import CallSetup, Ringing, fallback_of
from bridge.switchboard.draining import QUESTION_S, end_in_time, wait_for
from bridge.switchboard.ended import Ended, EndedCalls
from bridge.switchboard.gauges import gauges_of
from bridge.switchboard.handshakes import Handshakes
from bridge.switchboard.unserved import (
    DRAINING,
    Refused,
    Repeated,
    UnknownNumber,
    Unserved,
)
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio
from bridge.telephony.tokens import TokenError, Tokens
from bridge.telephony.twiml import Sentence

# Twilio gives up on a webhook after 15 s; the caller hears ringing meanwhile.
OPEN_WAIT_S = 5.0
# How long the last words of a call may take when the process must stop. With no time to
# drain, the whole stop takes less than the 10 s that `docker stop` gives.
FAREWELL_S = 6.0
_MU_LAW = twilio.MediaFormat("audio/x-mulaw", 8_000, 1)


class Switchboard:
    """The calls of one process, and which streams may join them."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        tokens: Tokens,
        plan_for: Callable[[Ringing, datetime], Awaitable[CallSetup | None]],
        on_record: Callable[[CallRecord], None],
        recorders: Recorders | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.metrics = metrics
        self._workers = workers
        busy_max = settings.max_busy_percent / 100
        self.admission = Admission(
            settings.lag_budget_ms,
            busy_max,
            few_max(busy_max, settings.workers, os.cpu_count() or 1),
        )
        self.is_draining = False
        self.handshakes = Handshakes(settings, metrics)
        self._settings = settings
        self._tokens = tokens
        self._plan_for = plan_for
        self._on_record = on_record
        self._lines: dict[str, CallDriver] = {}
        self._opening: dict[str, asyncio.Task[CallDriver]] = {}
        self._ended = EndedCalls()
        self._closing: set[CallDriver] = set()
        # Calls that are over except for a tool's answer, or the caller's last words.
        self._recording: set[asyncio.Task[None]] = set()
        self._no_calls = asyncio.Event()
        self._no_calls.set()
        # Calls that the service ended while draining, and Twilio has not asked about.
        self._unasked: set[str] = set()
        self._no_unasked = asyncio.Event()
        self._no_unasked.set()
        # Called for each call that opens; the records' owner sets it before the first.
        self.on_open: Callable[[CallPlan], None] | None = None
        # Makes this process the owner of a new call.
        self.own: Callable[[CallDriver], Awaitable[None]] | None = None
        # Raises if another process has a call: asked before each of its tools runs.
        self.confirm: Callable[[CallPlan], Awaitable[None]] | None = None
        # Called for each call that another process has claimed.
        self.on_let_go: Callable[[str], None] | None = None
        self._transcriber = Transcriber(settings)
        self._exchange = Exchange(
            settings=settings,
            metrics=metrics,
            tls=ssl.create_default_context(),
            on_over=self._on_over,
            recorders=recorders,
            transcriber=self._transcriber,
        )

    # --- webhooks ---

    async def open_call(self, ringing: Ringing) -> CallDriver:
        """Return the call's driver, made now or by an earlier request for the call.

        Raises the errors of `bridge.switchboard.unserved`: Unserved for any failure.
        """
        line = self._lines.get(ringing.call_sid)
        if line is not None:
            return line
        if self._ended.find(ringing.call_sid) is not None:
            raise Repeated
        task = self._opening.get(ringing.call_sid)
        if task is None:
            self._admit()
            task = asyncio.get_running_loop().create_task(self._open(ringing))
            self._opening[ringing.call_sid] = task
            task.add_done_callback(partial(self._forget_opening, ringing.call_sid))
        await asyncio.wait((task,), timeout=OPEN_WAIT_S)
        if not task.done() or task.cancelled():
            task.cancel()
            raise Unserved("database_late")
        error = task.exception()
        if error is None:
            return task.result()
        try:
            if not isinstance(error, UnknownNumber | Refused | Repeated):
                log = self.log_of(ringing.call_sid, ringing.to_number)
                log.error("call could not be opened", exc_info=error)
                raise Unserved("opening_failed") from error
            raise error
        finally:
            # The error keeps this frame, which must not keep the error.
            del error, task

    def find_driver(self, call_sid: str) -> CallDriver | None:
        """Return the driver of a call that has not ended."""
        return self._lines.get(call_sid)

    def business_of(self, call_sid: str, to_number: str = "") -> str:
        """Return the business of a call, or of a number called before; "" if both
        are unknown."""
        line = self._lines.get(call_sid)
        if line is not None:
            return line.call.plan.business_id
        return self._ended.business_of(call_sid, to_number)

    def log_of(self, call_sid: str, to_number: str = "") -> CallLogger:
        """Return the logger of a call, whether the call runs or has ended."""
        return CallLogger(call_sid, self.business_of(call_sid, to_number))

    def find_ended(self, call_sid: str) -> Ended | None:
        """Return how a call ended, if it is among the last calls."""
        return self._ended.find(call_sid)

    def note_asked(self, call_sid: str) -> None:
        """Note that Twilio has asked what comes after a call's stream."""
        self._unasked.discard(call_sid)
        if not self._unasked:
            self._no_unasked.set()

    def await_caller(self, line: CallDriver) -> None:
        """Let the caller's next stream join this call; the stream needs a new token."""
        line.await_caller()
        line.token = self._tokens.issue(line.call.plan.call_sid, monotonic())

    # --- streams ---

    def pass_on(self, head: Head, transport: Any, data: bytes) -> bool:
        """Hand a stream to the worker it names, with the data already read from it."""
        if self._workers is None:
            return False
        path = self._workers.socket_of_stream(head.path)
        if path is None:
            return False
        transport.pause_reading()
        connection = transport.get_extra_info("socket").fileno()
        if self._workers.hand_over(path, connection, data):
            self.metrics.count("streams_handed_over")
        else:
            self.metrics.count("connections_refused", reason="worker_away")
        # Closes this worker's end; after a hand-over the other worker's stays open.
        transport.abort()
        return True

    def admit_stream(self, head: Head) -> fast_path.CallerListener | HTTPStatus:
        """Check who asks for a stream, before the upgrade."""
        refusal = self.handshakes.refuse(head)
        if refusal is not None:
            return refusal
        return fast_path.CallerListener(TwilioLeg(self))

    def claim_line(self, leg: TwilioLeg, start: twilio.Start) -> CallDriver:
        """Return the driver that a stream's `start` names; raises StreamRefused."""
        body = start.start
        line = self._lines.get(body.call_sid)
        if line is None:
            raise StreamRefused("no_such_call")
        business_id = line.call.plan.business_id
        if line.account_sid and body.account_sid != line.account_sid:
            raise StreamRefused("wrong_account", business_id)
        if body.media_format != _MU_LAW:
            raise StreamRefused("wrong_format", business_id)
        if line.twilio_leg is not None:
            raise StreamRefused("second_stream", business_id)
        token = body.custom_parameters.get("token", "")
        try:
            self._tokens.redeem(token, body.call_sid, monotonic())
        except TokenError as error:
            line.log.warning("%s", error)
            raise StreamRefused("wrong_token", business_id) from None
        line.attach(leg)
        return line

    # --- what is true now ---

    def live_calls(self) -> Iterable[Call]:
        """Return the calls that have not ended."""
        return [line.call for line in self._lines.values()]

    def live_drivers(self) -> Iterable[CallDriver]:
        """Return the drivers of the calls that have not ended."""
        return list(self._lines.values())

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Return the gauges of the calls."""
        return gauges_of(
            len(self._lines),
            self._settings.max_calls_per_worker,
            self.admission,
            self._count_orphans(),
        )

    # --- the end ---

    async def drain(self, patience_s: float) -> None:
        """Take no new calls; let running calls end, in the end with a goodbye.

        After that Twilio may still ask what comes after the last calls.
        """
        self.is_draining = True
        began_at = monotonic()
        await end_in_time(
            self._lines.values,
            self._no_calls,
            patience_s=patience_s,
            farewell_s=FAREWELL_S,
        )
        # The extra time of a long reply is subtracted from the wait for the question.
        over_s = monotonic() - began_at - patience_s - FAREWELL_S
        question_s = QUESTION_S if patience_s else QUESTION_S - max(over_s, 0.0)
        await wait_for(self._no_unasked, question_s)

    def end_all(self, reason: str) -> None:
        """End every call now."""
        for line in list(self._lines.values()):
            line.receive(line.call.receive_hangup, reason)

    async def close(self) -> None:
        """End every call; wait for its last tools and for its sockets to close."""
        self.is_draining = True
        for task in list(self._opening.values()):
            task.cancel()
        self.end_all(SHUTDOWN)
        await self._transcriber.close()
        if self._recording:
            # Every tool answers by its deadline.
            await asyncio.wait(self._recording)
        deadline = monotonic() + 2 * CLOSE_WAIT_S
        while any(line.is_connected for line in self._closing):
            if monotonic() > deadline:
                return
            await asyncio.sleep(0.005)

    # --- internal ---

    def _admit(self) -> None:
        if self.is_draining:
            raise Unserved(DRAINING)
        calls = len(self._lines) + len(self._opening)
        if calls >= self._settings.max_calls_per_worker:
            raise Unserved("full")
        # A process without calls is never shut: a new call could harm no other call.
        now = monotonic()
        shut = self.admission.shut(now)
        if shut is not None and calls:
            raise Unserved(shut.value)
        self.admission.let_in(now)

    async def _open(self, ringing: Ringing) -> CallDriver:
        opening = await self._plan_for(ringing, datetime.now(UTC))
        if opening is None:
            raise UnknownNumber
        line = self.begin(opening, ringing.account_sid)
        if self.own is not None:
            await self.own(line)
        return line

    def begin(self, opening: CallSetup, account_sid: str) -> CallDriver:
        """Begin a call: a new one, or one that another process has left."""
        settings, plan = self._settings, opening.plan
        self._ended.note_number(plan.to_number, plan.business_id, opening.fallback)
        log = CallLogger(plan.call_sid, plan.business_id)
        tools = ToolRunner(
            opening.tools,
            deadline_ms=settings.tool_deadline_ms,
            log=log,
            metrics=self.metrics,
            logs_speech=settings.log_transcripts,
            confirm=partial(self.confirm, plan) if self.confirm else None,
        )
        line = CallDriver(
            self._exchange,
            plan,
            tools,
            account_sid=account_sid,
            fallback=opening.fallback,
        )
        line.token = self._tokens.issue(plan.call_sid, monotonic())
        self._lines[plan.call_sid] = line
        self._no_calls.clear()
        if self.on_open is not None:
            self.on_open(plan)
        line.open_model()
        return line

    def _forget_opening(self, call_sid: str, task: asyncio.Task[CallDriver]) -> None:
        self._opening.pop(call_sid, None)

    def _on_over(self, line: CallDriver) -> None:
        call_sid = line.call.plan.call_sid
        self._lines.pop(call_sid, None)
        if not self._lines:
            self._no_calls.set()
        self._closing = {one for one in self._closing if one.is_connected} | {line}
        if line.is_let_go:
            if self.on_let_go is not None:
                self.on_let_go(call_sid)
            return
        record = line.record()
        # Twilio does not ask about a call that its caller has left, nor about a test.
        is_asked_about = line.twilio_leg and record.end_reason not in LEFT_BY_CALLER
        is_asked_about = is_asked_about and not record.plan.is_test
        if self.is_draining and is_asked_about:
            self._unasked.add(call_sid)
            self._no_unasked.clear()
        plan, fallback = record.plan, line.fallback
        ended = Ended(record.end_reason, record.failed, fallback, plan.business_id)
        self._ended.remember(call_sid, ended)
        self.metrics.add_call(line.call, record, self._settings.openai_prices)
        unfinished = line.unfinished
        if not unfinished:
            self._on_record(record)
            return
        task = asyncio.get_running_loop().create_task(
            self._record_late(line, unfinished)
        )
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def _record_late(
        self, line: CallDriver, unfinished: frozenset[asyncio.Task[None]]
    ) -> None:
        """Hand a record on once nothing more can be added to it."""
        try:
            await asyncio.wait(unfinished)
        finally:
            self._on_record(line.record())

    def _count_orphans(self) -> int:
        """Count the model's sockets that stay open after their use for longer than an
        orderly close may take."""
        latest = monotonic() - 2 * CLOSE_WAIT_S
        return sum(
            line.open_sessions for line in self._closing if line.left_at < latest
        )

    def default_fallback(self, number: str = "") -> Sentence:
        """Return the fallback for a business that is unknown, or was known only before.

        `number` is the number that was called.
        """
        return self._ended.fallback_of(number) or fallback_of(self._settings, None)
