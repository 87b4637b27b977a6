"""Operator orders that make the AI speak: the caller is answered, and only once."""

import pytest

from bridge.call.machine import Call
from bridge.call.plan import HandBack, Whisper
from bridge.realtime import openai

from ..builders import (
    SILENCE,
    answered_call,
    begun,
    clip,
    created,
    done,
    of,
    speak,
    tool_item,
    tool_result,
)
from .operators import both_speak, taken_over

VOICE = clip("caller-en-1")[:60]


def speaking_caller(order: str, mode: str) -> tuple[Call, list, float]:
    """Return a call whose caller speaks when an operator has the AI speak."""
    frames = [*[SILENCE] * 60, *VOICE]
    if order == "hint":
        call = answered_call(0.0, turn_detection=mode)
        _, now = speak(call, frames, 0.0)
        told = call.receive_operator(Whisper(text="Offer ten.", speaks=True), now)
    else:
        call = taken_over(turn_detection=mode)
        call.receive_openai(done("r1", "cancelled"), 12.1)
        _, now = both_speak(call, frames, 12.1)
        told = call.receive_operator(HandBack(note="Ten percent."), now)
    assert call.uplink.is_turn_open
    assert of(openai.CreateItem, told)
    assert not asked(told)
    return call, told, now


def asked(actions: list) -> list[openai.ResponseCreate]:
    return of(openai.ResponseCreate, actions)


def answer(call: Call, now: float) -> tuple[list, float]:
    """Let an answer run to its end, and the caller be silent after it."""
    actions = begun(call, "r2", now)
    silent, now = speak(call, [SILENCE] * 30, now)
    actions += silent + call.receive_openai(done("r2"), now)
    silent, now = speak(call, [SILENCE] * 100, now)
    return actions + silent, now


@pytest.mark.parametrize("order", ["hint", "hand back"])
def test_where_the_bridge_ends_the_turn_its_answer_is_the_only_one(order):
    call, _, now = speaking_caller(order, "gate")

    actions, now = speak(call, [SILENCE] * 100, now)
    assert len(asked(actions)) == 1
    more, _ = answer(call, now)

    assert not asked(more)


@pytest.mark.parametrize("order", ["hint", "hand back"])
def test_where_the_server_answers_the_turn_its_answer_is_the_only_one(order):
    call, _, now = speaking_caller(order, "server_vad")
    call.receive_openai(openai.SpeechStarted(audio_start_ms=0, item_id="c1"), now)
    actions, now = speak(call, [SILENCE] * 25, now)

    end_ms = call.uplink.appended_ms
    stopped = openai.SpeechStopped(audio_end_ms=end_ms, item_id="c1")
    actions += call.receive_openai(stopped, now)
    committed = openai.Committed(item_id="c1", previous_item_id=None)
    actions += call.receive_openai(committed, now)
    more, _ = answer(call, now + 0.2)

    assert not asked(actions + more)


def test_a_server_that_does_not_answer_the_turn_is_asked_once():
    call, _, now = speaking_caller("hand back", "server_vad")
    call.receive_openai(openai.SpeechStarted(audio_start_ms=0, item_id="c1"), now)
    _, now = speak(call, [SILENCE] * 25, now)
    end_ms = call.uplink.appended_ms
    stopped = openai.SpeechStopped(audio_end_ms=end_ms, item_id="c1")
    call.receive_openai(stopped, now)
    committed = openai.Committed(item_id="c1", previous_item_id=None)
    call.receive_openai(committed, now)

    actions, now = speak(call, [SILENCE] * 100, now)
    more, _ = answer(call, now)

    assert len(asked(actions)) == 1
    assert not asked(more)


def test_a_hint_that_comes_after_the_turn_is_spoken_after_its_answer():
    """The server began the answer before it knew the hint."""
    call = answered_call(0.0, turn_detection="server_vad")
    committed = openai.Committed(item_id="c1", previous_item_id=None)
    call.receive_openai(committed, 5.0)

    actions = call.receive_operator(Whisper(text="Offer ten.", speaks=True), 5.05)
    assert not asked(actions)
    actions, _ = answer(call, 5.1)

    assert len(asked(actions)) == 1


def test_the_answer_to_a_tool_is_the_answer_to_a_hint_as_well():
    """Both wait for the caller to end, and are due in the same moment."""
    call = answered_call(0.0)
    _, now = speak(call, [SILENCE] * 60, 0.0)
    call.receive_openai(created(), now)
    call.receive_openai(tool_item(), now)
    call.receive_openai(done(), now)
    _, now = speak(call, VOICE, now)
    call.receive_tool_result(tool_result(), now)
    call.receive_operator(Whisper(text="Offer ten.", speaks=True), now)

    actions, now = speak(call, [SILENCE] * 100, now)
    more, _ = answer(call, now)

    assert len(asked(actions)) == 1
    assert not asked(more)
