"""The answer when Twilio asks what follows a stream: a stream, an apology or nothing.

The status that Twilio sends with the question decides, not the fate of the service's
socket: a caller who is `in-progress` is on the telephone. The caller is connected to
the call again if the call still runs here. The caller hears the fallback sentence if
the call ended without a word from the service. A repeated question gets the same
answer.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol

from bridge.call.checkpoint import OtherFormatError
from bridge.call.ending import LEFT_BY_CALLER
from bridge.line.driver import CallDriver
from bridge.switchboard.dispatch import Switchboard
from bridge.switchboard.ended import Ended
from bridge.telephony import twiml
from bridge.telephony.twiml import Sentence

THERE = "in-progress"
# How a call ended at Twilio, and how the service's record names that end.
OVER = {
    "completed": "caller_hung_up",
    "canceled": "caller_hung_up",
    "busy": "call_failed",
    "failed": "call_failed",
    "no-answer": "call_failed",
}
# A stream that never began.
NO_STREAM = ("no_stream", "stream_failed", "stream_error")
# Twilio gives up on a webhook after 15 s, and if it retries, it retries at once.
REPEAT_S = 15.0
# How many answers are remembered; a repeat comes within seconds.
ANSWERS_MAX = 1_024


# Asks a node that reads checkpoints of a format for the document.
AskReader = Callable[[int], Awaitable[bytes | None]]


class Resume(Protocol):
    """Goes on with a call whose process is gone."""

    def __call__(self, call_sid: str, *, is_dead: bool) -> Awaitable[CallDriver | None]:
        """Return the call's driver here; None if this process cannot go on with it."""


class AfterStream:
    """Answers what comes after a stream, for the calls of one process."""

    def __init__(
        self,
        switchboard: Switchboard,
        connect: Callable[[CallDriver], bytes],
        find_recorded: Callable[[str, str], Awaitable[Ended | None]],
        fallback_for: Callable[[str], Awaitable[Sentence]],
        resume: Resume | None = None,
    ) -> None:
        self._fallback_for = fallback_for
        # Goes on with a call whose process is gone.
        self._resume = resume
        self._switchboard = switchboard
        self._connect = connect
        self._find_recorded = find_recorded
        self._metrics = switchboard.metrics
        # Answers by call and I-Twilio-Idempotency-Token.
        self._answers: dict[tuple[str, str], bytes] = {}

    async def answer(
        self,
        call_sid: str,
        number: str,
        status: str,
        repeat_key: str,
        *,
        is_owner_dead: bool = False,
        ask_reader: AskReader | None = None,
    ) -> bytes:
        """Return the document for a call whose <Connect> has ended.

        `number` was dialled. `status` is CallStatus as Twilio sent it. `repeat_key` is
        the same in each repeat of a question, or empty. `is_owner_dead`: another node
        has the call, and was asked in vain. `ask_reader` passes the question on to a
        node that reads the call's checkpoint.
        """
        known = self._answers.get((call_sid, repeat_key)) if repeat_key else None
        if known is not None:
            return known
        document = (
            self._connect_again(call_sid, repeat_key) if status == THERE else None
        )
        if document is None and status == THERE:
            document = await self._connect_anew(call_sid, is_owner_dead, ask_reader)
        if document is None:
            document = await self._end(call_sid, number, status)
        if repeat_key:
            self._answers[call_sid, repeat_key] = document
            if len(self._answers) > ANSWERS_MAX:
                del self._answers[next(iter(self._answers))]
        return document

    def end_unless_streamed(self, call_sid: str, reason: str) -> None:
        """End a call whose stream could not begin; a lost stream may come back."""
        line = self._switchboard.find_driver(call_sid)
        if line is not None and not line.call.call_record.is_answered:
            line.receive(line.call.receive_hangup, reason)

    def _connect_again(self, call_sid: str, repeat_key: str) -> bytes | None:
        """Return the document for another stream; None if the call no longer runs."""
        line = self._switchboard.find_driver(call_sid)
        if line is None or not line.call.call_record.is_answered:
            return None
        # Without a key, a question that closely follows its own answer is a repeat.
        is_new = monotonic() - line.promised_at > REPEAT_S
        if repeat_key or is_new or line.twilio_leg is None:
            self._switchboard.await_caller(line)
        return None if line.is_over else self._connect(line)

    async def _connect_anew(
        self, call_sid: str, is_dead: bool, ask_reader: AskReader | None
    ) -> bytes | None:
        """Return the document for a stream of a call that another process has left."""
        board = self._switchboard
        ended = board.find_ended(call_sid)
        is_known = board.find_driver(call_sid) is not None or (
            ended is not None and not _is_contradicted(ended, THERE)
        )
        if self._resume is None or board.is_draining or is_known:
            return None
        try:
            line = await self._resume(call_sid, is_dead=is_dead)
        except OtherFormatError as error:
            return await self._read_elsewhere(call_sid, error, ask_reader)
        if line is None or line.is_over:
            return None
        # The same question may come again, without a key, when the stream is there.
        line.promised_at = monotonic()
        return self._connect(line)

    async def _read_elsewhere(
        self, call_sid: str, error: OtherFormatError, ask_reader: AskReader | None
    ) -> bytes | None:
        """Return the document of a process of the version that saved the checkpoint."""
        document = None if ask_reader is None else await ask_reader(error.form)
        log = self._switchboard.log_of(call_sid)
        if document is None:
            log.error("[NODE] the call is not claimed, nor by another node: %s", error)
            self._metrics.count("calls_resumed", outcome="failed")
        else:
            log.warning("[NODE] the call is left to another node: %s", error)
        return document

    async def _end(self, call_sid: str, number: str, status: str) -> bytes:
        board = self._switchboard
        self.end_unless_streamed(call_sid, "stream_failed")
        line = board.find_driver(call_sid)
        if line is not None:
            reason = OVER.get(status, "caller_hung_up")
            line.receive(line.call.receive_hangup, reason)
        board.note_asked(call_sid)
        ended = board.find_ended(call_sid)
        if ended is None or _is_contradicted(ended, status):
            # The call may have belonged to another process, which recorded its end.
            ended = await self._find_recorded(number, call_sid) or ended
        if ended is None:
            self._metrics.count_fallback("unknown_call", board.business_of("", number))
            return twiml.say_and_hang_up(await self._fallback_for(number))
        if _is_owed_a_word(ended, status):
            self._metrics.count_fallback(ended.reason, ended.business_id)
            return twiml.say_and_hang_up(ended.fallback)
        return twiml.hang_up()


def _is_contradicted(ended: Ended, status: str) -> bool:
    """Tell whether a caller who had left here is on the telephone: another process may
    have gone on with the call while this one was frozen."""
    return status == THERE and ended.reason in LEFT_BY_CALLER


def _is_owed_a_word(ended: Ended, status: str) -> bool:
    """Tell whether a call ended without an explanation to the caller."""
    if ended.failed or ended.reason in ("stream_failed", "stream_error"):
        return True
    return status == THERE and ended.reason in (*LEFT_BY_CALLER, *NO_STREAM)
