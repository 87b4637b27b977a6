"""Announcements by numbers: which of a person's they go to, which of a business's they
come from, and who comes first where they are many.

WhatsApp knows a mobile of Mexico as +52 1, and its lead is without the 1: it is one
person all the same.
"""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from crm import announcements, businesses, conversations, lead_care, leads
from crm.conversations import Arrived
from tests.bridge.messaging.test_announcements import ACCOUNT, NOW, told

LEAD, WRITER = "+525512345678", "+5215512345678"


async def written_from_mexico(salon, ago):
    """The lead is of Mexico, and has written so long ago."""
    salon.phone = LEAD
    salon.lead = (await leads.touch(salon.database, salon.id, LEAD)).id
    arrived = Arrived("SM" + "0" * 32, "hi", salon.number, ACCOUNT, WRITER)
    got = await conversations.receive(salon.database, salon.id, arrived)
    await salon.sql("update conversations set last_inbound_at = $1", salon.now - ago)
    return got.conversation_id


@told
async def test_reminder_goes_to_the_conversation_that_the_person_has(salon):
    await written_from_mexico(salon, timedelta(hours=3))
    await salon.book()

    assert await salon.look() == 1
    [message] = await salon.written()
    assert message["writer"] == WRITER
    assert await salon.sql("select count(*) from conversations") == 1


@told
async def test_who_has_written_since_a_missed_call_gets_no_message_after_it(salon):
    await written_from_mexico(salon, timedelta(minutes=5))
    await salon.set(whatsapp_templates=f"missed_call.en=HX{'0' * 32}")
    await salon.call(timedelta(minutes=10))

    assert await salon.look() == 0


@told
async def test_who_has_stopped_their_conversation_is_not_written_to(salon):
    own = await written_from_mexico(salon, timedelta(hours=3))
    await salon.sql("update conversations set stopped_at = now() where id = $1", own)
    await salon.set(whatsapp_templates=f"reminder.en=HX{'0' * 32}")
    await salon.book()

    assert await salon.look() == 0


async def second_number(salon):
    """Return another number of the business, which sorts after its first."""
    number = f"+1557{uuid4().int % 10**7:07}"
    await businesses.add_number(salon.database, salon.id, number)
    return number


def test_business_whose_look_fails_keeps_no_other_from_its_own(own_url):
    @told
    async def story(salon):
        broken = await businesses.create(salon.database, "Broken")
        await businesses.add_number(salon.database, broken, "+12025550100")
        async with salon.database.owner() as connection:
            await connection.execute(
                "update businesses set time_zone = 'Mars/Phobos' where id = $1", broken
            )
        await businesses.set_setting(salon.database, broken, "whatsapp", True)
        await salon.wrote(timedelta(hours=3))
        await salon.call()
        await salon.announcements.look_at_all(salon.now)

        assert len(await salon.written()) == 1
        failures = salon.metrics.value("task_failures", task="announcements")
        assert failures == 1

    story(own_url)


@pytest.mark.parametrize("evidence", ["inbound", "sent"])
def test_announcement_comes_from_the_number_that_is_a_sender(database_url, evidence):
    @told
    async def story(salon):
        number = await second_number(salon)
        account = "AC" + "2" * 32
        await salon.set(whatsapp_templates=f"reminder.en=HX{'0' * 32}")
        if evidence == "inbound":
            other = f"+1558{uuid4().int % 10**7:07}"
            arrived = Arrived(f"SM{uuid4().hex}", "hi", number, account, other)
            await conversations.receive(salon.database, salon.id, arrived)
        else:
            await salon.book()
            await salon.look()
            await salon.sql("update conversations set own_number = $1", number)
            await salon.sql("update conversations set account_sid = $1", account)
            await salon.sql("update messages set sent_at = now(), about = 'before'")
            await salon.sql("delete from appointments")
            salon.lead = (
                await leads.touch(salon.database, salon.id, "+12025550123")
            ).id
        await salon.book()

        assert await salon.look() == 1
        message = (await salon.written())[-1]
        assert (message["own_number"], message["account_sid"]) == (number, account)

    story(database_url)


@told
async def test_announcement_comes_from_the_account_that_has_the_number(salon):
    own = "AC" + "3" * 32
    await salon.set(number_account=own)
    await salon.wrote(timedelta(hours=3))
    await salon.book()

    assert await salon.look() == 1
    assert (await salon.written())[-1]["account_sid"] == own


@told
async def test_number_that_the_business_has_no_more_writes_nothing(salon):
    given_back = salon.number
    await salon.wrote(timedelta(hours=3))
    salon.number = await second_number(salon)
    async with salon.database.owner() as connection:
        gone = "delete from business_numbers where e164 = $1"
        await connection.execute(gone, given_back)
    await salon.book()

    # Its window is not that of the number that the business has now.
    assert await salon.look() == 0
    await salon.set(whatsapp_templates=f"reminder.en=HX{'0' * 32}")
    assert await salon.look() == 1
    [message] = await salon.written()
    assert message["own_number"] == salon.number


@told
async def test_those_for_whom_there_is_no_template_keep_nobody_waiting(salon):
    early = NOW.replace(hour=1) + timedelta(days=1)
    minute = timedelta(minutes=1)
    await salon.sql(
        "insert into appointments (business_id, lead_id, starts_at, ends_at, "
        "busy_until, created_at) select $1, $2, at, at + $5::interval, "
        "at + $5::interval, $6 from generate_series($3::timestamptz, $4, $5) at",
        *(salon.id, salon.lead, early, early + (announcements.ROWS_MAX - 1) * minute),
        *(minute, NOW - timedelta(days=3)),
    )
    salon.phone = "+12025550123"
    salon.lead = (await leads.touch(salon.database, salon.id, salon.phone)).id
    await salon.wrote(timedelta(hours=3))
    await salon.book()

    assert await salon.look() == 1


@told
async def test_callers_without_a_template_keep_no_other_waiting(salon):
    many = announcements.ROWS_MAX
    await salon.sql(
        "insert into leads (business_id, phone) select $1, '+1202' || (5550000 + n) "
        "from generate_series(1, $2::int) n",
        *(salon.id, many),
    )
    salon.phone = "+12025540123"
    await salon.sql(
        "insert into leads (business_id, id, phone) values ($1, $2, $3)",
        *(salon.id, UUID("f" * 32), salon.phone),
    )
    await salon.call()
    await salon.sql(
        "insert into calls (business_id, call_sid, stream_sid, started_at, ended_at, "
        "end_reason, rx_frames, tx_frames, forwarded_frames, dropped_frames, "
        "silence_frames, barge_ins, answer_ms, barge_in_ms, usage, failed, outcome, "
        "caller_worth, from_number) select business_id, call_sid || n, '', "
        "started_at - interval '1 h', ended_at - interval '1 h', end_reason, 0, 0, 0, "
        "0, 0, 0, '{}', '{}', '{}', failed, outcome, caller_worth, "
        "'+1202' || (5550000 + n) from calls, generate_series(1, $1::int) n",
        many,
    )
    await salon.wrote(timedelta(hours=3))

    assert await salon.look() == 1


async def merged(salon):
    """The lead has another number, which it has written from; return that number."""
    other = f"+1558{uuid4().int % 10**7:07}"
    await leads.touch(salon.database, salon.id, other)
    await lead_care.merge(salon.database, salon.id, salon.lead, other)
    own, salon.phone = salon.phone, other
    await salon.wrote(timedelta(hours=3))
    salon.phone = own
    return other


@told
async def test_merged_person_is_reminded_at_the_number_they_write_from(salon):
    other = await merged(salon)
    await salon.book()

    assert await salon.look() == 1
    [message] = await salon.written()
    assert message["writer"] == other


@told
async def test_merged_person_who_called_from_two_numbers_gets_one_message(salon):
    await salon.set(whatsapp_templates=f"missed_call.en=HX{'0' * 32}")
    other = await merged(salon)
    await salon.call(timedelta(minutes=5))
    await salon.call(timedelta(minutes=7), from_number=other)

    assert await salon.look() == 1
    await salon.call(timedelta(minutes=3), from_number=other)
    assert await salon.look() == 0


@told
async def test_merged_person_who_stopped_at_one_number_is_written_to_at_none(salon):
    await salon.set(whatsapp_templates=f"reminder.en=HX{'0' * 32}")
    await merged(salon)
    await salon.sql("update conversations set stopped_at = now()")
    await salon.book()

    assert await salon.look() == 0
