"""Announcements on their way: what is not so any more is not said, and a number that is
no sender says nothing."""

import pytest

from bridge.messaging.sending import REFUSED_TRIES_MAX
from crm import businesses
from tests.bridge.messaging.outbox_desk import run, told

# $1: in how many days; by the business's clock.
BOOK = """
insert into appointments (business_id, lead_id, starts_at, ends_at, busy_until)
select b.id, l.id, at, at + interval '1 hour', at + interval '1 hour'
from businesses b join leads l on l.business_id = b.id cross join lateral (
  select ((now() at time zone b.time_zone)::date + $1::int + time '14:00')
    at time zone b.time_zone as at) t
returning id || ':' || extract(epoch from starts_at)::bigint"""
MOVE = "update appointments set starts_at = starts_at - interval '1 hour' returning 1"
CANCEL = "update appointments set status = 'cancelled' returning 1"


@pytest.mark.parametrize(
    ("days", "then", "status"),
    [
        (1, None, "read"),
        (1, MOVE, "dropped"),
        (1, CANCEL, "dropped"),
        # It was written yesterday, or long ago.
        (0, None, "dropped"),
        (-7, None, "dropped"),
    ],
)
def test_reminder_goes_out_on_the_day_before_what_is_still_booked(
    embedded_url, tmp_path, days, then, status
):
    async def story(desk):
        about = await desk.value(BOOK, days)
        await desk.add("You have one tomorrow.", purpose="reminder", about=about)
        if then is not None:
            await desk.value(then)
        await desk.add("reply")
        for _ in range(2):
            await desk.send()
            await desk.api.settle()

        assert await desk.statuses() == [status, "read"]

    run(story, embedded_url, tmp_path)


CALL = """
insert into calls (business_id, call_sid, stream_sid, started_at, ended_at, end_reason,
  rx_frames, tx_frames, forwarded_frames, dropped_frames, silence_frames, barge_ins,
  answer_ms, barge_in_ms, usage, from_number, failed)
select id, $1, '', now() - $2::int * interval '1 hour',
  now() - $2::int * interval '1 hour', 'x', 0, 0, 0, 0, 0, 0, '{}', '{}', '{}',
  '+15550100001', $3 from businesses returning 1"""
MISSED, LATER = f"CA{1:032}", f"CA{2:032}"


@pytest.mark.parametrize(
    ("hours", "has_failed_again", "status"),
    [(2, True, "read"), (2, False, "dropped"), (13, True, "dropped")],
)
def test_missed_call_is_written_about_within_hours_to_who_has_not_got_through(
    embedded_url, tmp_path, hours, has_failed_again, status
):
    async def story(desk):
        await desk.value(CALL, MISSED, hours, True)
        await desk.value(CALL, LATER, hours - 1, has_failed_again)
        await desk.add("We missed you.", purpose="missed_call", about=MISSED)
        await desk.send()
        await desk.api.settle()

        assert await desk.statuses() == [status]

    run(story, embedded_url, tmp_path)


async def announced(desk, *numbers):
    """Write a reminder in the writer's conversation, with these further numbers."""
    for number in numbers:
        await businesses.add_number(desk.database, desk.business_id, number)
    desk.api.account.senders.remove(desk.at.number)
    template = {
        "kind": "template",
        "sid": desk.api.template("Tomorrow"),
        "variables": {},
    }
    about = await desk.value(BOOK, 1)
    await desk.add("Tomorrow", template, purpose="reminder", about=about)


async def go_on_at(desk, number):
    """Send what has been moved to the conversation with another number."""
    moved = "select id from conversations where own_number = $1"
    desk.conversation_id = await desk.value(moved, number)
    await desk.value("delete from message_work where holder is not null returning 1")
    await desk.claim()
    return await desk.send()


def like(number, code):
    return f"+1{code}{number[5:]}"


@pytest.mark.parametrize("code", ["212", "989"])
def test_announcement_goes_out_from_another_number_if_the_first_is_no_sender(
    embedded_url, tmp_path, code
):
    async def story(desk):
        sender = like(desk.at.number, code)
        desk.api.account.senders.add(sender)
        await announced(desk, sender)
        await desk.send()
        assert desk.sent == []

        await go_on_at(desk, sender)
        await desk.api.settle()

        assert [one.sender for one in desk.api.sent] == [f"whatsapp:{sender}"]
        assert await desk.out() == [("Tomorrow", "read")]

    run(story, embedded_url, tmp_path)


@told
async def test_announcement_is_given_up_where_no_number_is_a_sender(desk):
    numbers = [like(desk.at.number, code) for code in ("989", "212")]
    await announced(desk, *numbers)
    await desk.send()
    waits = [await go_on_at(desk, number) for number in numbers]

    # Tried again for a while, at the last one.
    assert waits == [None, 1]
    for _ in range(REFUSED_TRIES_MAX):
        await desk.pass_time(60)
        await desk.send()
    assert await desk.out() == [("Tomorrow", "failed")]
    assert desk.count("moved") == len(numbers)
