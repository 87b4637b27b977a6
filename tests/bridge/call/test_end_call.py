"""`end_call` beside other tools: decided when they have answered, in any order."""

import pytest

from bridge.call.plan import HangUp, Leg, OpenModel, Phase, RunTool, ToolResult
from bridge.realtime import openai
from tests.bridge import builders
from tests.bridge.builders import answered_call, created, done, fire, of, tool_item

COMPLETED = '{"reason":"completed"}'
GOODBYE = '{"reason":"goodbye"}'


def wants(call, order=("tool", "end"), reason=COMPLETED):
    """A response that asks for a tool and for the end; the actions of its end."""
    call.ending.missing = ("name",)
    call.receive_openai(created(), 1.0)
    for one in order:
        name = "leads_upsert" if one == "tool" else "end_call"
        arguments = '{"name":"Bo"}' if one == "tool" else reason
        call.receive_openai(tool_item(one, name, arguments), 1.1)
    return call.receive_openai(done(), 1.2)


def answer(call, now, missing=(), *, ok=True):
    result = ToolResult(
        tool_call_id="tool",
        name="leads_upsert",
        arguments='{"name":"Bo"}',
        output='{"missing":[]}',
        ok=ok,
        duration_ms=1.0,
        missing_fields=missing,
    )
    return call.receive_tool_result(result, now)


def outputs(actions):
    return [one.item.call_id for one in of(openai.CreateItem, actions)]


@pytest.mark.parametrize("order", [("tool", "end"), ("end", "tool")])
def test_what_was_missing_may_come_with_the_wish_to_end(order):
    call = answered_call()
    assert not outputs(wants(call, order))
    assert call.phase is Phase.TALKING
    actions = answer(call, 1.5)

    assert outputs(actions) == ["tool", "end"]
    (asked,) = of(openai.ResponseCreate, actions)
    assert "goodbye" in asked.response.instructions
    assert call.phase is Phase.ENDING
    assert [(tool.name, tool.duration_ms) for tool in call.record(2.0).tools] == [
        ("leads_upsert", 1.0),
        ("end_call", 0.0),
    ]


def test_a_tool_that_has_answered_before_the_response_ends_is_known_of():
    call = answered_call()
    call.ending.missing = ("name",)
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item("tool"), 1.1)
    call.receive_openai(tool_item("end", "end_call", COMPLETED), 1.1)
    assert outputs(answer(call, 1.15)) == ["tool"]

    assert outputs(call.receive_openai(done(), 1.2)) == ["end"]
    assert call.ending.reason == "end_call:completed"


def test_what_the_tool_says_is_still_missing_keeps_the_call():
    call = answered_call()
    wants(call)
    actions = answer(call, 1.5, missing=("email",))

    assert outputs(actions) == ["tool", "end"]
    assert len(of(openai.ResponseCreate, actions)) == 1
    assert call.phase is Phase.TALKING


@pytest.mark.parametrize("order", [("tool", "end"), ("end", "tool")])
def test_a_tool_that_fails_beside_the_wish_is_told_to_the_caller_first(order):
    call = answered_call()
    wants(call, order, GOODBYE)
    actions = answer(call, 1.5, ok=False)

    assert "leads_upsert failed" in of(openai.CreateItem, actions)[1].item.output
    assert len(of(openai.ResponseCreate, actions)) == 1
    assert call.phase is Phase.TALKING

    call.receive_openai(created("r2"), 2.0)
    item = tool_item("again", "end_call", GOODBYE).item
    call.receive_openai(openai.OutputItemDone(response_id="r2", item=item), 2.1)
    call.receive_openai(done("r2"), 2.2)
    assert call.ending.reason == "end_call:goodbye"


def test_a_tool_that_fails_before_the_response_with_the_wish_ends_is_told_first():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item("tool"), 1.1)
    answer(call, 1.15, ok=False)
    call.receive_openai(tool_item("end", "end_call", GOODBYE), 1.2)
    call.receive_openai(done(), 1.3)

    assert call.phase is Phase.TALKING


def test_the_goodbye_in_the_same_response_is_heard_and_no_other_asked_for():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(builders.audio_delta("i1", 2_000), 1.0)
    call.receive_openai(builders.audio_done("i1"), 1.0)
    call.receive_openai(tool_item("tool"), 1.1)
    call.receive_openai(tool_item("end", "end_call", GOODBYE), 1.1)
    call.receive_openai(done(), 1.2)
    actions = answer(call, 1.5) + fire(call, 2.9)
    assert not of(openai.ResponseCreate, actions)

    assert of(HangUp, fire(call, 5.0)) == [HangUp("end_call:goodbye", failed=False)]


def test_a_caller_who_presses_a_key_while_the_tool_runs_is_not_hung_up_on():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(builders.audio_delta("i1", 3_000), 1.0)
    call.receive_openai(tool_item("tool"), 1.1)
    call.receive_openai(tool_item("end", "end_call", GOODBYE), 1.1)
    call.receive_openai(done(), 1.2)
    fire(call, 1.5)
    call.receive_twilio(builders.dtmf("1"), 1.5)
    actions = answer(call, 1.6)

    said = of(openai.CreateItem, actions)[1].item.output
    assert "interrupted" in said
    assert call.phase is Phase.TALKING


def test_a_caller_who_speaks_while_the_tool_runs_is_listened_to_first():
    call = answered_call()
    builders.speak(call, [builders.SILENCE] * 49, 0.0)
    wants(call, reason=GOODBYE)
    voice = builders.clip("human-en-reader-1")[20:60]
    _, now = builders.speak(call, voice, 1.2)
    assert call.uplink.is_turn_open
    answer(call, now)

    assert call.phase is Phase.TALKING


def test_a_session_that_is_lost_does_not_lose_the_wish():
    call = answered_call()
    wants(call)
    actions = call.receive_disconnect(Leg.OPENAI, "1006", 1.3)
    assert of(OpenModel, actions)
    answer(call, 1.5)
    assert call.phase is Phase.ENDING

    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item("end", "end_call", GOODBYE), 1.1)
    call.receive_disconnect(Leg.OPENAI, "1006", 1.2)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 1.4)
    actions = call.receive_openai(
        openai.SessionUpdated(session=builders.session()), 1.5
    )
    assert outputs(actions)[-1] == "end"
    assert call.phase is Phase.ENDING


def test_two_wishes_in_one_response_are_both_answered():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    for one in ("a", "b"):
        call.receive_openai(tool_item(one, "end_call", GOODBYE), 1.1)
    actions = call.receive_openai(done(), 1.2)

    assert outputs(actions) == ["a", "b"]
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_other_tools_run_at_once():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item("end", "end_call", GOODBYE), 1.1)

    assert of(RunTool, call.receive_openai(tool_item("tool"), 1.1))


def test_a_wish_that_was_refused_is_not_granted_later_without_another():
    call = answered_call()
    assert outputs(wants(call, ["end"])) == ["end"]
    call.receive_openai(created("r2"), 2.0)
    call.receive_openai(tool_item("tool"), 2.1)
    assert outputs(answer(call, 2.2)) == ["tool"]
    call.receive_openai(done("r2"), 2.3)

    assert call.ending.missing == ()
    assert call.phase is Phase.TALKING
