"""Turns are found in the audio that was written, and in nothing else."""

import asyncio
from typing import Any

import pytest

from bridge.sandbox.clips import clip
from bridge.sandbox.script import Reply, Script
from tests.sandbox.client import SERVER_VAD, run, silence, talking, telephone

SPEECH = clip("caller-en-2").audio
WORDS = clip("caller-en-2").transcript
ANSWER = Reply(clip("ai-en-booked").audio, "Booked.")
SCRIPT = Script(otherwise=[ANSWER], caller_says=[WORDS, None])


def vad(**more: Any) -> dict[str, Any]:
    return telephone(SERVER_VAD | more)


def test_a_turn_ends_and_is_answered_in_documented_order():
    async def story() -> None:
        async with talking(SCRIPT, transcription_ms=5, thinking_ms=50) as client:
            await client.append(SPEECH + silence(600))
            await client.expect("response.created")
            assert client.types()[2:] == [
                "input_audio_buffer.speech_started",
                "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "response.created",
            ]
            ids = {e.get("item_id") or e["item"]["id"] for e in client.events[2:7]}
            assert len(ids) == 1
            item = client.events[5]["item"]
            part = {"type": "input_audio", "transcript": None}
            assert item["content"] == [part]

            done = await client.expect(
                "conversation.item.input_audio_transcription.completed"
            )
            assert done["transcript"] == WORDS
            assert done["item_id"] in ids
            await client.expect("response.done")

    run(story())


def test_a_client_that_stops_sending_never_gets_an_answer():
    async def story() -> None:
        async with talking(SCRIPT) as client:
            await client.append(SPEECH)  # and no silence: its clock stands still
            await client.expect("input_audio_buffer.speech_started")
            await client.send("conversation.item.retrieve", item_id="nobody")
            await client.expect("error")
            assert client.types()[3:] == ["error"]
            await client.append(silence(600))
            await client.expect("response.created")

    run(story())


def test_offsets_count_written_audio_with_padding_and_silence():
    async def story() -> None:
        async with talking(SCRIPT) as client:
            await client.append(silence(1000), 3000)
            await client.append(SPEECH + silence(1000), 77)
            started = await client.expect("input_audio_buffer.speech_started")
            stopped = await client.expect("input_audio_buffer.speech_stopped")
            assert started["audio_start_ms"] == 700
            end_ms = 1000 + len(SPEECH) / 8
            assert end_ms - 400 + 500 <= stopped["audio_end_ms"] <= end_ms + 500
            item = next(iter(client.session.conversation))
            assert item.audio_ms == stopped["audio_end_ms"] - 700
            assert SPEECH[:16_000] in item.parts[0].audio

    run(story())


def test_two_turns_in_one_append_are_two_items():
    async def story() -> None:
        session = vad(create_response=False, prefix_padding_ms=0)
        async with talking(SCRIPT, session=session) as client:
            both = (SPEECH + silence(600)) * 2
            await client.append(both, len(both))
            await client.caught_up()
            first, second = client.session.conversation
            assert first.parts[0].audio in both
            assert SPEECH[800:16_000] in second.parts[0].audio
            assert abs(first.audio_ms - second.audio_ms) <= 100

    run(story())


def test_only_the_session_says_whether_a_turn_is_answered():
    async def story() -> None:
        async with talking(SCRIPT, session=vad(create_response=False)) as client:
            await client.append(SPEECH + silence(600))
            await client.expect("conversation.item.done")
            await client.caught_up()
            assert "response.created" not in client.types()

    run(story())


def test_speech_cancels_a_response_only_if_it_may_interrupt():
    async def story(interrupts: bool) -> list[str]:
        session = vad(interrupt_response=interrupts)
        async with talking(SCRIPT, session=session, speed=1) as client:
            await client.send("response.create")
            await client.expect("response.output_audio.delta")
            await client.append(SPEECH + silence(600))
            await client.expect("input_audio_buffer.committed")
            await client.caught_up()
            assert client.session.unanswered_turns == (0 if interrupts else 1)
            return [kind for kind in client.types() if kind == "response.done"]

    assert asyncio.run(story(True)) == ["response.done"]
    assert asyncio.run(story(False)) == []


def test_an_interruption_is_cancelled_as_turn_detected():
    async def story() -> None:
        session = vad(interrupt_response=True)
        async with talking(SCRIPT, session=session, speed=1) as client:
            await client.send("response.create")
            await client.expect("response.output_audio.delta")
            await client.append(SPEECH)
            await client.expect("input_audio_buffer.speech_started")
            done = (await client.expect("response.done"))["response"]
            assert done["status_details"]["reason"] == "turn_detected"

    run(story())


def test_without_turn_detection_the_client_commits_and_asks():
    async def story() -> None:
        async with talking(SCRIPT, session=telephone(None)) as client:
            await client.append(SPEECH + silence(1000))
            assert await client.caught_up() == []  # and it is cleared
            await client.append(SPEECH)
            await client.send("input_audio_buffer.commit")
            await client.expect("conversation.item.done")
            (item,) = client.session.conversation
            assert item.parts[0].audio == SPEECH
            await client.caught_up()
            assert "response.created" not in client.types()
            await client.send("response.create")
            await client.expect("response.done")

    run(story())


def test_a_commit_inside_an_open_turn_takes_its_place():
    async def story() -> None:
        async with talking(SCRIPT) as client:
            await client.append(SPEECH)
            started = await client.expect("input_audio_buffer.speech_started")
            await client.send("input_audio_buffer.commit")
            committed = await client.expect("input_audio_buffer.committed")
            assert committed["item_id"] == started["item_id"]
            await client.append(silence(1000))
            await client.caught_up()
            assert "input_audio_buffer.speech_stopped" not in client.types()
            assert "response.created" not in client.types()

    run(story())


def test_a_clear_drops_an_open_turn():
    async def story() -> None:
        async with talking(SCRIPT) as client:
            await client.append(SPEECH)
            await client.caught_up()
            await client.append(silence(1000))
            assert await client.caught_up() == []
            assert len(client.session.conversation) == 0

    run(story())


@pytest.mark.parametrize(("eagerness", "ms"), [("high", 400), ("low", 1200)])
def test_semantic_detection_waits_by_its_eagerness(eagerness: str, ms: int):
    async def story() -> None:
        session = telephone({"type": "semantic_vad", "eagerness": eagerness})
        async with talking(SCRIPT, session=session) as client:
            await client.append(SPEECH)
            await client.expect("input_audio_buffer.speech_started")
            await client.append(silence(ms))
            stopped = await client.expect("input_audio_buffer.speech_stopped")
            assert stopped["audio_end_ms"] <= len(SPEECH) / 8 + ms
            await client.expect("response.done")

    run(story())


def test_a_transcription_can_fail():
    async def story() -> None:
        async with talking(SCRIPT) as client:
            for _ in range(2):
                await client.append(SPEECH + silence(600))
                await client.expect("response.done")
            await client.caught_up()
            kind = "conversation.item.input_audio_transcription"
            found = [k for k in client.types() if k.startswith(kind)]
            assert found == [
                f"{kind}.delta",
                f"{kind}.delta",
                f"{kind}.completed",
                f"{kind}.failed",
            ]

    run(story())


def test_without_transcription_there_are_no_words():
    async def story() -> None:
        session = telephone()
        session["audio"]["input"]["transcription"] = None
        async with talking(SCRIPT, session=session) as client:
            await client.append(SPEECH + silence(600))
            await client.expect("response.done")
            await client.caught_up()
            assert not [kind for kind in client.types() if "transcription" in kind]

    run(story())


def test_the_idle_timeout_commits_silence_and_answers():
    async def story() -> None:
        session = vad(idle_timeout_ms=5000)
        async with talking(SCRIPT, session=session, idle_scale=0.002) as client:
            await client.append(silence(200))
            await client.send("response.create")
            await client.expect("response.done")
            fired = await client.expect("input_audio_buffer.timeout_triggered")
            assert (fired["audio_start_ms"], fired["audio_end_ms"]) == (200, 200)
            await client.expect("input_audio_buffer.committed")
            await client.expect("response.created")

    run(story())


def test_speech_disarms_the_idle_timeout():
    async def story() -> None:
        session = vad(idle_timeout_ms=5000)
        async with talking(SCRIPT, session=session, idle_scale=0.02) as client:
            await client.send("response.create")
            await client.expect("response.done")
            await client.append(SPEECH)
            await client.expect("input_audio_buffer.speech_started")
            await asyncio.sleep(0.25)
            await client.caught_up()
            assert "input_audio_buffer.timeout_triggered" not in client.types()

    run(story())
