"""The messenger: who is answered, by whom, and what they hear."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.messaging import messenger as module
from bridge.messaging.messenger import PAUSE_S_MAX, TURN_TRIES_MAX, pause_after
from bridge.messaging.sentences import FAILED, SPENT
from crm import businesses, conversations, messages, notices, opting_out
from crm.conversations import CONSOLE
from tests.bridge.messaging.salon import told, until


@told
async def test_message_is_answered_and_sent_and_the_conversation_given_back(salon):
    conversation_id, _ = await salon.receive("hello")
    salon.messenger()
    await salon.is_idle()

    assert salon.bodies(conversation_id) == ["You said hello."]
    assert salon.metrics.value("conversations", outcome="done") >= 1


@told
async def test_two_hundred_conversations_run_at_once(salon):
    salon.assistant.may_end.clear()
    found = [await salon.receive(writer=f"+1{2025550000 + at}") for at in range(200)]
    messenger = salon.messenger()
    await until(lambda: salon.assistant.running >= 200)
    assert messenger.working >= 200
    salon.assistant.may_end.set()
    await salon.is_idle()

    assert {len(salon.bodies(one)) for one, _ in found} == {1}


@told
async def test_no_more_run_at_once_than_may(salon):
    salon.assistant.may_end.clear()
    found = [await salon.receive(writer=f"+1{2025550000 + at}") for at in range(5)]
    salon.messenger(conversations_max=2)
    await until(lambda: salon.metrics.value("messenger_full"))
    salon.assistant.may_end.set()
    await salon.is_idle()

    assert salon.assistant.running_max <= 2
    assert {len(salon.bodies(one)) for one, _ in found} == {1}


@told
async def test_two_processes_answer_no_message_twice(salon):
    found = [await salon.receive(writer=f"+1{2025550000 + at}") for at in range(40)]
    for _ in range(2):
        salon.messenger(conversations_max=7)
    await salon.is_idle()

    assert {salon.assistant.answered[one] for one, _ in found} == {1}


@told
async def test_message_that_comes_during_an_answer_is_answered_next(salon):
    salon.assistant.may_end.clear()
    conversation_id, _ = await salon.receive("one")
    salon.messenger()
    await salon.assistant.began.wait()
    await salon.receive("two")
    salon.assistant.may_end.set()
    await salon.is_idle()

    assert salon.bodies(conversation_id) == ["You said one.", "You said two."]


@pytest.mark.parametrize("why", ["held", "stopped", "off"])
def test_nobody_is_answered_by_the_assistant_whom_people_answer(database_url, why):
    @told
    async def story(salon):
        conversation_id, _ = await salon.receive()
        async with salon.database.tenant(salon.id) as connection:
            if why == "held":
                await conversations.hold(connection, salon.id, conversation_id, "")
            elif why == "stopped":
                await opting_out.stop(connection, salon.id, conversation_id)
        if why == "off":
            await businesses.set_setting(salon.database, salon.id, "whatsapp", False)
        await messages.write_by_hand(
            salon.database, salon.id, conversation_id, "Ann", "I am Ann."
        )
        salon.messenger()
        await salon.is_idle()

        assert not salon.assistant.answered[conversation_id]
        assert salon.bodies(conversation_id) == ["I am Ann."]

    story(database_url)


@told
async def test_chat_of_the_console_is_answered_and_not_sent(salon):
    await businesses.set_setting(salon.database, salon.id, "whatsapp", False)
    conversation_id, sid = await salon.receive(
        channel=CONSOLE, own_number="", account_sid="AC2"
    )
    salon.messenger()
    await salon.is_idle()

    assert salon.assistant.answered[conversation_id] == 1
    assert salon.bodies(conversation_id) == []
    assert ("AC2", sid) not in salon.carrier.typed


@told
async def test_without_money_a_writer_is_told_once_a_day(salon):
    await businesses.set_setting(salon.database, salon.id, "limit_cost_per_day", 0.4)
    await notices.add(
        salon.database, salon.id, notices.EMAIL, "a@example.com", ["limit.reached"]
    )
    conversation_id, _ = await salon.receive("one")
    salon.now = datetime.now(UTC)
    salon.messenger()
    await salon.is_idle()
    await salon.receive("two")
    await salon.is_idle()
    await salon.receive("three")
    await salon.is_idle()
    other, _ = await salon.receive("four", writer="+12025550177")
    await salon.is_idle()

    assert salon.bodies(conversation_id) == ["You said one.", SPENT["en"]]
    assert salon.bodies(other) == [SPENT["en"]]
    assert salon.metrics.value("limits_reached", limit="limit_cost_per_day") == 3
    assert await salon.sql("select count(*) from notices") == 1
    salon.now += timedelta(days=1)
    await salon.receive("five")
    await salon.is_idle()
    assert salon.bodies(conversation_id)[2:] == ["You said five."]


@told
async def test_without_a_limit_money_is_not_counted(salon):
    await businesses.set_setting(salon.database, salon.id, "limit_cost_per_day", 0)
    conversation_id, _ = await salon.receive("one")
    salon.messenger()
    await salon.is_idle()

    assert salon.bodies(conversation_id) == ["You said one."]


def test_turn_that_fails_again_and_again_is_told_to_the_writer(
    database_url, monkeypatch
):
    @told
    async def story(salon):
        monkeypatch.setattr(module, "PAUSE_S_MAX", 0.0)
        salon.assistant.fails = ValueError("a bug")
        conversation_id, _ = await salon.receive("hello")
        salon.messenger()
        await salon.is_idle()

        assert salon.bodies(conversation_id) == [FAILED["en"]]
        assert await salon.sql("select state from message_turns") == "failed"
        assert await salon.sql("select tries from message_turns") == TURN_TRIES_MAX + 1
        failed = salon.metrics.value("task_failures", task="conversation")
        assert failed == TURN_TRIES_MAX
        assert salon.metrics.value("message_turns_given_up") == 1

    story(database_url)


@told
async def test_database_error_is_no_bug(salon):
    salon.assistant.fails = TimeoutError()
    await salon.receive("hello")
    salon.messenger()
    await salon.until("select tries from message_turns", 2)

    assert not salon.metrics.value("task_failures", task="conversation")
    assert salon.metrics.value("conversations", outcome="failed") >= 1


@told
async def test_failures_before_a_good_run_do_not_count_at_the_next_failure(salon):
    await salon.receive("hello")
    await salon.sql("update message_work set tries = 9 returning 1")
    salon.carrier.again = timedelta(hours=1)
    salon.messenger()

    await salon.until("select tries from message_work where holder is null", 0)


@told
async def test_what_a_turn_says_at_once_is_sent_before_its_end(salon):
    salon.assistant.may_end.clear()
    salon.assistant.says = "One moment."
    conversation_id, _ = await salon.receive("hello")
    salon.messenger()
    await salon.carrier.came.wait()
    assert salon.bodies(conversation_id) == ["One moment."]
    salon.assistant.may_end.set()
    await salon.is_idle()

    assert salon.bodies(conversation_id) == ["One moment.", "You said hello."]


def test_what_a_person_writes_does_not_wait_for_the_end_of_a_turn(
    database_url, monkeypatch
):
    monkeypatch.setattr(module, "BESIDE_S", 0.05)

    @told
    async def story(salon):
        salon.assistant.may_end.clear()
        conversation_id, _ = await salon.receive("hello")
        salon.messenger()
        await salon.assistant.began.wait()
        await messages.write_by_hand(
            salon.database, salon.id, conversation_id, "Dana", "I am here"
        )
        await salon.carrier.came.wait()

        assert salon.bodies(conversation_id) == ["I am here"]

    story(database_url)


@told
async def test_what_is_to_be_done_later_is_done_later(salon):
    salon.carrier.again = timedelta(milliseconds=50)
    await salon.receive("hello")
    salon.messenger()
    await salon.is_idle()

    assert salon.metrics.value("conversations", outcome="done") >= 2


def test_typing_shows_as_long_as_the_answer_takes(database_url, monkeypatch):
    monkeypatch.setattr(module, "TYPING_S", 0.05)

    @told
    async def story(salon):
        salon.assistant.may_end.clear()
        _, sid = await salon.receive("hello")
        salon.messenger()

        # Other tests' conversations may be worked on, too.
        def shown(of):
            return salon.carrier.typed.count(("AC1", of))

        await until(lambda: shown(sid) >= 3)
        salon.assistant.may_end.set()
        await salon.is_idle()
        until_idle = shown(sid)
        _, chat = await salon.receive("again", channel=CONSOLE)
        await salon.is_idle()

        assert (shown(sid), shown(chat)) == (until_idle, 0)

    story(database_url)


@told
async def test_typing_that_the_carrier_does_not_show_costs_no_answer(salon):
    salon.carrier.takes_typing = False
    conversation_id, _ = await salon.receive("hello")
    salon.assistant.may_end.clear()
    salon.messenger()
    await until(lambda: salon.metrics.value("typing_failures"))
    salon.assistant.may_end.set()
    await salon.is_idle()

    assert salon.bodies(conversation_id) == ["You said hello."]


def test_wrong_setting_of_a_business_is_left_away(database_url, caplog):
    @told
    async def story(salon):
        await businesses.set_setting(salon.database, salon.id, "quiet_hours", "late")
        conversation_id, _ = await salon.receive("hello")
        salon.messenger()
        await salon.is_idle()

        assert salon.bodies(conversation_id) == ["You said hello."]

    story(database_url)
    assert "QUIET_HOURS='late'" in caplog.text


def test_pauses_grow_to_a_bound():
    pauses = [pause_after(tries) for tries in range(1, 30)]

    assert pauses == sorted(pauses)
    assert pauses[0] == timedelta(seconds=1)
    assert pauses[-1] == timedelta(seconds=PAUSE_S_MAX)


def test_apologies_are_in_every_language_of_each_other():
    assert SPENT.keys() == FAILED.keys()
    assert {"en", "he", "ar"} <= SPENT.keys()
