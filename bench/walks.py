"""The three walks of a call, bytes in to bytes out, without sockets.

Counts are gates and exact: one crossing into the gate per frame, one event out for each
frame of speech. Times are trends. The one ratio that is judged is the uplink walk's to
the naive relay's, in the same run.
"""

from base64 import b64encode
from statistics import median
from time import perf_counter_ns

from bench import budget, results
from bench.kernels import frames_of
from bridge.call.machine import Call
from bridge.call.plan import CallPlan
from bridge.realtime import openai
from bridge.settings.options import CallOptions
from bridge.telephony import twilio
from bridge.wire.audio import media_onto
from dsp.g711 import FRAME_BYTES

# The whole walk runs the gate and keeps a ledger; the naive relay only relays.
NAIVE_RATIO_MAX = 2.0
_START = twilio.Start(
    stream_sid="MZ" + "0" * 32,
    start=twilio.StartBody(
        stream_sid="MZ" + "0" * 32,
        account_sid="AC" + "0" * 32,
        call_sid="CA" + "0" * 32,
        media_format=twilio.MediaFormat("audio/x-mulaw", 8000, 1),
    ),
)
READY = (
    b'{"type":"session.updated","session":{"audio":{"input":{"format":{"type":'
    b'"audio/pcmu"}},"output":{"format":{"type":"audio/pcmu"}}}}}'
)


def answered(options: CallOptions = CallOptions()) -> Call:  # noqa: B008 (frozen)
    """Return a call that talks."""
    plan = CallPlan(
        call_sid="CA" + "0" * 32,
        business_id="b",
        business_name="b",
        from_number="+15550000001",
        to_number="+15550000002",
        language="en",
        instructions="",
        greeting="",
        options=options,
    )
    call = Call(plan, 0.0)
    call.receive_twilio(_START, 0.0)
    ready = openai.decode(READY)
    assert ready is not None
    call.receive_openai(ready, 0.0)
    return call


def media(frame: bytes, number: int) -> bytes:
    return (
        b'{"event":"media","sequenceNumber":"%d","streamSid":"MZ%s","media":{"track":'
        b'"inbound","chunk":"%d","timestamp":"%d","payload":"%s"}}'
        % (number, b"0" * 32, number, number * 20, b64encode(frame))
    )


def uplink(call: Call, messages: list[bytes]) -> int:
    """Send the caller's messages through; return how many events came out."""
    buffer = bytearray()
    out = 0
    for number, data in enumerate(messages):
        message = twilio.decode(data)
        assert message is not None
        for action in call.receive_twilio(message, number * 0.02):
            if isinstance(action, openai.AppendAudio):
                openai.encode_into(action, buffer)
                out += 1
    return out


def downlink(call: Call, events: list[bytes]) -> int:
    """Send the model's deltas through; return how many frames came out."""
    burst, begins = bytearray(), twilio.media_begins(call.streams.sid)
    out, now = 0, 0.0
    for data in events:
        event = openai.decode(data)
        assert event is not None
        actions = call.receive_openai(event, now)
        while call.deadline is not None and call.deadline < now + 0.2:
            actions += call.receive_timeout(max(now, call.deadline))
            now = max(now, call.now)
        now += 0.2
        for action in actions:
            if isinstance(action, twilio.OutboundAudio):
                media_onto(burst, begins, action.frames)
                out += len(action.frames) // FRAME_BYTES
        burst.clear()
    return out


def deltas(count: int) -> list[bytes]:
    """Return a reply of so many deltas, ten frames each."""
    audio = b64encode(b"".join(frames_of("human-en-reader-1")[:10]))
    return [
        b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i",'
        b'"output_index":0,"content_index":0,"delta":"%s"}' % audio
    ] * count


def measure(repeats: int = 9) -> dict[str, float]:
    """Return the median us a frame of each walk, and the exact counts."""
    from bench import naive

    speech = frames_of("human-en-reader-1")
    messages = [media(frame, number) for number, frame in enumerate(speech)]
    texts = [message.decode() for message in messages]
    events_in = deltas(40)
    times: dict[str, list[float]] = {"uplink": [], "naive": [], "downlink": []}
    crossings = events = 0
    for _ in range(repeats):
        call = answered()
        began = perf_counter_ns()
        events = uplink(call, messages)
        times["uplink"].append((perf_counter_ns() - began) / len(messages) / 1e3)
        crossings = call.uplink.gate.frames
        began = perf_counter_ns()
        for text in texts:
            naive.relay(text)
        times["naive"].append((perf_counter_ns() - began) / len(messages) / 1e3)
        call = answered()
        began = perf_counter_ns()
        frames = downlink(call, events_in)
        times["downlink"].append((perf_counter_ns() - began) / max(frames, 1) / 1e3)
    results = {f"{name}_us": round(median(spent), 2) for name, spent in times.items()}
    # The fastest rounds, which other processes disturbed least.
    results["uplink_to_naive"] = round(min(times["uplink"]) / min(times["naive"]), 2)
    results["crossings_a_frame"] = crossings / len(messages)
    results["events_out"] = events
    return results


def judge(results: dict[str, float]) -> list[str]:
    """Return a line for each budget that is broken."""
    broken = []
    if results["crossings_a_frame"] != 1:
        broken.append(
            f"uplink: {results['crossings_a_frame']} crossings a frame, not 1"
        )
    if results["uplink_to_naive"] > NAIVE_RATIO_MAX:
        broken.append(
            f"uplink: {results['uplink_to_naive']} x the naive relay, "
            f"allowed {NAIVE_RATIO_MAX}"
        )
    return broken


def main(argv: list[str]) -> int:
    """Print the walks and write JSON; 1 if one is over its budget."""
    about = results.machine()
    found = measure()
    print("\n".join(f"{name:20}{value:10.2f}" for name, value in found.items()))
    results.save("walks", found, about)
    return budget.report(judge(found))
