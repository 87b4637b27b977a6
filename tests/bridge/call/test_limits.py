"""Every buffer of a call has a limit, which counts what it refuses and says so once."""

import pytest

from bridge.call import limits
from bridge.call.call_record import LATENCIES_MAX, USAGE_KINDS_MAX
from bridge.call.keypad import DIGITS_MAX
from bridge.call.plan import ERROR_CHARS_MAX, RunTool
from bridge.call.tool_calls import ARGUMENT_CHARS_MAX, TOOLS_MAX
from bridge.call.transcript import TURN_CHARS_MAX, TURNS_MAX
from bridge.media.playout import PARTS_MAX
from bridge.media.untranscribed import SPANS_MAX
from bridge.realtime import openai
from bridge.telemetry.metrics import Metrics
from tests.bridge import builders
from tests.bridge.builders import answered_call, audio_delta, created, done, of, texts


def spoken(text, item_id="i1", part=0):
    return openai.TranscriptDelta("r1", item_id, text, part)


def long_text(call):
    for _ in range(3):
        call.receive_openai(spoken("x" * (TURN_CHARS_MAX // 2)), 1.0)
    assert len(call.call_record.transcript.turns()[0].text) == TURN_CHARS_MAX
    return "turn_chars", TURN_CHARS_MAX // 2


def many_turns(call):
    for number in range(TURNS_MAX + 3):
        call.receive_openai(spoken("Yes.", f"i{number}"), 1.0)
    turns = call.call_record.transcript.turns()
    assert (len(turns), turns[0].item_id) == (TURNS_MAX, "i3")
    return "turns", 3


def many_tools(call):
    ran = []
    for number in range(TOOLS_MAX + 2):
        actions = call.receive_openai(builders.tool_item(f"t{number}"), 1.0)
        call.receive_tool_result(builders.tool_result(f"t{number}"), 1.0)
        ran += of(RunTool, actions)
    assert len(ran) == len(call.call_record.tools) == TOOLS_MAX
    (told,) = of(openai.CreateItem, actions)
    assert "at most 200 tool calls" in told.item.output
    assert not call.tool_calls.open
    return "tool_calls", 2


def long_arguments(call):
    actions = call.receive_openai(
        builders.tool_item(arguments="x" * (ARGUMENT_CHARS_MAX + 1)), 1.0
    )
    assert of(RunTool, actions) == []
    (told,) = of(openai.CreateItem, actions)
    assert (told.item.call_id, call.call_record.tools) == ("t1", [])
    # The model is answered, as by a tool.
    assert call.tool_calls.is_answer_due or of(openai.ResponseCreate, actions)
    return "tool_calls", 1


def many_parts(call):
    call.receive_openai(audio_delta("first", 2_000), 1.0)
    for number in range(PARTS_MAX + 1):
        call.receive_openai(audio_delta(f"i{number}", 20), 1.0)
    return "playout_parts", 2


def many_kinds(call):
    usage = {f"k{number}": 1 for number in range(USAGE_KINDS_MAX + 4)}
    call.receive_openai(done("r0", usage=usage), 1.0)
    assert len(call.call_record.usage) == USAGE_KINDS_MAX
    return "usage_kinds", 4


def many_latencies(call):
    for _ in range(LATENCIES_MAX + 5):
        call.call_record.barged_in(100.0)
    assert len(call.call_record.barge_in_ms) == LATENCIES_MAX
    return "latencies", 5


def many_digits(call):
    for at in range(DIGITS_MAX + 1):
        call.receive_twilio(builders.dtmf("4"), 1.0 + at * 0.1)
    return "digits", 1


def many_untranscribed(call):
    for number in range(SPANS_MAX + 2):
        call.receive_openai(openai.Committed(item_id=f"u{number}"), 1.0)
    return "untranscribed_turns", 2


def many_unconfirmed(call):
    for _ in range(SPANS_MAX + 3):
        call.untranscribed.ask(call.uplink)
    return "untranscribed_turns", 3


@pytest.mark.parametrize(
    "exceed",
    [
        many_untranscribed,
        many_unconfirmed,
        long_text,
        many_turns,
        many_tools,
        long_arguments,
        many_parts,
        many_kinds,
        many_latencies,
        many_digits,
    ],
)
def test_what_is_over_a_limit_is_counted_and_told_once(exceed):
    call = answered_call()
    call.receive_openai(created("r1"), 1.0)
    name, refused = exceed(call)
    now = call.now
    assert limits.OF_CALL[name](call) == refused

    lines = texts(call.receive_openai(done("r1"), now))
    call.receive_openai(created("r2"), now)
    lines += texts(call.receive_openai(done("r2"), now))
    lines += texts(call.receive_hangup("tested", now))
    told = f"over the limit of {name}: counted from here on"
    # What came with a response that was done is told with that one.
    assert lines.count(told) == (0 if exceed is many_kinds else 1)
    assert name in call.call_record.limits_told

    metrics = Metrics()
    metrics.add_call(call, call.record(now))
    assert metrics.value("dropped", limit=name) == refused


def test_a_call_in_good_order_tells_of_no_limit():
    call = answered_call()
    assert list(limits.lines(call)) == []
    assert not any(read(call) for read in limits.OF_CALL.values())


def test_usage_is_read_so_deep_and_no_deeper():
    call = answered_call()
    usage = {"total_tokens": 1}
    for _ in range(300):
        usage = {"details": usage, "input_tokens": 1}
    call.receive_openai(done("r0", usage=usage), 1.0)

    assert len(call.call_record.usage) == 5


def test_texts_of_the_servers_are_cut_in_the_log():
    call = answered_call()
    (line,) = texts(
        call.receive_openai(builders.error("odd", message="x" * 9_000), 1.0)
    )
    assert len(line) < ERROR_CHARS_MAX + 40

    lines = texts(
        call.receive_openai(builders.error("model_not_found", message="x" * 9_000), 1.0)
    )
    assert max(map(len, lines)) < ERROR_CHARS_MAX + 60
