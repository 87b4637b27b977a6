"""What a session that was not there is told, and what may still change."""

from bridge.call import session_rollover
from bridge.realtime import openai
from tests.bridge import builders
from tests.bridge.builders import answered_call, fire


def told(call):
    return [(entry.name, len(entry.items)) for entry in session_rollover.entries(call)]


def settled(call):
    return [entry.name for entry in session_rollover.entries(call) if entry.is_settled]


def words(call, item_id, text, now):
    call.receive_openai(
        openai.TranscriptDone(response_id="r1", item_id=item_id, transcript=text), now
    )


def test_a_turn_of_the_ai_is_settled_when_it_was_heard():
    call = answered_call()
    call.receive_openai(builders.created(), 1.0)
    call.receive_openai(builders.audio_delta("i1", 500), 1.0)
    call.receive_openai(builders.audio_done("i1"), 1.0)
    words(call, "i1", "Hello.", 1.1)
    assert told(call) == [("i1", 1)]
    assert settled(call) == []
    fire(call, 1.6)
    call.receive_openai(builders.done(), 1.6)
    assert settled(call) == ["i1"]


def test_a_turn_of_the_caller_is_settled_when_its_words_are_known():
    call = answered_call()
    call.receive_openai(openai.Committed(item_id="u1"), 1.0)
    assert (told(call), settled(call)) == ([("u1", 0)], [])
    call.receive_openai(
        openai.TranscriptionCompleted(item_id="u1", transcript="Yes."), 1.5
    )
    assert (told(call), settled(call)) == ([("u1", 1)], ["u1"])


def test_a_turn_without_words_is_nothing_to_tell():
    call = answered_call()
    call.receive_openai(openai.Committed(item_id="u1"), 1.0)
    call.receive_openai(openai.TranscriptionFailed(item_id="u1"), 1.1)
    item = openai.Item(id="i1", type="message")
    call.receive_openai(openai.OutputItemAdded(response_id="r1", item=item), 1.2)
    assert told(call) == [("i1", 0)]
    call.receive_openai(openai.OutputItemDone(response_id="r1", item=item), 1.3)
    assert told(call) == []


def test_a_tool_stands_where_it_was_called_with_its_answer():
    call = answered_call()
    words(call, "i1", "One moment.", 1.0)
    call.receive_openai(builders.tool_item(), 1.1)
    call.receive_tool_result(builders.tool_result(), 1.2)
    words(call, "i2", "It is booked.", 2.0)

    assert told(call) == [("i1", 1), ("t1", 2), ("i2", 1)]
    assert settled(call) == ["i1", "t1", "i2"]
