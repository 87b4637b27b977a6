"""What an operator says in a call comes back to the call, or stands in its record."""

import asyncio

import msgspec

from bridge.call.plan import Transcribe
from bridge.sandbox.clips import clip
from bridge.sandbox.responses.server import ResponsesServer
from dsp.g711 import FRAME_BYTES
from tests.bridge import loopback, ws_peer

VOICE = clip("ai-en-greeting").audio


def heard(words):
    """Make a test of a coroutine: a loopback call, and the API that transcribes."""

    def make(story):
        def test():
            async def told():
                async with (
                    ResponsesServer(api_key="sk-test", words=words) as server,
                    loopback.opened(openai_api_url=server.url) as place,
                ):
                    await story(place, server)

            ws_peer.run(told)

        return test

    return make


@heard("Ten percent.")
async def test_an_operators_words_come_back_to_the_call(place, server):
    line = place.new_driver()
    item_id = line.call.call_record.operator_speaks(line.call.now)
    line.receive(lambda now: [Transcribe(item_id, VOICE)])
    assert line.unfinished

    await ws_peer.until(lambda: not line.unfinished)

    [turn] = line.record().turns
    assert (turn.role, turn.text) == ("operator", "Ten percent.")
    assert server.problems == []


@heard("At four.")
async def test_words_that_come_after_the_end_stand_in_the_record(place, server):
    line = place.new_driver()
    item_id = line.call.call_record.operator_speaks(line.call.now)
    line.receive(lambda now: [Transcribe(item_id, VOICE)])
    line.receive(line.call.receive_hangup, "tested")

    await asyncio.wait(line.unfinished)

    assert [turn.text for turn in line.record().turns] == ["At four."]
    assert line.record().usage["transcription.seconds"] >= 1
    assert line.call.counters.after_end == 0


@heard("At four.")
async def test_last_words_are_left_to_the_process_that_has_the_call(place, server):
    line = place.new_driver()
    voice = line.call.operator_voice
    voice.begin()
    voice.hear(VOICE[: len(VOICE) // FRAME_BYTES * FRAME_BYTES], line.call.now)

    line.let_go()

    assert line.record().turns  # what was said last, without its words
    assert not line.unfinished


@loopback.told
async def test_without_a_transcriber_the_words_are_not_known(place):
    place.exchange = msgspec.structs.replace(place.exchange, transcriber=None)
    line = place.new_driver()
    item_id = line.call.call_record.operator_speaks(line.call.now)
    line.receive(lambda now: [Transcribe(item_id, VOICE)])

    await ws_peer.until(lambda: not line.unfinished)

    assert line.call.counters.operator_untranscribed == 1
