"""How a message goes out: as text, with choices, as a template, later or not at all."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.sandbox.messaging.faults import (
    LOST_ANSWER,
    TOO_MANY,
    UNAVAILABLE,
    Fault,
)
from bridge.settings.message_options import MessageOptions
from crm import conversations, message_turns
from crm.messages import Draft
from tests.bridge.messaging.outbox_desk import run, told, with_options

AROUND_NOW = "-".join(
    f"{datetime.now(UTC) + timedelta(hours=hours):%H:%M}" for hours in (-6, 6)
)


@told
async def test_reply_outside_of_the_window_is_not_sent(desk):
    await desk.add("late")
    await desk.write_last(hours=24)

    assert await desk.send() is None
    assert (await desk.statuses(), desk.sent) == (["dropped"], [])
    assert await desk.value("select error_text from messages where body = 'late'") == (
        "window"
    )


@told
async def test_reminder_outside_of_the_window_is_its_template(desk):
    sid = desk.api.template("Tomorrow at {{1}}, {{2}}", {"1": "9", "2": "Dana"})
    content = {"kind": "template", "sid": sid, "variables": {"1": "ten", "2": ""}}
    await desk.add("Tomorrow at ten.", content, purpose="reminder")
    await desk.write_last(hours=30)
    desk.api.clock.advance(hours=30)
    await desk.send()

    assert desk.sent == ["Tomorrow at ten, -"]


@told
async def test_reminder_within_the_window_is_text(desk):
    content = {"kind": "template", "sid": desk.api.template("T"), "variables": {}}
    await desk.add("Tomorrow at ten.", content, purpose="reminder")
    await desk.send()

    assert desk.sent == ["Tomorrow at ten."]


def with_callbacks(loses):
    async def story(desk):
        desk.api.ways.loses = loses
        template = desk.api.template("We have news. Please write to us.")
        desk.options = MessageOptions(
            whatsapp=True,
            whatsapp_templates=f"missed_call.en={template}",
            quiet_hours="off",
        )
        desk.outbox = desk.new_outbox()
        # Twilio's window is closed, whatever our clock says.
        desk.api.clock.advance(hours=25)
        await desk.add("news", purpose="missed_call")
        await desk.send()
        await desk.api.settle()
        await desk.pass_time(30)
        await desk.send()
        await desk.api.settle()
        await desk.pass_time(30)
        await desk.send()

        assert desk.sent == ["news", "We have news. Please write to us."]
        assert await desk.statuses() == ["failed", "read"]
        assert await desk.send() is None
        assert desk.count("replaced") == 1

    return story


@pytest.mark.parametrize("loses", [0.0, 1.0])
def test_text_refused_for_the_window_is_replaced_by_its_template_once(
    embedded_url, tmp_path, loses
):
    run(with_callbacks(loses), embedded_url, tmp_path)


@told
async def test_text_refused_for_the_window_fails_where_there_is_no_template(desk):
    desk.api.clock.advance(hours=25)
    await desk.add("one")
    await desk.send()
    await desk.api.settle()
    await desk.add("two")

    assert await desk.send() is None
    # Twilio has said that text is refused: the second is not tried.
    assert (desk.sent, await desk.statuses()) == (["one"], ["failed", "dropped"])


@told
async def test_refusal_that_is_told_late_does_not_close_a_window_opened_since(desk):
    desk.api.ways.loses = 1.0
    desk.api.clock.advance(hours=25)
    await desk.add("news")
    await desk.send()
    await desk.api.settle()
    await desk.writer.write("hello again")
    await desk.pass_time(30)
    await desk.send()
    await desk.add("answer")
    await desk.send()

    assert desk.sent == ["news", "answer"]
    assert (await desk.statuses())[0] == "failed"


@told
async def test_after_stop_nothing_is_sent_but_one_confirmation(desk):
    await desk.add("is this all?")
    await desk.writer.stop()
    await desk.writer.write("STOP")
    await desk.add("reply")
    await desk.add("reminder", purpose="reminder")
    await desk.send()
    await desk.api.settle()
    await desk.send()

    (confirmation,) = desk.sent
    assert confirmation.startswith("You will get no more messages")
    assert desk.writer.problems == []
    assert sorted(await desk.statuses()) == ["dropped"] * 3 + ["read"]


@told
async def test_who_is_not_to_be_contacted_is_answered_and_not_addressed(desk):
    await desk.value("update leads set do_not_contact = true returning 1")
    await desk.add("tomorrow", purpose="reminder")
    await desk.add("reply")
    await desk.send()
    await desk.api.settle()

    assert await desk.out() == [("tomorrow", "dropped"), ("reply", "read")]


@with_options(quiet_hours=AROUND_NOW)
async def test_in_quiet_hours_a_reminder_waits_and_a_reply_overtakes_it(desk):
    await desk.add("tomorrow", purpose="reminder")
    await desk.add("reply")
    await desk.send()
    await desk.api.settle()

    assert desk.sent == ["reply"]
    assert await desk.out() == [("tomorrow", "waiting"), ("reply", "read")]
    assert await desk.send() > 0


@pytest.mark.parametrize("fault", [TOO_MANY, UNAVAILABLE])
def test_reminder_that_was_tried_before_the_quiet_hours_is_overtaken_in_them(
    embedded_url, tmp_path, fault
):
    async def story(desk):
        desk.api.faults.order(fault)
        await desk.add("tomorrow", purpose="reminder")
        await desk.send()
        desk.options = MessageOptions(whatsapp=True, quiet_hours=AROUND_NOW)
        desk.outbox = desk.new_outbox()
        await desk.pass_time(60)
        await desk.add("reply")
        assert await desk.send() > 0
        await desk.api.settle()

        assert desk.sent == ["reply"]
        assert await desk.out() == [("tomorrow", "waiting"), ("reply", "read")]

    run(story, embedded_url, tmp_path)


# --- choices ---

TIMES = {
    "kind": "list",
    "button": "Times",
    "choices": [
        {"id": "time:1", "title": "Mo 9:00", "description": "with Noa"},
        {"id": "time:2", "title": "Tu 9:00", "description": ""},
    ],
}
ANSWERS = {
    "kind": "buttons",
    "choices": [
        {"id": "answer:Yes", "title": "Yes"},
        {"id": "answer:No", "title": "No"},
    ],
}


@pytest.mark.parametrize("content", [TIMES, ANSWERS])
def test_choices_are_shown_and_the_one_that_is_taken_comes_back(
    embedded_url, tmp_path, content
):
    async def story(desk):
        await desk.add("When?", content)
        await desk.send()
        offer = await desk.writer.next()
        await desk.writer.pick(offer, offer.shown.choices[1])

        assert offer.body == "When?"
        ids = [choice["id"] for choice in content["choices"]]
        assert [choice.id for choice in offer.shown.choices] == ids
        found = await desk.value("select choice from messages where choice <> ''")
        assert found == ids[1]

    run(story, embedded_url, tmp_path)


@told
async def test_choices_of_one_shape_share_a_resource(desk):
    for title in ("Mo 10:00", "Mo 11:00"):
        first, second = TIMES["choices"]
        changed = {**TIMES, "choices": [{**first, "title": title}, second]}
        await desk.add("When?", changed)
        await desk.send()
        await desk.api.settle()

    assert desk.api.contents.made == 1
    titles = [one.shown.choices[0].title for one in desk.api.sent]
    assert titles == ["Mo 10:00", "Mo 11:00"]


@told
async def test_choices_that_twilio_takes_not_are_numbered_lines(desk):
    first, second = TIMES["choices"]
    await desk.add(
        "When?", {**TIMES, "choices": [{**first, "title": "x" * 25}, second]}
    )
    await desk.send()

    assert desk.sent == [f"When?\n\n1. {'x' * 25} (with Noa)\n2. Tu 9:00"]


@told
async def test_resource_that_is_gone_at_twilio_is_made_again(desk):
    await desk.add("When?", TIMES)
    await desk.send()
    await desk.api.settle()
    desk.api.account.contents.clear()
    await desk.add("And now?", TIMES)
    await desk.send()
    await desk.pass_time(1)
    await desk.send()

    assert desk.sent == ["When?", "And now?"]
    assert desk.api.contents.made == 2


@told
async def test_choices_that_become_a_long_text_at_a_later_try_go_out_in_parts(desk):
    choices = [
        {"id": f"time:{at}", "title": f"Mo {at}:00", "description": "with Noa " * 8}
        for at in range(10)
    ]
    await desk.add("When? " * 150, {**TIMES, "choices": choices})
    desk.api.faults.order(TOO_MANY)
    await desk.send()
    await desk.value("delete from message_contents returning 1")
    desk.api.faults.order(*30 * [Fault(status=400, code=20001, path="contents")])
    await desk.pass_time(1)
    for _ in range(2):
        await desk.send()
        await desk.api.settle()

    assert len(desk.sent) == 2
    assert desk.sent[-1].endswith("10. Mo 9:00 (with Noa " + 7 * "with Noa " + ")")


@told
async def test_choices_whose_answer_was_lost_are_found_and_not_sent_again(desk):
    desk.api.ways.loses = 1.0
    desk.api.faults.order(LOST_ANSWER)
    await desk.add("When?", TIMES)
    await desk.send()
    await desk.api.settle()
    await desk.pass_time(10)
    await desk.send()

    assert desk.sent == ["When?"]


@told
async def test_template_whose_answer_was_lost_is_found_and_not_sent_again(desk):
    template = desk.api.template("We have news. Please write to us.")
    desk.options = MessageOptions(
        whatsapp=True, whatsapp_templates=f"reply.en={template}", quiet_hours="off"
    )
    desk.outbox = desk.new_outbox()
    desk.api.ways.loses = 1.0
    desk.api.faults.order(LOST_ANSWER)
    await desk.add("late")
    await desk.write_last(hours=30)
    await desk.send()
    await desk.api.settle()
    await desk.pass_time(10)
    await desk.send()

    assert desk.sent == ["We have news. Please write to us."]
    assert desk.count("found") == 1


@told
async def test_content_api_that_is_away_is_waited_for(desk):
    desk.api.faults.order(Fault(path="contents"))
    await desk.add("When?", TIMES)
    assert await desk.send() == 1
    await desk.send()

    assert desk.sent == ["When?"]


@told
async def test_content_of_an_unknown_kind_is_left_out(desk):
    await desk.add("Look", {"kind": "carousel"})
    await desk.send()

    assert desk.sent == ["Look"]


async def take_over(desk):
    async with desk.database.tenant(desk.business_id) as connection:
        own = (connection, desk.business_id, desk.conversation_id)
        await conversations.hold(*own, "")


@told
async def test_answer_that_ends_after_a_person_took_over_is_not_sent(desk):
    own = (desk.database, desk.held)
    turn = await message_turns.begin(*own, "m")
    await take_over(desk)
    await message_turns.say(*own, turn.id, Draft("It takes longer"))
    await desk.send()
    await message_turns.end(*own, turn.id, [Draft("At ten?")], cost=None)
    await desk.add("I am Noa", author="person", made_by="Noa")
    await desk.send()

    assert desk.sent == ["I am Noa"]
    assert (await desk.statuses())[:2] == ["dropped", "dropped"]
    why = "select error_text from messages where body = 'At ten?'"
    assert await desk.value(why) == "held"


@told
async def test_words_that_leave_a_conversation_to_people_are_sent_in_all_parts(desk):
    own = (desk.database, desk.held)
    turn = await message_turns.begin(*own, "m")
    long = "A sentence of some words. " * 70
    drafts = [Draft(long), Draft("Somebody will write to you.")]
    await message_turns.end(*own, turn.id, drafts, cost=None, hold_why="asks for one")
    for _ in drafts:
        await desk.send()
        await desk.api.settle()
        await desk.send()

    assert len(desk.sent) == 3
    assert "dropped" not in await desk.statuses()


@told
async def test_choices_do_not_wait_for_ever_for_the_content_api(desk):
    desk.api.faults.order(*3 * [Fault(path="contents")])
    await desk.add("When?", TIMES)
    await desk.send()
    assert desk.sent == []
    await desk.pass_time(15)
    await desk.send()

    assert desk.sent == ["When?\n\n1. Mo 9:00 (with Noa)\n2. Tu 9:00"]
