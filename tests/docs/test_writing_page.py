"""docs/writing.md names the tools, limits and pauses of a chat as the code has them."""

import re

from bridge.messaging import (
    answering,
    contents,
    media,
    media_input,
    model_run,
    turn_steps,
    writing_prompt,
    writing_tools,
)
from bridge.settings.options import CallOptions
from crm import message_turns, two_channels
from crm.conversations import Conversation
from tests.bridge.agent.test_prompt import NOW

from .page import flat, page, rows, section
from .test_tools_page import SALON, specified

PAGE = page("writing.md")
WORDS = flat(PAGE)
WRITER = Conversation(
    id=SALON.id,
    channel="whatsapp",
    writer="+12025550123",
    own_number="+15550000002",
    account_sid="",
    profile_name="",
    lead_id=None,
    created_at=NOW,
    last_inbound_at=NOW,
    held_since=None,
    held_why="",
    stopped_at=None,
)


def tools_of_a_chat():
    return writing_tools.writing_tools(None, SALON, WRITER, "SM1", CallOptions())


def test_the_tools_that_a_call_has_not_stand_there_with_their_arguments():
    found = tools_of_a_chat()
    header = "| tool | arguments | what the writer gets |"
    told = {
        cells[0].strip("`"): re.findall(r"`(\w+)`", cells[1])
        for cells in rows(section(PAGE, "## Tools in a chat"), header)
    }

    assert told == {
        name: list(found[name].arguments.__struct_fields__)
        for name in sorted(writing_tools.REPLIES, key=list(found).index)
    }
    of_calls = set(specified()) - {"end_call", "caller_verify"}
    assert set(found) == of_calls | writing_tools.REPLIES


def test_limits_of_a_turn_are_the_codes():
    told = [
        int(re.match(r"\d+", cells[1])[0])
        for cells in rows(section(PAGE, "## One turn"), "| limit | value | beyond it |")
    ]

    assert told == [
        answering.RESPONSES_MAX,
        turn_steps.TOOLS_MAX,
        int(model_run.REQUEST_WAIT_S),
        model_run.OUTPUT_TOKENS_MAX,
    ]


def test_pauses_and_waits_are_the_codes():
    *most, last = (f"{one:g}" for one in answering.PAUSES_S)
    assert f"after {', '.join(most)} and {last} s" in WORDS
    assert f"(at most {answering.PAUSE_S_MAX:g} s)" in WORDS
    assert f"or {answering.ANSWER_WAIT_S:g} s are over" in WORDS
    assert WORDS.count(f"takes {answering.LATE_AFTER_S:g} s") == 1


def test_what_the_model_is_told_is_bounded_as_the_page_says():
    days = two_channels.CALLS_WITHIN.days
    assert f"The last {writing_prompt.CALLS_MAX} calls of the last {days} days" in WORDS
    hours = two_channels.WRITTEN_WITHIN.total_seconds() / 3600
    assert f"what was written within {hours:g} hours" in WORDS
    assert f"at most {media_input.PICTURES_MAX} in one answer, 5 MiB each" in WORDS
    assert media.PICTURE_BYTES_MAX == 5 * 1024 * 1024
    assert f"(at most {media_input.NOTES_MAX} in one answer)" in WORDS
    within = message_turns.OUTPUTS_WITHIN.total_seconds() / 3600
    assert f"in this chat within {within:g} hours" in WORDS
    assert f"a list of 1 to {contents.ROWS_MAX} times" in WORDS
    buttons = contents.BUTTONS_MAX, contents.BUTTON_CHARS_MAX
    assert "1 to {} buttons of at most {} characters".format(*buttons) in WORDS
