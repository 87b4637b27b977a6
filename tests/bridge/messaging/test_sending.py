"""What waits is sent once, in order, and only where it may be sent."""

import asyncio
from uuid import uuid4

import pytest

from bridge.messaging.sending import REFUSED_TRIES_MAX
from bridge.sandbox.messaging.delivery import Failure
from bridge.sandbox.messaging.faults import (
    CUT,
    ERROR_AFTER,
    LOST_ANSWER,
    NO_ANSWER,
    TOO_MANY,
    UNAVAILABLE,
    Fault,
)
from crm.message_work import LeaseLost
from tests.bridge import ws_peer
from tests.bridge.messaging.outbox_desk import run, told


@told
async def test_text_goes_out_and_its_statuses_are_noted(desk):
    await desk.add("At ten?")
    await desk.send()
    await desk.api.settle()

    assert (await desk.writer.next()).body == "At ten?"
    assert await desk.out() == [("At ten?", "read")]
    assert await desk.send() is None
    assert desk.sent == ["At ten?"]
    assert desk.api.problems == []


@told
async def test_next_part_waits_until_the_one_before_is_sent(desk):
    desk.api.courier.hold()
    await desk.add("one")
    await desk.add("two")

    assert await desk.send() == 1
    assert desk.sent == ["one"]
    desk.api.courier.go_on()
    await desk.api.settle()
    await desk.send()

    assert desk.sent == ["one", "two"]


@told
async def test_sent_is_asked_for_where_no_callback_tells_it(desk):
    desk.api.ways.loses = 1.0
    await desk.add("one")
    await desk.add("two")
    assert await desk.send() == 1
    await desk.api.settle()
    await desk.pass_time(1)
    await desk.send()

    assert desk.sent == ["one", "two"]
    assert desk.api.resource.lookups == 1


@told
async def test_word_that_twilio_has_not_documented_is_not_asked_for_on_and_on(desk):
    desk.api.courier.hold()
    for body in ("one", "two"):
        await desk.add(body)
    await desk.send()
    desk.api.sent[0].status = "partially_sent"
    await desk.pass_time(1)

    assert await desk.send() == 1
    assert desk.api.resource.lookups == 1
    await desk.pass_time(9)
    await desk.send()
    assert desk.sent == ["one", "two"]


@told
async def test_nobody_waits_for_ever_for_the_one_before(desk):
    desk.api.courier.hold()
    await desk.add("one")
    await desk.add("two")
    await desk.send()
    await desk.pass_time(10)
    await desk.send()

    assert desk.sent == ["one", "two"]


@pytest.mark.parametrize("fault", [LOST_ANSWER, ERROR_AFTER])
def test_message_whose_answer_was_lost_is_found_and_not_sent_again(
    embedded_url, tmp_path, fault
):
    async def story(desk):
        desk.api.ways.loses = 1.0
        desk.api.faults.order(fault)
        await desk.add("once")
        assert await desk.send() == 10
        await desk.api.settle()
        # Too early to look: the list may not show it yet.
        assert await desk.send() == 10
        assert (desk.api.resource.lookups, await desk.statuses()) == (0, ["trying"])
        await desk.pass_time(10)
        await desk.send()

        assert desk.sent == ["once"]
        assert await desk.statuses() == ["read"]
        assert desk.count("found") == 1

    run(story, embedded_url, tmp_path)


@told
async def test_callback_settles_the_fate_of_a_message_before_anyone_looks(desk):
    desk.api.faults.order(LOST_ANSWER)
    await desk.add("once")
    await desk.send()
    await desk.api.settle()

    assert await desk.statuses() == ["read"]
    assert await desk.send() is None
    assert desk.sent == ["once"]


@pytest.mark.parametrize("fault", [CUT, UNAVAILABLE])
def test_message_that_twilio_does_not_have_is_sent_again(embedded_url, tmp_path, fault):
    async def story(desk):
        desk.api.faults.order(fault)
        await desk.add("once")
        assert await desk.send() == 10
        assert desk.sent == []
        await desk.pass_time(10)
        await desk.send()

        assert desk.sent == ["once"]

    run(story, embedded_url, tmp_path)


@told
async def test_same_words_that_were_sent_before_are_not_taken_for_the_lost_ones(desk):
    await desk.add("yes")
    await desk.send()
    await desk.api.settle()
    desk.api.faults.order(CUT)
    await desk.add("yes")
    await desk.send()
    await desk.pass_time(10)
    await desk.send()

    assert desk.sent == ["yes", "yes"]


def test_list_that_cannot_be_read_sends_nothing_blindly(embedded_url, tmp_path, caplog):
    async def story(desk):
        desk.api.ways.loses = 1.0
        desk.api.faults.order(LOST_ANSWER, Fault(status=401, code=20003, path="list"))
        await desk.add("once")
        await desk.send()
        await desk.pass_time(10)
        assert await desk.send() == 10
        await desk.send()

        assert desk.sent == ["once"]

    run(story, embedded_url, tmp_path)
    assert "it cannot be looked for: HTTP 401, code 20003" in caplog.text


@told
async def test_process_that_dies_with_its_request_leaves_it_to_the_next(desk):
    desk.api.ways.loses = 1.0
    desk.api.faults.order(NO_ANSWER)
    await desk.add("once")
    sending = asyncio.create_task(desk.send())
    await ws_peer.until(lambda: desk.api.sent)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await desk.api.settle()
    desk.outbox = desk.new_outbox()
    await desk.pass_time(10)
    await desk.send()

    assert desk.sent == ["once"]
    assert await desk.statuses() == ["read"]


@told
async def test_process_that_dies_before_its_request_loses_nothing(desk):
    """Its message is `trying`, and Twilio has none."""
    await desk.add("once")
    await desk.value(
        "update messages set status = 'trying', tries = 1, tried_at = now() "
        "where direction = 'out' returning 1"
    )
    assert await desk.send() == 10
    await desk.pass_time(10)
    await desk.send()

    assert desk.sent == ["once"]


@told
async def test_twilio_that_is_not_reached_is_tried_again_with_growing_pauses(desk):
    desk.outbox = desk.new_outbox("http://127.0.0.1:9")
    await desk.add("once")
    pauses = []
    for _ in range(4):
        pauses.append(await desk.send())
        await desk.pass_time(pauses[-1])

    assert pauses == [1, 2, 4, 8]
    assert await desk.statuses() == ["waiting"]
    desk.outbox = desk.new_outbox()
    await desk.send()
    assert desk.sent == ["once"]


@told
async def test_too_many_requests_wait_as_long_as_twilio_says(desk):
    desk.api.faults.order(TOO_MANY)
    await desk.add("once")
    assert await desk.send() == 1
    await desk.pass_time(1)
    await desk.send()

    assert desk.sent == ["once"]
    errors = desk.metrics.value("message_api_errors", request="create", code="20429")
    assert errors == 1


@told
async def test_what_twilio_refuses_for_good_fails_and_lets_the_next_go(desk):
    desk.api.faults.order(Fault(status=400, code=21211))
    await desk.add("refused")
    await desk.add("next")
    await desk.send()
    await desk.api.settle()

    assert await desk.out() == [("refused", "failed"), ("next", "read")]
    assert await desk.value("select error_code from messages where body = 'refused'")


@told
async def test_refusal_that_may_pass_is_tried_some_times(desk):
    desk.api.faults.order(*[Fault(status=400, code=20001)] * 10)
    await desk.add("refused")
    for _ in range(REFUSED_TRIES_MAX):
        await desk.send()
        await desk.pass_time(60)

    assert await desk.statuses() == ["failed"]
    assert len(desk.api.faults.happened) == REFUSED_TRIES_MAX


@told
async def test_message_waits_while_the_account_is_refused(desk):
    tries = REFUSED_TRIES_MAX + 2
    desk.api.faults.order(*[Fault(status=401, code=20003)] * tries)
    await desk.add("kept")
    for _ in range(tries):
        await desk.send()
        await desk.pass_time(60)

    assert await desk.statuses() == ["waiting"]
    why = await desk.value("select error_text from messages where body = 'kept'")
    assert "code 20003" in why and "check TWILIO_AUTH_TOKEN" in why
    await desk.send()
    assert desk.sent == ["kept"]


@told
async def test_text_that_is_too_long_goes_out_in_parts(desk):
    text = "This is a sentence of forty-two characters. " * 60
    await desk.add(text)
    for _ in range(2):
        await desk.send()
        await desk.api.settle()

    assert " ".join(desk.sent) == text.strip()
    assert all(body.endswith("characters.") for body in desk.sent)
    assert await desk.statuses() == ["read", "read"]


@told
async def test_what_follows_a_text_in_parts_comes_after_all_of_them(desk):
    await desk.add("This is a sentence of forty-two characters. " * 60)
    await desk.add("Which of these?")
    for _ in range(3):
        await desk.send()
        await desk.api.settle()

    assert len(desk.sent) == 3
    assert desk.sent[-1] == "Which of these?"
    assert [body for body, _ in await desk.out()] == desk.sent


@told
async def test_process_that_has_lost_the_conversation_sends_nothing(desk):
    await desk.add("once")
    await desk.value("update message_work set holder = $1 returning 1", uuid4())

    with pytest.raises(LeaseLost):
        await desk.send()
    assert desk.sent == []


@told
async def test_message_that_fails_on_its_way_is_noted_with_its_code(desk):
    desk.api.courier.fail_next(Failure(63024))
    await desk.add("reply")
    await desk.send()
    await desk.api.settle()

    assert await desk.statuses() == ["failed"]
    found = await desk.value("select error_code from messages where direction = 'out'")
    assert found == 63024


@told
async def test_process_that_was_frozen_before_its_request_does_not_make_it(desk):
    message_id = await desk.add("one")
    desk.outbox = desk.new_outbox(give_s_max=0.05)
    async with desk.database.tenant(desk.business_id) as connection:
        await connection.execute(
            "select from messages where id = $1 for update", message_id
        )
        sending = asyncio.create_task(desk.send())
        # It waits for the row that is locked here.
        await asyncio.sleep(0.3)

    assert await sending == 10
    assert (desk.sent, await desk.statuses()) == ([], ["trying"])
    desk.outbox = desk.new_outbox()
    await desk.pass_time(10)
    await desk.send()
    assert desk.sent == ["one"]
