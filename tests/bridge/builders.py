"""Builders of calls, messages and events for the tests of a call."""

from itertools import count
from pathlib import Path

from bridge.call.machine import Call
from bridge.call.plan import CallPlan, ToolResult
from bridge.realtime import openai
from bridge.settings.options import CallOptions
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES

CLIPS = Path(__file__).parents[2] / "bridge" / "sandbox" / "clips"
STREAM_SID = "MZ" + "0" * 32
CALL_SID = "CA" + "1" * 32
ACCOUNT_SID = "AC" + "2" * 32
SILENCE = b"\xff" * FRAME_BYTES
FRAME_S = 0.02


def plan(greeting: str = "", **options: object) -> CallPlan:
    return CallPlan(
        call_sid=CALL_SID,
        business_id="b1",
        business_name="Salon",
        from_number="+15550000001",
        to_number="+15550000002",
        language="en",
        instructions="Be brief.",
        greeting=greeting,
        options=CallOptions(**options),
    )


def clip(name: str) -> list[bytes]:
    data = (CLIPS / f"{name}.ulaw").read_bytes()
    whole = len(data) - len(data) % FRAME_BYTES
    return [data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]


def loud(frames: int, value: int = 0x0F) -> list[bytes]:
    return [bytes([value, value | 0x80]) * (FRAME_BYTES // 2)] * frames


def start() -> twilio.Start:
    return twilio.Start(
        stream_sid=STREAM_SID,
        start=twilio.StartBody(
            stream_sid=STREAM_SID,
            account_sid=ACCOUNT_SID,
            call_sid=CALL_SID,
            media_format=twilio.MediaFormat("audio/x-mulaw", 8000, 1),
        ),
    )


def media(payload: bytes, timestamp: str = "") -> twilio.Media:
    return twilio.Media(media=twilio.MediaBody(payload=payload, timestamp=timestamp))


def mark(name: str) -> twilio.Mark:
    return twilio.Mark(mark=twilio.MarkBody(name=name))


def dtmf(digit: str) -> twilio.Dtmf:
    return twilio.Dtmf(dtmf=twilio.DtmfBody(digit=digit))


def session(kind: str = "audio/pcmu") -> openai.Session:
    return openai.decode(
        b'{"type":"session.updated","session":{"id":"s","audio":{"input":{"format":'
        b'{"type":"audio/pcmu"}},"output":{"format":{"type":"%s"}}}}}' % kind.encode()
    ).session


def response(response_id: str = "r1", status: str = "in_progress", **more: object):
    return openai.Response(id=response_id, status=status, **more)


def created(response_id: str = "r1") -> openai.ResponseCreated:
    return openai.ResponseCreated(response=response(response_id))


def done(response_id: str = "r1", status: str = "completed", **more: object):
    return openai.ResponseDone(response=response(response_id, status, **more))


def tool_item(
    call_id: str = "t1", name: str = "leads_upsert", arguments: str = '{"name":"Dana"}'
) -> openai.OutputItemDone:
    item = openai.Item(
        id=f"f{call_id}",
        type="function_call",
        name=name,
        call_id=call_id,
        arguments=arguments,
    )
    return openai.OutputItemDone(response_id="r1", item=item)


def tool_result(call_id: str = "t1") -> ToolResult:
    return ToolResult(
        tool_call_id=call_id,
        name="leads_upsert",
        arguments="{}",
        output="{}",
        ok=True,
        duration_ms=1.0,
    )


def audio_delta(
    item_id: str, ms: int, response_id: str = "r1", byte: int = 0x58
) -> openai.AudioDelta:
    return openai.AudioDelta(
        response_id=response_id,
        item_id=item_id,
        content_index=0,
        delta=bytes([byte]) * (8 * ms),
    )


def audio_done(item_id: str, response_id: str = "r1") -> openai.AudioDone:
    return openai.AudioDone(response_id=response_id, item_id=item_id)


def begun(call: Call, response_id: str, now: float) -> list:
    """Let an answer begin, of which the caller hears 20 ms."""
    actions = call.receive_openai(created(response_id), now)
    item_id = f"item of {response_id}"
    actions += call.receive_openai(audio_delta(item_id, 20, response_id), now)
    return actions + call.receive_openai(audio_done(item_id, response_id), now)


def error(code: str, event_id: str | None = None, message: str = "no") -> openai.Error:
    return openai.Error(
        error=openai.ErrorBody(message=message, code=code, event_id=event_id)
    )


def answered_call(now: float = 0.0, greeting: str = "", **options: object) -> Call:
    """Return a call whose stream and session are both ready."""
    call = Call(plan(greeting, **options), now)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), now)
    call.receive_twilio(start(), now)
    call.receive_openai(openai.SessionUpdated(session=session()), now)
    return call


def talking_ai(now: float = 10.0, ms: int = 20_000, **options: object) -> Call:
    """Return a call in which the AI has spoken since `now`."""
    call = answered_call(now - 3.0, **options)
    speak(call, [SILENCE] * 100, now - 3.0)
    call.receive_openai(created(), now)
    call.receive_openai(audio_delta("item_1", ms), now)
    return call


def of(kind: type, actions: list) -> list:
    return [one for one in twilio.messages_of(actions) if isinstance(one, kind)]


def appended(actions: list) -> list[bytes]:
    return [action.audio for action in of(openai.AppendAudio, actions)]


def texts(actions: list) -> list[str]:
    from bridge.call.plan import Log

    return [action.text for action in of(Log, actions)]


def speak(call: Call, frames: list[bytes], now: float) -> tuple[list, float]:
    """Send frames in real time, firing timers; return the actions and the time."""
    actions = []
    for number in count():
        if number == len(frames):
            return actions, now
        now += FRAME_S
        actions += fire(call, now)
        actions += call.receive_twilio(media(frames[number]), now)
    raise AssertionError


def fire(call: Call, now: float) -> list:
    """Fire every timer due by `now`, each at its own time."""
    actions = []
    for _ in range(10_000):
        if call.deadline is None or call.deadline > now:
            return actions
        actions += call.receive_timeout(max(call.deadline, call.now))
    raise AssertionError(f"a timer never ends: {call.timers.deadline}")
