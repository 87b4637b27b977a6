"""The stream of a call, against the smallest bridge there is.

These run in real time, as a telephone does; each lasts well under a second.
"""

import binascii
from itertools import pairwise

import pytest
from aiohttp import web

from bridge.sandbox.mulaw import SILENCE
from bridge.sandbox.phone_stream import Line
from bridge.sandbox.timeline import Digit, HangUp, Raw, Say, StayOnLine, Wait
from tests.sandbox.tiny_bridge import TONE, VOICE, TinyBridge, listen, place, run, until


def test_messages_come_in_order_with_their_numbers_as_strings():
    async def story() -> None:
        async with TinyBridge() as bridge:
            result = await place(bridge, Say(VOICE), Digit("5", ms=20), HangUp())
            kinds = [message["event"] for message in bridge.messages]
            assert kinds == [
                "connected",
                "start",
                *["media"] * 6,
                "dtmf",
                "stop",
            ]
            numbers = [message["sequenceNumber"] for message in bridge.messages[1:]]
            assert numbers == [str(n + 1) for n in range(len(numbers))]
            start = bridge.messages[1]["start"]
            assert start["callSid"] == result.call_sid
            assert start["customParameters"] == {"token": "one-use"}
            assert start["mediaFormat"]["sampleRate"] == 8000
            media = [m["media"] for m in bridge.messages if m["event"] == "media"]
            assert [m["chunk"] for m in media] == [str(n + 1) for n in range(6)]
            assert [m["timestamp"] for m in media] == [str(20 * n) for n in range(6)]
            said = b"".join(binascii.a2b_base64(m["payload"]) for m in media)
            assert said == VOICE + SILENCE * 160 == result.near
            assert result.frames_sent == 6
            assert result.ended_by == "caller"

    run(story())


def test_frames_keep_the_clock_of_the_stream():
    async def talk(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
        await listen(bridge, socket)

    async def story() -> None:
        async with TinyBridge(talk) as bridge:
            result = await place(bridge, Wait(400), HangUp())
            # 20 frames in 420 ms: no frame of the clock is lost or added by lateness.
            assert result.frames_sent == 20
            assert result.duration_ms >= 400

    run(story())


def test_what_he_hears_is_exact_to_the_sample_and_marks_come_back():
    async def talk(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
        await until(bridge, socket, "start")
        await bridge.say(socket, TONE)
        await bridge.send(socket, "mark", mark={"name": "a:1"})
        await bridge.say(socket, TONE)
        await bridge.send(socket, "mark", mark={"name": "a:2"})
        for _ in range(2):
            await until(bridge, socket, "mark")

    async def story() -> None:
        async with TinyBridge(talk) as bridge:
            result = await place(bridge, StayOnLine())
            assert result.far.strip(SILENCE) == TONE * 2
            assert [(m.name, m.is_flushed) for m in result.marks] == [
                ("a:1", False),
                ("a:2", False),
            ]
            first, second = (mark.at_ms for mark in result.marks)
            assert second - first == 100
            assert first == result.media[0].at_ms + 100
            assert result.ended_by == "bridge"
            assert result.close_code == 1000
            assert "stop" not in [m["event"] for m in bridge.messages]
            assert result.warnings == []

    run(story())


def test_a_clear_silences_him_and_flushes_the_marks():
    async def talk(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
        await until(bridge, socket, "start")
        for name in ("a", "b"):
            await bridge.say(socket, TONE * 10)
            await bridge.send(socket, "mark", mark={"name": name})
        await until(bridge, socket, "dtmf")
        await bridge.send(socket, "clear")
        for _ in range(2):
            await until(bridge, socket, "mark")

    async def story() -> None:
        async with TinyBridge(talk) as bridge:
            result = await place(bridge, Wait(100), Digit("1"), StayOnLine())
            assert [mark.is_flushed for mark in result.marks] == [True, True]
            (at_ms,) = result.clears_ms
            assert result.far[round(at_ms * 8) :].strip(SILENCE) == b""
            assert result.times_ms("clear") == [at_ms]

    run(story())


BAD = [
    ('{"event":"media"', "31951 invalid message: not JSON"),
    ('["media"]', "31951"),
    ("[" * 100_000, "31951 invalid message: not JSON"),
    ('{"event":"mark"}', "31951"),
    ('{"event":"stop","streamSid":"$"}', "31951"),
    ('{"event":"clear","streamSid":"$","x":1}', "Unknown parameter: 'x'"),
    ('{"event":"clear","stream_sid":"$"}', "'streamSid'"),
    ('{"event":"clear","streamSid":"MZ1"}', "wrong streamSid 'MZ1'"),
    ('{"event":"media","streamSid":"$","media":{"payload":""}}', "payload is empty"),
    ('{"event":"media","streamSid":"$","media":{"payload":"*"}}', "not base64"),
    (
        '{"event":"media","streamSid":"$","media":{"payload":"/w==","track":"x"}}',
        "Unknown parameter: 'media.track'",
    ),
    ('{"event":"mark","streamSid":"$","mark":{"name":""}}', "31951"),
]


def test_whatever_twilio_would_warn_of_is_a_warning():
    async def talk(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
        await until(bridge, socket, "start")
        await socket.send_bytes(b"\x00")
        for frame, _ in BAD:
            await socket.send_str(frame.replace("$", bridge.stream_sid))
        await bridge.send(socket, "mark", mark={"name": "still alive"})
        await until(bridge, socket, "mark")

    async def story() -> None:
        async with TinyBridge(talk) as bridge:
            result = await place(bridge, StayOnLine())
            assert result.warnings[0].startswith("31950")
            expected = [text for _, text in BAD]
            for warning, text in zip(result.warnings[1:], expected, strict=True):
                assert text in warning
            assert [mark.name for mark in result.marks] == ["still alive"]

    run(story())


# --- a bad line and a bad caller ---


def test_a_bad_line_loses_and_delays_frames_by_its_seed():
    async def story() -> None:
        async with TinyBridge() as bridge:
            line = Line(loss=0.3, jitter_ms=15, seed=4)
            result = await place(bridge, Wait(600), HangUp(), line=line)
            assert result.frames_lost > 0
            assert result.frames_sent + result.frames_lost == 30
            chunks = [int(m["media"]["chunk"]) for m in bridge.messages if "media" in m]
            assert len(chunks) == result.frames_sent
            assert all(one < other for one, other in pairwise(chunks))
            numbers = [int(m["sequenceNumber"]) for m in bridge.messages[1:]]
            assert numbers == list(range(1, len(numbers) + 1))

    run(story())


def test_bad_input_is_sent_as_it_is_also_after_stop():
    late = Raw(lambda sid: f'{{"event":"media","streamSid":"{sid}"}}')

    async def talk(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
        async for frame in socket:
            bridge.frames.append(frame.data)

    async def story() -> None:
        async with TinyBridge(talk) as bridge:
            result = await place(bridge, Wait(20), Raw("{"), Raw(b"x"), HangUp(), late)
            assert "{" in bridge.frames
            assert b"x" in bridge.frames
            assert '"stop"' in bridge.frames[-2]
            assert result.stream_sid in bridge.frames[-1]

    run(story())


def test_a_stream_has_a_time_limit():
    async def story() -> None:
        async with TinyBridge() as bridge:
            result = await place(bridge, StayOnLine(), max_s=0.1)
            assert result.ended_by == "nobody"
            assert bridge.messages[-1]["event"] == "stop"

    run(story())


def test_a_cut_connection_ends_the_call_by_the_network():
    async def talk(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
        await until(bridge, socket, "media")
        bridge.cut()

    async def story() -> None:
        async with TinyBridge(talk) as bridge:
            result = await place(bridge, StayOnLine())
            assert result.ended_by == "network"
            assert result.close_code == 1006
            assert result.problems == ["31903 connection lost"]
            assert result.spoken == ["Goodbye."]

    run(story())


@pytest.mark.parametrize("kind", ["says", "hangs up", "ai starts", "clear"])
def test_an_observer_sees_the_call_while_it_runs(kind: str):
    async def talk(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
        await until(bridge, socket, "start")
        await bridge.say(socket, TONE)
        await until(bridge, socket, "media")
        await bridge.send(socket, "clear")
        await listen(bridge, socket)

    async def story() -> None:
        seen = []
        async with TinyBridge(talk) as bridge:
            result = await place(bridge, Say(VOICE), HangUp(), observe=seen.append)
            assert kind in [happening.kind for happening in seen]
            assert seen == result.happenings

    run(story())
