"""CallDriver: the one owner of a call, its legs, its timer and its tools.

Every input goes through `receive` to the `Call`, and every action that the call returns
is performed before the next input. However a call ends, both sockets close, no timer
and no tool is left, and the record is passed on once. A driver knows no other driver.
"""

import asyncio
from collections.abc import Callable
from ssl import SSLContext
from time import monotonic
from typing import Any, get_args

import msgspec
from picows import WSCloseCode

from bridge.agent.tools import ToolRunner
from bridge.call.last_turn import WORDS_WAIT_S
from bridge.call.machine import Call
from bridge.call.plan import (
    Action,
    CallPlan,
    CallRecord,
    CloseStandby,
    HangUp,
    Leg,
    Log,
    OpenModel,
    OpenStandby,
    OperatorWords,
    Phase,
    RunTool,
    ToolResult,
    ToStandby,
    Transcribe,
    UseStandby,
)
from bridge.call.streams import Transport
from bridge.line.fast_path import SocketFastPath
from bridge.line.legs import OpenAILeg, TwilioLeg
from bridge.line.listeners import Listeners
from bridge.line.model_address import address_of
from bridge.line.refusal import refusal_of
from bridge.line.side_tasks import SideTasks
from bridge.line.transcriber import Transcriber
from bridge.realtime import openai
from bridge.recorder.flight_recorder import Recorders
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of
from bridge.telemetry.log import LEVELS, CallLogger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio
from bridge.telephony.twiml import Sentence

# The loop counts in whole ms. A timer must not be early: it would only be set again.
TIMER_SLACK_S = 0.001


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What all drivers of a process share; `on_over` is called once for each."""

    settings: Settings
    metrics: Metrics
    tls: SSLContext | None
    on_over: Callable[["CallDriver"], None]
    recorders: Recorders | None = None
    transcriber: Transcriber | None = None


class CallDriver:
    """One call with its sockets, from the webhook until `is_over`."""

    def __init__(
        self,
        exchange: Exchange,
        plan: CallPlan,
        tools: ToolRunner,
        *,
        account_sid: str,
        fallback: Sentence,
    ) -> None:
        now = monotonic()
        self.call = Call(plan, now)
        self.account_sid = account_sid
        self.fallback = fallback
        self.token = ""
        # When the sockets were closed and the record passed on; 0.0 until then.
        self.over_at = 0.0
        # Another process has the call: nothing is recorded of it here.
        self.is_let_go = False
        # When the call ceased to need a session with the model.
        self.left_at = float("inf")
        # When Twilio was last asked for another stream, or was about to ask for one.
        self.promised_at = float("-inf")
        self.logs_events = exchange.settings.log_openai_events
        self.log = CallLogger(plan.call_sid, plan.business_id)
        self.model_leg = OpenAILeg(self, exchange.metrics)
        self.twilio_leg: TwilioLeg | None = None
        self._exchange = exchange
        recorders = exchange.recorders
        self._recorder = recorders.begin(plan, now) if recorders is not None else None
        self.fast_path = SocketFastPath(
            self.call.fast_path, self.model_leg.appender, monotonic
        )
        # The recorder keeps whole messages, which only the slow path has.
        is_fast = self.fast_path.is_open = self._recorder is None
        self.listeners = Listeners(exchange.metrics, self.fast_path, is_fast=is_fast)
        self._beside = SideTasks(tools, exchange.transcriber, plan, self.log)
        self._model_task: asyncio.Task[None] | None = None
        self._standby_leg: OpenAILeg | None = None
        self._standby_task: asyncio.Task[None] | None = None
        # Set once the caller's last words are transcribed, or never will be.
        self._words_come = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._arm()

    def open_model(self) -> None:
        """Begin to open the model's session; its events inform the call."""
        self._model_task = self._open(self.model_leg)

    def attach(self, leg: TwilioLeg) -> None:
        """Use this leg as the caller's socket; its `start` is received next."""
        assert self.twilio_leg is None, "a line has one caller"
        self.twilio_leg = leg

    def receive(self, method: Callable[..., list[Action]], *what: Any) -> None:
        """Pass an input to the call and perform every action that the call returns.

        A bug in the bridge ends this call only.
        """
        is_late = self.is_over and not self.call.awaits_words
        now, recorder = monotonic(), self._recorder
        if is_late and method != self.call.receive_disconnect:
            self._exchange.metrics.count("dropped", limit="after_end")
        try:
            if recorder is None:
                actions = method(*what, now)
            else:
                actions = recorder.take(method, what, now)
            for action in actions:
                _PERFORM[type(action)](self, action)
            if self.listeners.is_wanted:
                self.listeners.note(what, actions)
            if self.twilio_leg is not None:
                self.twilio_leg.flush()
            self._arm()
            if self.is_over and not self.call.awaits_words:
                self._words_come.set()
        except Exception:
            self.crash()

    def weigh(self) -> None:
        """Have the call weigh the frame that came by the fast path."""
        self.receive(self.call.receive_heard)

    @property
    def is_over(self) -> bool:
        """Whether the call has ended; only the call itself knows."""
        return self.call.phase is Phase.ENDED

    def crash(self) -> None:
        """End this call after a bug in the bridge: log it and release everything."""
        self.log.exception("internal error: the call ends")
        if not self.over_at:
            self.call.break_off()
            self._end(WSCloseCode.INTERNAL_ERROR)

    def let_go(self) -> None:
        """Close the sockets without a word: another process has the call."""
        self.is_let_go = True
        self._beside.cancel()
        self.receive(self.call.receive_hangup, "taken_over")

    def note_event(self, kind: str | None) -> None:
        """Log the type of an event from the model."""
        self.log.info("[REALTIME] event %s", kind)

    def lose_caller(self, leg: TwilioLeg, reason: str) -> None:
        """Note that the caller's socket is gone; the call may outlive the socket."""
        if self.twilio_leg is leg and not self.is_over:
            self.twilio_leg = None
            self.log.warning("[STREAM] lost: %s", reason)
            self.receive(self.call.receive_transport, Transport.GONE)

    def await_caller(self) -> None:
        """Expect Twilio to open another stream for this call: Twilio has asked for one.

        A socket that is left of the previous stream is cut.
        """
        self.promised_at = monotonic()
        leg, self.twilio_leg = self.twilio_leg, None
        if leg is not None:
            leg.retire()
        self.receive(self.call.receive_transport, Transport.WANTED)

    @property
    def is_connected(self) -> bool:
        """Whether a socket of this call is still open, or being opened."""
        tasks = (self._model_task, self._standby_task)
        is_opening = any(task is not None and not task.done() for task in tasks)
        is_twilio_open = self.twilio_leg is not None and self.twilio_leg.is_open
        return is_opening or is_twilio_open or self.open_sessions > 0

    @property
    def open_sessions(self) -> int:
        """The number of open sockets to the model; two while a session stands by."""
        legs = (self.model_leg, self._standby_leg)
        return sum(leg is not None and leg.is_open for leg in legs)

    @property
    def unfinished(self) -> frozenset[asyncio.Task[None]]:
        """What the record waits for: tools and transcripts, each of which has a
        deadline, and the caller's last words."""
        return self._beside.unfinished

    def record(self) -> CallRecord:
        """Return the call's record; it is complete once the call is over."""
        return self.call.record(self.over_at or monotonic())

    # --- the call's actions ---

    def _to_twilio(self, message: twilio.Outbound) -> None:
        if self.twilio_leg is not None:
            self.twilio_leg.perform(message)

    def _to_model(self, event: openai.ClientEvent | openai.AppendAudio) -> None:
        self.model_leg.perform(event)

    def _log(self, line: Log) -> None:
        if not line.speech or self._exchange.settings.log_transcripts:
            self.log.log(LEVELS[line.level], "%s", line.text)

    def _open_model_again(self, action: OpenModel) -> None:
        """Retire the model's leg and open another."""
        self.log.info("[REALTIME] Opening another session: %s", action.reason)
        self.model_leg.retire()
        if self._model_task is not None:
            self._model_task.cancel()
        self.model_leg = OpenAILeg(self, self._exchange.metrics)
        self.fast_path.appender = self.model_leg.appender
        self.open_model()

    def _open_standby(self, action: OpenStandby) -> None:
        """Open a second leg to the model, beside the first."""
        self.log.info("[REALTIME] Opening the next session: %s", action.reason)
        self._standby_leg = OpenAILeg(self, self._exchange.metrics, Leg.STANDBY)
        self._standby_task = self._open(self._standby_leg)

    def _to_standby(self, action: ToStandby) -> None:
        if self._standby_leg is not None:
            self._standby_leg.perform(action.event)

    def _use_standby(self, action: UseStandby) -> None:
        """Make the second leg the model's: the very next frame goes there."""
        assert self._standby_leg is not None, "there is no second session"
        first, self.model_leg = self.model_leg, self._standby_leg
        self._standby_leg = None
        self._model_task, self._standby_task = self._standby_task, None
        self.model_leg.leg = Leg.OPENAI
        self.fast_path.appender = self.model_leg.appender
        first.retire()

    def _close_standby(self, action: CloseStandby) -> None:
        if self._standby_leg is not None:
            self._standby_leg.retire()
        if self._standby_task is not None:
            self._standby_task.cancel()

    def _run_tool(self, asked: RunTool) -> None:
        self._beside.run_tool(asked, self._take_result)

    def _take_result(self, result: ToolResult) -> None:
        if self.is_over:
            # The caller has gone, but a booking that was made must be recorded.
            self.call.ending.learn(result)
            self.call.call_record.tool_answered(result, monotonic())
        else:
            self.receive(self.call.receive_tool_result, result)

    def _transcribe(self, portion: Transcribe) -> None:
        self._beside.transcribe(portion, self._take_words)

    def _take_words(self, words: OperatorWords) -> None:
        if self.is_over:
            self.call.call_record.operator_said(words, monotonic())
        else:
            self.receive(self.call.receive_operator_words, words)

    def _hang_up(self, action: HangUp) -> None:
        self._end(WSCloseCode.OK)

    # --- time ---

    def _arm(self) -> None:
        """Set the timer to the call's deadline.

        A timer that is too early is left alone and set again when it fires: deadlines
        mostly move away, and setting a timer costs more than a check.
        """
        deadline = self.call.deadline
        if deadline is None or self.is_over:
            return
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        delay = max(deadline - monotonic(), 0.0) + TIMER_SLACK_S
        self._timer_at = deadline
        self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self.fast_path.is_open:
            self._go_on()
        deadline = self.call.deadline
        if self.is_over or deadline is None or monotonic() < deadline:
            self._arm()
        else:
            self.receive(self.call.receive_timeout)

    def _go_on(self) -> None:
        """Continue playing speech by a short path: nearly every timer is for that."""
        try:
            audio = self.call.go_on(monotonic())
            if audio and self.twilio_leg is not None:
                self.twilio_leg.play(audio)
        except Exception:
            self.crash()

    # --- the model's socket ---

    def _open(self, leg: OpenAILeg) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._connect(leg))

    async def _connect(self, leg: OpenAILeg) -> None:
        settings, plan = self._exchange.settings, self.call.plan
        url, headers = address_of(settings, plan)
        tls = self._exchange.tls if url.startswith("wss:") else None
        try:
            await leg.connect(url, headers, tls, proxy_of(settings, url))
        except Exception as error:  # whatever it is, the call must be told
            leg.refuse(refusal_of(error))

    # --- the end ---

    def _end(self, code: WSCloseCode) -> None:
        self.over_at = monotonic()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.twilio_leg is not None:
            self.twilio_leg.close(code)
        if self.call.awaits_words and self.model_leg.is_open and not self.is_let_go:
            self._beside.run(self._await_words())
        else:
            self._leave_model()
        if self._standby_leg is not None:
            self._standby_leg.close()
        self.listeners.end()
        if self._recorder is not None and self._exchange.recorders is not None:
            self._exchange.recorders.finish(self._recorder)
            self._recorder = None
        self._exchange.on_over(self)

    async def _await_words(self) -> None:
        """Keep the model's session until the caller's last words are transcribed."""
        try:
            async with asyncio.timeout(WORDS_WAIT_S):
                await self._words_come.wait()
        except TimeoutError:
            self.log.warning("[REALTIME] No words came of what the caller said last")
        finally:
            self._leave_model()

    def _leave_model(self) -> None:
        self.left_at = monotonic()
        self.model_leg.close()


_PERFORM: dict[type, Callable[[CallDriver, Any], None]] = {
    **dict.fromkeys(get_args(twilio.Outbound), CallDriver._to_twilio),
    openai.AppendAudio: CallDriver._to_model,
    openai.CommitAudio: CallDriver._to_model,
    openai.ClearAudio: CallDriver._to_model,
    openai.SessionUpdate: CallDriver._to_model,
    openai.CreateItem: CallDriver._to_model,
    openai.ConversationItemTruncate: CallDriver._to_model,
    openai.ResponseCreate: CallDriver._to_model,
    openai.ResponseCancel: CallDriver._to_model,
    Log: CallDriver._log,
    RunTool: CallDriver._run_tool,
    Transcribe: CallDriver._transcribe,
    OpenModel: CallDriver._open_model_again,
    OpenStandby: CallDriver._open_standby,
    ToStandby: CallDriver._to_standby,
    UseStandby: CallDriver._use_standby,
    CloseStandby: CallDriver._close_standby,
    HangUp: CallDriver._hang_up,
}
