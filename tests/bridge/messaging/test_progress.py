"""How far a turn has come, read from what was stored."""

import msgspec

from bridge.messaging.progress import Progress
from bridge.messaging.writing_tools import Reply
from crm.message_turns import ToolRun
from tests.bridge.messaging.test_history import THOUGHT, asks, turn


def call(name, number):
    return {
        "type": "function_call",
        "call_id": f"call_{number}",
        "name": name,
        "arguments": "{}",
    }


def says(words, kind="text"):
    return {"type": "message", "role": "assistant", "content": [{kind: words}]}


def sent(text, **more):
    return msgspec.json.encode({"sent": True, "text": text, **more}).decode()


def progress(*made, **outputs):
    runs = [ToolRun(f"SM1:{key[1:]}", "", "", text) for key, text in outputs.items()]
    return Progress(turn(asks(1, "Hi"), made=made), runs)


def test_a_turn_without_items_is_to_be_asked():
    one = progress()

    assert (one.replies(), one.open_calls, one.answers) == ([], [], 0)


def test_words_are_the_reply_and_blanks_are_none():
    assert progress(THOUGHT, says("Hello.")).replies() == [Reply("Hello.")]
    assert progress(says("I will not", "refusal")).replies() == [Reply("I will not")]
    assert progress(THOUGHT, says(" \n")).replies() == []


def test_call_without_a_result_is_open_under_its_key():
    one = progress(call("find", 1), call("book", 2), i0="{}")

    assert [(each.key, each.name) for each in one.open_calls] == [("SM1:1", "book")]
    assert one.outputs == {"call_1": "{}"}
    assert one.replies() == []
    one.note(one.open_calls[0], "{}")
    assert (one.open_calls, one.replies()) == ([], [])


def test_keys_count_the_calls_of_the_whole_turn():
    one = progress(call("find", 1), call("find", 2))
    one.add([THOUGHT, call("book", 3)], {"input_tokens": 5})
    one.add([], {"input_tokens": 2})

    assert [each.key for each in one.open_calls] == ["SM1:0", "SM1:1", "SM1:2"]
    assert one.usage == {"input_tokens": 7}
    assert one.answers == 2


def test_tool_that_writes_is_the_reply():
    times = {"kind": "list"}
    made = call("find", 1), call("send_times", 2)
    one = progress(*made, i0="{}", i1=sent("Which?", content=times))

    assert one.replies() == [Reply("Which?", times)]
    refused = progress(*made, i0="{}", i1='{"error":"none of these"}')
    assert refused.replies() == []


def test_words_beside_it_go_first_but_not_twice():
    made = says("We are open."), call("send_times", 1)

    assert progress(*made, i0=sent("Which?")).replies() == [
        Reply("We are open."),
        Reply("Which?"),
    ]
    assert progress(*made, i0=sent("We are open.")).replies() == [Reply("We are open.")]


def test_what_is_run_before_a_call_is_of_its_response_and_writes_nothing():
    two = call("book", 2), call("send_times", 3), call("move", 4)
    one = progress(call("find", 1), says("Well."), *two, {"asked": ["x"]}, call("a", 5))

    for number, names in ((1, []), (2, []), (3, ["book", "move"]), (4, ["book"])):
        before = one.before(one.calls[f"call_{number}"])
        assert [each.name for each in before] == names
    assert one.before(one.calls["call_5"]) == []
    book = one.calls["call_2"]
    assert not one.has_failed(book)
    one.note(book, "{}", ok=False)
    assert one.has_failed(book)


def test_words_beside_another_tool_are_not_the_end():
    assert progress(says("One moment."), call("find", 1), i0="{}").replies() == []


def test_only_what_follows_the_last_question_counts():
    made = [says("Hello."), {"asked": ["x"]}]

    assert progress(*made).replies() == []
    assert progress(*made, says("And yes.")).replies() == [Reply("And yes.")]
    assert progress(*made, says("And yes.")).answers == 2


def test_person_is_asked_for_with_a_reason():
    one = progress(call("ask_for_person", 1), i0=sent("Soon.", hold_why="angry"))

    assert one.replies() == [Reply("Soon.", None, "angry")]
