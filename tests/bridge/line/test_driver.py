"""A line owns its call: actions in order, one timer, tools aside, one end."""

import asyncio
import gc
import logging
import weakref

import msgspec
import pytest

from bridge.agent.tools import Answer, Tool
from bridge.call import streams
from bridge.call.plan import (
    CloseStandby,
    HangUp,
    Log,
    OpenModel,
    OpenStandby,
    RunTool,
    ToStandby,
    Transcribe,
    UseStandby,
)
from bridge.call.timers import Timer
from bridge.line.driver import CallDriver
from bridge.line.safety_identifier import safety_identifier
from bridge.realtime import openai
from bridge.settings.process import Settings
from tests.bridge import builders, loopback, ws_peer


class Nothing(msgspec.Struct):
    """No arguments."""


async def talking(place, **line):
    """Bring a call to where the greeting has been asked for; return both peers."""
    place.new_driver(**line)
    model = await place.open_model()
    model.send_text(loopback.CREATED)
    assert (await model.event())["type"] == "session.update"
    peer = await place.open_stream()
    model.send_text(loopback.UPDATED)
    assert (await model.event())["type"] == "response.create"
    return peer, model


@loopback.told
async def test_call_runs_over_both_sockets_to_a_record(place):
    peer, model = await talking(place)
    model.send_text(
        b'{"type":"response.output_audio.delta","response_id":"r","item_id":'
        b'"i","content_index":0,"delta":"%s"}' % (b"ICAg" * 160)
    )
    heard = msgspec.json.decode(await loopback.expect(peer))
    assert heard["event"] == "media"
    assert heard["streamSid"] == builders.STREAM_SID

    peer.send_text(loopback.STOP)
    assert (await loopback.expect(model, ws_peer.CLOSE))[:2] == (1000).to_bytes(2)
    await loopback.expect(peer, ws_peer.CLOSE)
    (line,) = place.over
    record = line.record()
    assert (record.end_reason, record.tx_frames) == ("caller_hung_up", 3)
    await peer.close()
    await model.close()


@pytest.mark.parametrize("loop", ws_peer.LOOPS)
def test_timer_fires_at_the_calls_deadline(loop, monkeypatch):
    monkeypatch.setattr(streams, "STREAM_WAIT_S", 0.02)

    async def told():
        async with loopback.opened() as place:
            line = place.new_driver()
            model = await place.open_model()

            await loopback.expect(model, ws_peer.CLOSE)
            assert line.record().end_reason == "no_stream"
            assert line.over_at >= line.call.call_record.opened_at + 0.02
            await model.close()

    ws_peer.run(told, ws_peer.LOOPS[loop])


@loopback.told
async def test_earlier_deadline_takes_the_timers_place(place):
    line = place.new_driver()
    first = line._timer
    line.call.timers.set(Timer.KEYPAD, line.call.now + 0.01)
    line.receive(lambda now: [])

    assert first.cancelled()
    assert line._timer_at == line.call.deadline


@loopback.told
async def test_model_that_cannot_be_reached_fails_the_call(place, caplog):
    place.model.status = b"401 Unauthorized"
    line = place.new_driver()
    line.open_model()
    peer = await place.model.peers.get()
    await ws_peer.until(lambda: line.is_over)

    assert line.record().failed
    assert line.record().end_reason == "model_unreachable"
    assert "model_unreachable: HTTP 401" in caplog.text
    await peer.close()


@loopback.told
async def test_lost_model_is_opened_again_and_told_the_conversation(place):
    peer, model = await talking(place)
    lost = place.line.model_leg
    model.send_text(
        b'{"type":"response.output_audio_transcript.done","response_id":"r",'
        b'"item_id":"i","transcript":"Hello."}'
    )
    await ws_peer.until(lambda: place.line.call.call_record.transcript.turns())
    await model.close()
    again = await place.model.peers.get()
    again.send_text(loopback.CREATED)
    assert (await again.event())["type"] == "session.update"
    again.send_text(loopback.UPDATED)
    event = await again.event()
    assert event["item"]["content"] == [{"type": "output_text", "text": "Hello."}]
    assert (await again.event())["type"] == "response.create"
    assert not place.line.is_over
    assert not lost.is_open
    await peer.close()


@loopback.told
async def test_retired_session_is_closed_and_says_no_more(place):
    peer, model = await talking(place)
    line, old = place.line, place.line.model_leg
    line.receive(lambda now: [OpenModel("old")])
    again = await place.model.peers.get()
    old.receive(loopback.CREATED)
    old.receive_malformed("rubbish")
    assert (await model.recv())[0] == ws_peer.CLOSE
    await model.close()
    await ws_peer.until(lambda: not old.is_open)
    assert line.call.counters.malformed_openai == 0
    assert not line.is_over
    await again.close()
    await peer.close()


@loopback.told
async def test_session_that_opens_after_the_end_is_closed(place):
    line = place.new_driver()
    line.open_model()
    line.receive(line.call.receive_hangup, "early")
    model = await place.model.peers.get()

    await loopback.expect(model, ws_peer.CLOSE)
    await ws_peer.until(lambda: not line.is_connected)
    await model.close()


@loopback.told
async def test_our_own_bug_ends_this_call_only_and_both_sockets(place, caplog):
    peer, model = await talking(place)
    line = place.line

    def broken(now):
        raise KeyError("a bug of ours")

    line.receive(broken)
    line.receive(broken)

    assert (await loopback.expect(peer, ws_peer.CLOSE))[:2] == (1011).to_bytes(2)
    await loopback.expect(model, ws_peer.CLOSE)
    record = line.record()
    assert (record.end_reason, record.failed) == ("internal_error", True)
    assert place.over == [line]
    assert "a bug of ours" in caplog.text
    await model.close()
    await peer.close()
    await ws_peer.until(lambda: not line.is_connected)
    assert place.over == [line]
    assert line.call.counters.reopened_sessions == 0
    assert line.call.deadline is None


@loopback.told
async def test_bug_at_the_hang_up_itself_is_the_end_as_well(place):
    peer, model = await talking(place)
    line = place.line
    line.receive(lambda now: [object(), *line.call.receive_hangup("checked", now)])

    assert line.is_over
    assert place.over == [line]
    assert line.record().end_reason == "internal_error"
    await model.close()
    await peer.close()


def test_tool_runs_aside_and_its_answer_goes_to_the_model():
    async def told():
        allowed = asyncio.Event()

        async def slow(arguments, tool_call_id):
            await allowed.wait()
            return Answer({"found": 3})

        async with loopback.opened() as place:
            tools = {"look": Tool(Nothing, "Look.", slow)}
            peer, model = await talking(place, tools=tools)
            line = place.line
            line.call.tool_calls.begin(
                "call_1", "look", "{}", line.call.now, is_slow=False
            )
            line.receive(lambda now: [RunTool("call_1", "look", "{}")])
            peer.send_text(loopback.media_message())
            await ws_peer.until(lambda: line.call.fast_path.rx_frames == 1)
            allowed.set()

            answer = (await model.event())["item"]
            assert answer == {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": '{"found":3}',
            }
            await peer.close()
            await model.close()

    ws_peer.run(told)


def test_tools_over_the_limit_are_refused_at_once():
    async def told():
        async def never(arguments, tool_call_id):
            await asyncio.Event().wait()

        async with loopback.opened(tool_deadline_ms=1) as place:
            line = place.new_driver(tools={"wait": Tool(Nothing, "Wait.", never)})
            asked = [RunTool(f"call_{n}", "wait", "{}") for n in range(9)]
            line.receive(lambda now: asked)
            await ws_peer.until(lambda: not line.unfinished)

            tools = place.metrics
            assert tools.value("tools", name="wait", outcome="late") == 8
            assert tools.value("tools", name="wait", outcome="refused") == 1

    ws_peer.run(told)


@pytest.mark.parametrize(
    ("allowed", "lines"), [(True, ["plain", "said"]), (False, ["plain"])]
)
def test_speech_is_logged_only_where_it_may_be(allowed, lines, caplog):
    async def told():
        async with loopback.opened(log_transcripts=allowed) as place:
            line = place.new_driver()
            line.receive(
                lambda now: [Log("info", "plain"), Log("info", "said", speech=True)]
            )

    with caplog.at_level(logging.INFO, "kolbridge"):
        ws_peer.run(told)

    logged = [r for r in caplog.records if r.message in ("plain", "said")]
    assert [record.message for record in logged] == lines
    assert {record.call for record in logged} == {builders.CALL_SID}


def test_every_event_is_logged_where_asked_for(caplog):
    async def told():
        async with loopback.opened(log_openai_events=True) as place:
            place.new_driver()
            model = await place.open_model()
            model.send_text(loopback.CREATED)
            await model.event()
            await model.close()

    with caplog.at_level(logging.INFO, "kolbridge"):
        ws_peer.run(told)

    assert "[REALTIME] event session.created" in caplog.messages


@loopback.told
async def test_ended_line_ignores_what_still_comes(place):
    line = place.new_driver()
    line.receive(line.call.receive_hangup, "tested")
    line.receive(line.call.receive_twilio, builders.media(builders.SILENCE))

    assert place.over == [line]
    assert line.call.counters.after_end == 1
    assert line._timer is None


def test_action_of_every_kind_has_somewhere_to_go():
    from bridge.line.driver import _PERFORM

    def kinds(base):
        for kind in base.__subclasses__():
            yield from kinds(kind) if kind.__subclasses__() else [kind]

    wanted = {*kinds(openai.ClientEvent), openai.AppendAudio, Log, RunTool, HangUp}
    wanted |= {OpenModel, OpenStandby, ToStandby, UseStandby, CloseStandby}
    wanted.add(Transcribe)
    assert wanted <= set(_PERFORM)


def test_caller_has_one_name_per_business_that_does_not_tell_his_number():
    plan = builders.plan()
    other = msgspec.structs.replace(plan, business_id="b2")
    settings = Settings(openai_api_key="sk-a")

    name = safety_identifier(settings, plan)
    assert name == safety_identifier(settings, plan)
    assert name != safety_identifier(settings, other)
    assert name != safety_identifier(Settings(openai_api_key="sk-b"), plan)
    # Who may be forged, or cannot be told apart, is shut out for one call alone.
    for worth in ("none", "unverified"):
        claim = msgspec.structs.replace(plan, caller_worth=worth)
        later = msgspec.structs.replace(claim, call_sid="CA2")
        names = {safety_identifier(settings, one) for one in (plan, claim, later)}
        assert len(names) == 3


@loopback.told
async def test_line_has_one_caller(place):
    line: CallDriver = place.new_driver()
    peer = await place.open_stream()
    await ws_peer.until(lambda: line.twilio_leg is not None)
    with pytest.raises(AssertionError):
        line.attach(line.twilio_leg)
    await peer.close()


def test_call_that_is_over_is_freed_without_the_collector():
    async def told():
        async with loopback.opened() as place:
            model, peer = await talking(place)
            line = weakref.ref(place.line)
            call = weakref.ref(place.line.call)
            peer.send_text(loopback.media_message())
            place.line.receive(place.line.call.receive_hangup, "over")
            for one in (peer, model):
                await loopback.expect(one, ws_peer.CLOSE)
                await one.close()
            await ws_peer.until(lambda: not place.line.is_connected)
            place.line = None
            place.over.clear()
            await asyncio.sleep(0)

            assert line() is None
            assert call() is None

    gc.disable()
    try:
        ws_peer.run(told)
    finally:
        gc.enable()
