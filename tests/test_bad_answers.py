"""A line between a caller and the strict sandbox's model, which answers oddly at first.

Whatever it does, the caller hears something: a key is pressed, and sound comes back.
"""

import msgspec
import pytest

from bridge.sandbox.realtime import CLOSED, RealtimeServer
from bridge.sandbox.script import (
    ErrorOnly,
    Fail,
    Faults,
    Incomplete,
    Reply,
    Script,
    ToolUse,
)
from tests.bridge import loopback, ws_peer

HELLO = [Reply(b"\x58" * 800, "Hello.")]
OFFER = [Reply(b"\x58" * 1_600, "On Tuesday.")]
TEXT = [Reply(b"", "On Tuesday.", is_text=True)]
SILENT = [Reply(b"\xff" * 16_000, "On Tuesday.")]
FAIL = [Fail("server_error")]
DIGIT = b'{"event":"dtmf","streamSid":"x","dtmf":{"track":"inbound","digit":"#"}}'


async def heard_after_a_key(scripts, handshakes=()):
    """Press a key once greeted; return the call and the model when sound has come."""
    model = RealtimeServer(
        scripts, handshakes=handshakes, api_key="sk-test", speed=100.0, thinking_ms=1
    )
    async with model, loopback.opened() as place:
        settings = msgspec.structs.replace(
            place.settings, openai_realtime_url=model.url
        )
        place.exchange = msgspec.structs.replace(place.exchange, settings=settings)
        line = place.new_driver()
        line.open_model()
        peer = await place.open_stream()
        call = line.call
        await ws_peer.until(lambda: call.playout.frames_sent >= 5)
        await ws_peer.until(lambda: not call.responses.is_busy)
        sent = call.playout.frames_sent
        peer.send_text(DIGIT)
        await ws_peer.until(lambda: call.playout.frames_sent >= sent + 10)
        await ws_peer.until(lambda: not call.responses.is_busy)
        line.receive(call.receive_hangup, "test over")
        await peer.close()
        await ws_peer.until(lambda: not line.is_connected)
    assert not any(session.violations for session in model.sessions)
    return call, model


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        ([], "empty"),
        (TEXT, "text"),
        ([Incomplete("content_filter")], "filtered"),
        ([Incomplete("max_output_tokens")], "tokens"),
        ([ToolUse(None)], "nameless"),
        (SILENT, "silent"),
    ],
)
def test_an_answer_without_sound_is_followed_by_one(odd, kind):
    async def told():
        script = Script((odd, OFFER), greeting=HELLO)
        call, model = await heard_after_a_key(script)
        assert getattr(call.counters, f"mute_{kind}") == 1
        assert len(model.sessions) == 1

    ws_peer.run(told)


@pytest.mark.parametrize("odd", [[], TEXT, [Incomplete()]])
def test_a_greeting_without_sound_is_followed_by_one(odd):
    async def told():
        greetings = iter((odd, HELLO))
        script = Script((OFFER,), greeting=lambda session: next(greetings), aside=HELLO)
        call, _ = await heard_after_a_key(script)
        assert call.recovery.failures == 0

    ws_peer.run(told)


def test_two_answers_without_sound_are_followed_by_our_words():
    async def told():
        script = Script(([], TEXT), greeting=HELLO, aside=OFFER)
        call, model = await heard_after_a_key(script)
        asked = model.sessions[0].events("response.create")[-1]["response"]
        assert "say it again" in asked["instructions"]
        assert (call.counters.mute_empty, call.counters.mute_text) == (1, 1)

    ws_peer.run(told)


def test_two_failed_answers_lead_to_a_session_that_answers():
    async def told():
        broken = Script((FAIL, FAIL), greeting=HELLO, otherwise=FAIL, aside=FAIL)
        call, model = await heard_after_a_key([broken, Script(otherwise=OFFER)])
        assert len(model.sessions) == 2
        assert call.counters.failed_answers == 2

    ws_peer.run(told)


def test_an_error_alone_is_followed_by_an_answer():
    async def told():
        script = Script(([ErrorOnly()], OFFER), greeting=HELLO)
        call, _ = await heard_after_a_key(script)
        assert call.counters.failed_answers == 1

    ws_peer.run(told)


def test_answers_that_are_never_announced_are_heard():
    async def told():
        faults = Faults(no_response_created=True)
        script = Script(([], OFFER), greeting=HELLO, faults=faults)
        call, _ = await heard_after_a_key(script)
        assert call.counters.mute_empty == 1

    ws_peer.run(told)


@pytest.mark.parametrize("handshakes", [[503], [CLOSED], [429, CLOSED]])
def test_a_session_that_is_refused_at_first_is_had(handshakes):
    async def told():
        script = Script((OFFER,), greeting=HELLO)
        call, model = await heard_after_a_key(script, handshakes)
        assert call.counters.retried_handshakes == len(handshakes)
        assert model.refused_handshakes == handshakes

    ws_peer.run(told)
