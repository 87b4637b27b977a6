"""What a session is told."""

import msgspec
import pytest

from bridge.call import session_config
from bridge.call.plan import ToolRecord
from bridge.realtime import openai
from tests.bridge import builders


def config(**options):
    update = session_config.configure(builders.plan(**options))
    return msgspec.json.decode(msgspec.json.encode(update))["session"]


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("server_vad", "server_vad"),
        ("semantic_vad", "semantic_vad"),
        ("gate", None),
    ],
)
def test_the_server_never_interrupts_by_itself(mode, wanted):
    detection = config(turn_detection=mode)["audio"]["input"]["turn_detection"]
    if wanted is None:
        assert detection is None
    else:
        assert detection["type"] == wanted
        assert detection["interrupt_response"] is False
        assert detection["create_response"] is True


def test_a_custom_voice_is_named_by_its_id():
    assert config()["audio"]["output"]["voice"] == "shimmer"
    custom = config(openai_voice="voice_abc")["audio"]["output"]["voice"]
    assert custom == {"id": "voice_abc"}


def test_pcm_has_a_rate_and_mu_law_has_none():
    assert config()["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    pcm = config(openai_output_format="audio/pcm")["audio"]["output"]["format"]
    assert pcm == {"type": "audio/pcm", "rate": 24_000}


def test_a_session_that_echoes_another_format_is_wrong():
    assert session_config.wrong_format(builders.session(), builders.plan()) is None
    wrong = session_config.wrong_format(builders.session("audio/pcm"), builders.plan())
    assert wrong == "expected output format audio/pcmu, got audio/pcm"
    assert session_config.wrong_format(openai.Session(), builders.plan()) is None


@pytest.mark.parametrize(
    "params",
    [
        session_config.first_words(builders.plan("Hello.")),
        session_config.still_there(),
        session_config.closing_soon(),
        session_config.filler(),
        session_config.goodbye("silence"),
    ],
)
def test_our_own_sentences_call_no_tools(params):
    assert params.tool_choice == "none"
    assert params.instructions


def test_each_role_is_told_in_its_own_form():
    assert session_config.said("ai", "Hi.").item == openai.MessageItem(
        role="assistant", content=(openai.OutputText("Hi."),)
    )
    assert session_config.said("caller", "Hello.").item == openai.MessageItem(
        role="user", content=(openai.InputText("Hello."),)
    )
    assert session_config.said("keypad", "4 2").item == session_config.keypad("42").item


def test_a_tool_of_an_earlier_session_is_told_with_its_answer():
    tool = ToolRecord(
        tool_call_id="t1",
        name="leads_upsert",
        arguments="{}",
        result='{"ok":true}',
        ok=True,
        duration_ms=1.0,
        at_s=1.0,
    )
    asked, answered = (
        msgspec.to_builtins(one.item) for one in session_config.tool_pair(tool)
    )

    assert asked == {
        "type": "function_call",
        "call_id": "t1",
        "name": "leads_upsert",
        "arguments": "{}",
    }
    assert answered == {
        "type": "function_call_output",
        "call_id": "t1",
        "output": '{"ok":true}',
    }


def test_a_loop_is_corrected_by_a_system_item():
    assert session_config.loop_correction().item.role == "system"
