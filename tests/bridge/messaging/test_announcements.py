"""Announcements: who is written to, when, in which words, and who never is."""

import asyncio
from datetime import datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from bridge.messaging.announcement_texts import CHANGE, MISSED_CALL, REMINDER
from bridge.messaging.announcements import Announcements
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm import businesses, conversations, leads
from crm.businesses import Service
from crm.conversations import Arrived
from crm.database import Database

ZONE = ZoneInfo("Asia/Jerusalem")
# Sunday, eleven o'clock in the business's zone; the appointment is on Monday.
NOW = datetime(2026, 11, 29, 11, tzinfo=ZONE)
TOMORROW = datetime(2026, 11, 30, 14, 30, tzinfo=ZONE)
SID = "HX" + "0" * 32
ON = {"whatsapp": True, "appointment_reminders": True, "missed_call_messages": True}
ACCOUNT = "AC" + "1" * 32


class Salon:
    """A business with one lead, and what it writes of its own accord."""

    def __init__(self, database, business_id, number):
        self.database = database
        self.id = business_id
        self.number = number
        self.now = NOW
        self.phone = f"+1555{uuid4().int % 10**7:07}"
        self.lead = None
        self.metrics = Metrics()
        settings = Settings(twilio_account_sid=ACCOUNT)
        self.announcements = Announcements(settings, database, self.metrics)

    async def sql(self, text, *values):
        async with self.database.tenant(self.id) as connection:
            return await connection.fetchval(text, *values)

    async def set(self, **settings):
        for name, value in settings.items():
            await businesses.set_setting(self.database, self.id, name, value)

    async def look(self):
        return await self.announcements.look(
            await businesses.get(self.database, self.id), self.now
        )

    async def book(self, at=TOMORROW, made=NOW - timedelta(days=3)):
        return await self.sql(
            "insert into appointments (business_id, lead_id, service_id, starts_at, "
            "ends_at, busy_until, created_at) select $1, $2, (select id from services "
            "where business_id = $1), $3, $3::timestamptz + interval '1 hour', "
            "$3::timestamptz + interval '1 hour', $4 returning id",
            self.id,
            self.lead,
            at,
            made,
        )

    async def call(self, ago=timedelta(minutes=10), **more):
        row = {
            "failed": True,
            "outcome": "failed",
            "caller_worth": "verified",
            "is_test": False,
            "from_number": self.phone,
            **more,
        }
        ended = self.now - ago
        await self.sql(
            "insert into calls (business_id, call_sid, stream_sid, started_at, "
            "ended_at, end_reason, rx_frames, tx_frames, forwarded_frames, "
            "dropped_frames, silence_frames, barge_ins, answer_ms, barge_in_ms, usage, "
            f"{', '.join(row)}) values ($1, $2, '', $3, $4, 'x', 0, 0, 0, 0, 0, 0, "
            f"'{{}}', '{{}}', '{{}}', "
            f"{', '.join(f'${at}' for at in range(5, 5 + len(row)))})",
            self.id,
            f"CA{uuid4().hex}",
            ended - timedelta(minutes=1),
            ended,
            *row.values(),
        )

    async def wrote(self, ago):
        """The lead wrote a message so long ago."""
        arrived = Arrived(f"SM{uuid4().hex}", "hi", self.number, ACCOUNT, self.phone)
        got = await conversations.receive(self.database, self.id, arrived)
        await self.sql("update conversations set last_inbound_at = $1", self.now - ago)
        return got.conversation_id

    async def written(self):
        async with self.database.tenant(self.id) as connection:
            rows = await connection.fetch(
                "select m.purpose, m.body, m.content, m.author, c.writer, "
                "c.own_number, c.account_sid from messages m join conversations c "
                "on c.business_id = m.business_id and c.id = m.conversation_id "
                "where direction = 'out' order by position"
            )
        return [dict(row) for row in rows]


def told(story):
    """Run a story about a salon that writes of its own accord, on each database."""

    def test(database_url):
        async def main():
            database = await Database.open(database_url, pool_max=3)
            try:
                zone = {"time_zone": "Asia/Jerusalem"}
                business_id = await businesses.create(database, "Salon", **zone)
                number = f"+1556{uuid4().int % 10**7:07}"
                await businesses.add_number(database, business_id, number)
                await businesses.add_service(
                    database, business_id, Service("Haircut", 60)
                )
                salon = Salon(database, business_id, number)
                await salon.set(**ON)
                lead = await leads.touch(database, business_id, salon.phone)
                salon.lead = lead.id
                await story(salon)
            finally:
                await database.close()

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


@told
async def test_tomorrows_appointment_is_reminded_of_once(salon):
    await salon.set(whatsapp_templates=f"reminder.en={SID}")
    await salon.book()

    assert (await salon.look(), await salon.look()) == (1, 0)
    when = "Monday, November 30, 2:30 PM"
    assert await salon.written() == [
        {
            "purpose": "reminder",
            "body": "A reminder from \u2068Salon\u2069: you have an appointment "
            f"tomorrow.\n\u2068{when} · Haircut\u2069\n{CHANGE['en']}",
            "content": {
                "kind": "template",
                "sid": SID,
                "variables": {"1": "Salon", "2": when, "3": "Haircut"},
            },
            "author": "service",
            "writer": salon.phone,
            "own_number": salon.number,
            "account_sid": ACCOUNT,
        }
    ]
    assert await salon.sql("select count(*) from message_work") == 1
    assert salon.metrics.value("announcements", purpose="reminder") == 1


@told
async def test_within_the_window_a_reminder_needs_no_template(salon):
    await salon.wrote(timedelta(hours=20))
    await salon.book()

    assert await salon.look() == 1
    [message] = await salon.written()
    assert message["content"] is None


@told
async def test_without_a_template_nothing_is_written(salon):
    await salon.wrote(timedelta(hours=24))
    await salon.book()

    assert await salon.look() == 0
    assert not await salon.written()


def test_want_of_a_template_is_logged_once(database_url, caplog):
    @told
    async def story(salon):
        await salon.set(whatsapp_templates=f"reminder.he={SID}")
        await salon.book()
        await salon.look()
        await salon.look()

    story(database_url)
    assert caplog.text.count("WHATSAPP_TEMPLATES has no reminder.en") == 1


@pytest.mark.parametrize(
    ("at", "made", "is_reminded"),
    [
        (TOMORROW.replace(hour=0, minute=0), NOW - timedelta(days=2), True),
        (TOMORROW.replace(hour=23, minute=59), NOW - timedelta(days=2), True),
        (TOMORROW + timedelta(days=1), NOW - timedelta(days=2), False),
        (NOW + timedelta(hours=2), NOW - timedelta(days=2), False),
        # Booked or moved today: the person knows.
        (TOMORROW, NOW - timedelta(hours=1), False),
        (TOMORROW, NOW.replace(hour=0) - timedelta(minutes=1), True),
    ],
)
def test_only_the_day_before_is_reminded(database_url, at, made, is_reminded):
    @told
    async def story(salon):
        await salon.set(whatsapp_templates=f"reminder.en={SID}")
        await salon.book(at, made)

        assert await salon.look() == is_reminded

    story(database_url)


@pytest.mark.parametrize(
    ("hour", "quiet", "count"),
    [
        (9, "off", 0),
        (10, "off", 1),
        (23, "off", 1),
        (20, "21:00-08:00", 1),
        (21, "21:00-08:00", 0),
        (11, "08:00-12:00", 0),
        (12, "08:00-12:00", 1),
    ],
)
def test_nobody_is_reminded_at_night(database_url, hour, quiet, count):
    @told
    async def story(salon):
        await salon.set(whatsapp_templates=f"reminder.en={SID}", quiet_hours=quiet)
        await salon.book()
        salon.now = NOW.replace(hour=hour)

        assert await salon.look() == count

    story(database_url)


@told
async def test_cancelled_appointment_is_not_reminded_of(salon):
    await salon.set(whatsapp_templates=f"reminder.en={SID}")
    await salon.book()
    await salon.sql("update appointments set status = 'cancelled'")

    assert await salon.look() == 0


@told
async def test_appointment_that_gets_another_time_is_reminded_of_again(salon):
    await salon.set(whatsapp_templates=f"reminder.en={SID}")
    await salon.book()
    await salon.look()
    later = timedelta(days=2)
    await salon.sql(
        "update appointments set starts_at = starts_at + $1::interval, "
        "ends_at = ends_at + $1::interval, busy_until = busy_until + $1::interval",
        later,
    )
    assert await salon.look() == 0
    salon.now += later

    assert await salon.look() == 1


@pytest.mark.parametrize("why", ["off", "no reminders", "stopped", "do not contact"])
def test_some_are_never_reminded(database_url, why):
    @told
    async def story(salon):
        await salon.set(whatsapp_templates=f"reminder.en={SID}")
        await salon.book()
        conversation_id = await salon.wrote(timedelta(days=2))
        if why == "off":
            await salon.set(whatsapp=False)
        elif why == "no reminders":
            await salon.set(appointment_reminders=False)
        elif why == "stopped":
            await salon.sql(
                "update conversations set stopped_at = now() where id = $1",
                conversation_id,
            )
        else:
            await salon.sql("update leads set do_not_contact = true")

        assert await salon.look() == 0

    story(database_url)


@told
async def test_both_are_off_by_default(salon):
    await salon.set(appointment_reminders=False, missed_call_messages=False)
    await salon.wrote(timedelta(hours=3))
    await salon.book()
    await salon.call()

    assert await salon.look() == 0
    assert not Settings().message.appointment_reminders
    assert not Settings().message.missed_call_messages


@told
async def test_caller_in_vain_gets_one_message(salon):
    await salon.wrote(timedelta(hours=3))
    await salon.call(timedelta(minutes=30))
    await salon.call(timedelta(minutes=10), failed=False, outcome="unanswered")

    assert (await salon.look(), await salon.look()) == (1, 0)
    [message] = await salon.written()
    assert message["purpose"] == "missed_call"
    assert message["body"] == MISSED_CALL["en"].format(name="\u2068Salon\u2069")
    # Another call in vain within the same hours changes nothing.
    await salon.call(timedelta(minutes=3))
    assert await salon.look() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"failed": False, "outcome": "booked"},
        {"caller_worth": "unverified"},
        {"is_test": True},
        {"from_number": "+12025550199"},
        {"ago": timedelta(hours=13)},
        {"ago": timedelta(minutes=1)},
    ],
)
def test_other_calls_are_not_written_about(database_url, change):
    @told
    async def story(salon):
        await salon.wrote(timedelta(hours=20))
        await salon.call(**change)

        assert await salon.look() == 0

    story(database_url)


@pytest.mark.parametrize("then", ["called", "wrote"])
def test_caller_who_got_through_is_not_written_to(database_url, then):
    @told
    async def story(salon):
        await salon.wrote(timedelta(hours=20))
        await salon.call(timedelta(minutes=30))
        if then == "called":
            await salon.call(timedelta(minutes=5), failed=False, outcome="booked")
        else:
            await salon.wrote(timedelta(minutes=5))

        assert await salon.look() == 0

    story(database_url)


def test_every_business_with_a_number_is_looked_at(own_url):
    @told
    async def story(salon):
        await salon.wrote(timedelta(hours=3))
        await salon.call()
        await salon.announcements.look_at_all(salon.now)

        assert [one["purpose"] for one in await salon.written()] == ["missed_call"]

    story(own_url)


def test_database_that_is_away_is_waited_for(caplog):
    class Away:
        def acquire(self):
            raise ConnectionRefusedError

    async def main():
        announcements = Announcements(Settings(), Database(Away()), Metrics())
        task = asyncio.create_task(announcements.run())
        while "nothing announced" not in caplog.text:  # noqa: ASYNC110 it is a log
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_texts_are_in_the_same_languages():
    assert REMINDER.keys() == CHANGE.keys() == MISSED_CALL.keys()
    assert all("{name}" in text for text in (*REMINDER.values(), *MISSED_CALL.values()))
