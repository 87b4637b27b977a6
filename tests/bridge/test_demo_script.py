"""The demo's two calls: both sides' words belong together, in each language."""

import pytest

from bridge.demo_script import BUSINESSES, CALLER_NAMES, script, steps
from bridge.options import CallOptions, merge
from bridge.sandbox.script import Reply, ToolUse
from bridge.sandbox.timeline import Digit, InterruptAfter, Say, StayOnLine, WaitForAi

LANGUAGES = [business.language for business in BUSINESSES]


def test_businesses_differ_in_all_that_tells_them_apart():
    for name in ("language", "name", "number", "caller"):
        assert len({getattr(one, name) for one in BUSINESSES}) == len(BUSINESSES)
    assert set(CALLER_NAMES) == set(LANGUAGES)


@pytest.mark.parametrize("business", BUSINESSES, ids=LANGUAGES)
def test_settings_of_a_business_are_settings(business):
    assert merge(CallOptions(), business.settings)
    assert business.columns["required_fields"] == ["name"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_model_has_an_answer_for_everything_the_caller_does(language):
    made = script(language)
    said = [step.clip.transcript for step in steps(language) if isinstance(step, Say)]

    assert made.caller_says == said
    assert all(said)
    # One answer more: the digits are no speech, and the tool is followed by words.
    assert len(made.turns) == len(said) + 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_model_writes_the_callers_name_and_ends_the_call_with_words(language):
    made = script(language)
    outputs = [output for turn in made.turns for output in turn]
    tools = [output for output in outputs if isinstance(output, ToolUse)]

    assert [tool.name for tool in tools] == ["leads_upsert", "end_call"]
    assert tools[0].arguments == {"name": CALLER_NAMES[language]}
    assert isinstance(made.turns[-1][0], Reply)
    greeting = next(one for one in BUSINESSES if one.language == language)
    assert made.greeting[0].transcript == greeting.columns["greeting"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_caller_interrupts_presses_a_key_and_leaves_the_end_to_the_bridge(language):
    kinds = [type(step) for step in steps(language)]

    assert kinds.count(InterruptAfter) == 1
    assert kinds[kinds.index(InterruptAfter) + 1] is Say
    assert [step.key for step in steps(language) if isinstance(step, Digit)] == [
        "1",
        "#",
    ]
    assert kinds[1] is WaitForAi
    assert kinds[-1] is StayOnLine
