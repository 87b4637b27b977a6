"""Notices: added with the fact or not at all, claimed by one process at a time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from crm import (
    admissions,
    appointments,
    businesses,
    calls,
    leads,
    notice_deliveries,
    notices,
)
from crm.appointment_rows import Request, Which
from crm.backup import back_up, restore
from crm.businesses import Service
from crm.calendar import Rules
from crm.database import Database
from crm.migrate import migrate
from crm.notice_deliveries import DISABLED_AFTER, LEASE, TRIES_MAX, Outcome
from tests.crm.test_crm import call
from tests.crm.test_migrate import empty_database

PHONE = "+15550000001"
CUT = Service("Cut", 30)
RULES = Rules(step_minutes=30, lead_minutes=0, days_max=366)
HOOK = "https://example.com/hook"
FAILED = Outcome(False, 500, "no", 1.0)
DONE = Outcome(True, 204, "", 1.0)
PAUSE = timedelta(minutes=5)


class Salon:
    """A business whose hook wants every type of notice."""

    def __init__(self, db, business, endpoint_id):
        self.db = db
        self.business = business
        self.id = business.id
        self.endpoint_id = endpoint_id

    async def told(self):
        """Return the types of the notices, oldest first, and their data."""
        found = await notices.log(self.db, self.id)
        order = sorted(found, key=lambda one: (one.created_at, one.type))
        return [(one.type, one.data) for one in order]

    async def types(self):
        return [name for name, _ in await self.told()]


def told(story):
    """Run a story about a salon with an endpoint, where nothing else waits."""

    def test(embedded_url):
        async def main():
            db = await Database.open(embedded_url, pool_max=4)
            try:
                async with db.owner() as connection:
                    await connection.execute("delete from notice_endpoints")
                    await connection.execute("delete from notices")
                business_id = await businesses.create(db, "Salon", time_zone="UTC")
                await businesses.add_service(db, business_id, CUT)
                for dow in range(7):
                    await businesses.set_hours(db, business_id, dow, [(0, 1440)])
                made = await notices.add(
                    db, business_id, "webhook", HOOK, notices.TYPES
                )
                business = await businesses.get(db, business_id)
                await story(Salon(db, business, made.endpoint.id))
            finally:
                await db.close()

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


async def book(salon, starts_at, phone=PHONE):
    request = Request(CUT, starts_at, phone, "Ben")
    now = datetime.now(UTC)
    return await appointments.book(salon.db, salon.business, request, RULES, now)


def soon(hours=24):
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return hour + timedelta(hours=hours)


@told
async def test_call_lead_and_failure_are_told(salon):
    await leads.touch(salon.db, salon.id, PHONE)
    assert await salon.types() == ["lead.created"]
    await leads.touch(salon.db, salon.id, PHONE)
    await calls.save(salon.db, salon.id, call("CA1"))
    await calls.save(salon.db, salon.id, call("CA1"))
    await calls.save(salon.db, salon.id, call("CA2", failed=True, is_test=True))

    assert await salon.types() == [
        *("lead.created", "call.ended", "call.ended", "call.failed"),
    ]
    (_, lead), (_, ended), (_, tested), _ = await salon.told()
    assert (ended["is_test"], tested["is_test"]) == (False, True)
    assert lead["phone"] == PHONE
    assert (ended["call_sid"], ended["lead_id"]) == ("CA1", lead["lead_id"])
    assert ended["ended_at"].endswith("Z")


@told
async def test_booking_moving_and_cancelling_are_told_once_each(salon):
    first, second = soon(), soon(26)
    booked = await book(salon, first)
    await book(salon, first)
    request = Request(CUT, second, PHONE)
    now = datetime.now(UTC)
    await appointments.move(salon.db, salon.business, request, Which(first), RULES, now)
    await appointments.cancel(salon.db, salon.id, PHONE, Which(second), now)

    found = [one for one in await salon.told() if one[0] != "lead.created"]
    assert [name for name, _ in found] == [
        *("appointment.booked", "appointment.moved", "appointment.cancelled"),
    ]
    (_, new), (_, moved), (_, cancelled) = found
    assert (new["service"], new["name"], new["phone"]) == ("Cut", "Ben", PHONE)
    assert moved["moved_from"]["id"] == str(booked.appointment.id)
    assert datetime.fromisoformat(moved["moved_from"]["starts_at"]) == first
    assert datetime.fromisoformat(moved["starts_at"]) == second
    assert cancelled["appointment_id"] == moved["appointment_id"]


@told
async def test_appointment_that_is_changed_in_place_was_moved(salon):
    booked = await book(salon, soon())
    async with salon.db.tenant(salon.id) as connection:
        await connection.execute(
            "update appointments set starts_at = starts_at + interval '1 hour', "
            "ends_at = ends_at + interval '1 hour', "
            "busy_until = busy_until + interval '1 hour' where id = $1",
            booked.appointment.id,
        )

    assert (await salon.types())[-1] == "appointment.moved"


@told
async def test_fact_that_is_rolled_back_is_not_told(salon):
    with pytest.raises(ZeroDivisionError):
        async with salon.db.tenant(salon.id) as connection:
            await leads.note_call(connection, salon.id, PHONE)
            raise ZeroDivisionError

    assert await salon.types() == []


@told
async def test_limit_is_told_once_an_hour(salon):
    for sid in ("CA1", "CA2"):
        await admissions.admit(
            salon.db, salon.id, sid, PHONE, datetime.now(UTC), decide=lambda _: "full"
        )
    await admissions.note_limit(salon.db, salon.id, "full")
    await admissions.note_limit(salon.db, salon.id, "limit_cost_per_day")

    assert await salon.told() == [
        ("limit.reached", {"limit": "full"}),
        ("limit.reached", {"limit": "limit_cost_per_day"}),
    ]


@told
async def test_nothing_is_written_for_a_type_that_nobody_wants(salon):
    await notices.add(salon.db, salon.id, "webhook", HOOK, ["call.failed"])
    await leads.touch(salon.db, salon.id, PHONE)
    await calls.save(salon.db, salon.id, call("CA1"))

    assert await salon.types() == []
    async with salon.db.tenant(salon.id) as connection:
        assert await connection.fetchval("select count(*) from notices") == 0


@told
async def test_secret_is_shown_once(salon):
    again = await notices.add(salon.db, salon.id, "webhook", HOOK, ["call.ended"])
    other = await notices.add(salon.db, salon.id, "webhook", HOOK + "2", ["call.ended"])
    mail = await notices.add(salon.db, salon.id, "email", "a@b.com", ["call.ended"])

    assert again == (again.endpoint, "")
    assert again.endpoint.types == ("call.ended",)
    assert other.secret.startswith("whsec_")
    assert mail.secret == ""
    assert len(await notices.endpoints(salon.db, salon.id)) == 3


@told
async def test_endpoints_have_a_limit(salon):
    adding = [
        notices.add(salon.db, salon.id, "webhook", f"{HOOK}{at}", ["call.ended"])
        for at in range(notices.ENDPOINTS_MAX + 2)
    ]
    found = await asyncio.gather(*adding, return_exceptions=True)

    refused = [one for one in found if isinstance(one, notices.TooManyEndpoints)]
    assert len(refused) == 3


@told
async def test_many_processes_claim_each_delivery_once(salon):
    for at in range(20):
        await leads.touch(salon.db, salon.id, f"+1555000{at:04d}")
    claiming = [notice_deliveries.claim(salon.db, 7) for _ in range(8)]
    claimed = [one for some in await asyncio.gather(*claiming) for one in some]

    assert len(claimed) == len(set(claimed)) == 20
    assert await notice_deliveries.claim(salon.db, 7) == []


@told
async def test_delivery_of_a_process_that_died_is_due_when_the_lease_ends(salon):
    await leads.touch(salon.db, salon.id, PHONE)
    (first,) = await notice_deliveries.claim(salon.db, 5)
    await age_deliveries(salon, LEASE)
    (second,) = await notice_deliveries.claim(salon.db, 5)

    assert (first.tries, second.tries) == (1, 2)
    assert second[:3] == first[:3]
    # The first was only slow: what it says is logged, and changes nothing.
    await notice_deliveries.settle(salon.db, first, FAILED, None)
    assert (await notices.log(salon.db, salon.id))[0].state == "waiting"
    await notice_deliveries.settle(salon.db, second, DONE, None)
    (entry,) = await notices.log(salon.db, salon.id)
    assert (entry.state, entry.tries, entry.status) == ("delivered", 2, 204)
    tried = await notices.attempts(salon.db, salon.id, first.notice_id, first[2])
    assert [one.status for one in tried] == [500, 204]


@told
async def test_delivery_that_ends_no_try_is_not_claimed_for_ever(salon):
    await leads.touch(salon.db, salon.id, PHONE)
    for tries in range(1, TRIES_MAX + 1):
        (claimed,) = await notice_deliveries.claim(salon.db, 5)
        assert claimed.tries == tries
        await age_deliveries(salon, LEASE)

    assert await notice_deliveries.claim(salon.db, 5) == []
    assert await notices.replay(salon.db, salon.id, claimed.notice_id) == 1
    assert len(await notice_deliveries.claim(salon.db, 5)) == 1


@told
async def test_failure_makes_the_endpoints_other_notices_wait(salon):
    await leads.touch(salon.db, salon.id, PHONE)
    (first,) = await notice_deliveries.claim(salon.db, 5)
    await leads.touch(salon.db, salon.id, "+15550000002")
    await notice_deliveries.settle(salon.db, first, FAILED, PAUSE)

    assert await notice_deliveries.claim(salon.db, 5) == []
    await age_deliveries(salon, timedelta(seconds=60))
    assert len(await notice_deliveries.claim(salon.db, 5)) == 1


@told
async def test_endpoint_that_fails_for_days_is_disabled_and_can_be_enabled(salon):
    await leads.touch(salon.db, salon.id, PHONE)
    (claimed,) = await notice_deliveries.claim(salon.db, 5)
    assert await notice_deliveries.settle(salon.db, claimed, FAILED, PAUSE) == ""
    await leads.touch(salon.db, salon.id, "+15550000002")
    async with salon.db.tenant(salon.id) as connection:
        await connection.execute(
            "update notice_endpoints set failing_since = now() - $1::interval",
            DISABLED_AFTER + timedelta(minutes=1),
        )
    why = await notice_deliveries.settle(salon.db, claimed, FAILED, PAUSE)

    assert why == "no delivery succeeded for 5 days"
    (endpoint,) = await notices.endpoints(salon.db, salon.id)
    assert (endpoint.disabled_why, endpoint.disabled_at is not None) == (why, True)
    states = {one.state for one in await notices.log(salon.db, salon.id)}
    assert states == {"given_up"}
    await leads.touch(salon.db, salon.id, "+15550000003")
    assert len(await salon.told()) == 2
    assert await notices.enable(salon.db, salon.id, salon.endpoint_id)
    await leads.touch(salon.db, salon.id, "+15550000004")
    assert len(await salon.told()) == 3


@told
async def test_success_ends_a_row_of_failures(salon):
    await leads.touch(salon.db, salon.id, PHONE)
    (claimed,) = await notice_deliveries.claim(salon.db, 5)
    await notice_deliveries.settle(salon.db, claimed, FAILED, PAUSE)
    (failing,) = await notices.endpoints(salon.db, salon.id)
    await notice_deliveries.settle(salon.db, claimed, DONE, PAUSE)
    (fine,) = await notices.endpoints(salon.db, salon.id)

    assert failing.failing_since is not None
    assert fine.failing_since is None


@told
async def test_endpoint_that_is_gone_is_disabled_at_once(salon):
    await leads.touch(salon.db, salon.id, PHONE)
    (claimed,) = await notice_deliveries.claim(salon.db, 5)
    gone = Outcome(False, 410, "", 1.0, is_gone=True)

    assert await notice_deliveries.settle(salon.db, claimed, gone, PAUSE)
    assert (await notices.log(salon.db, salon.id))[0].state == "given_up"


@told
async def test_replay_keeps_the_id_and_begins_anew(salon):
    await leads.touch(salon.db, salon.id, PHONE)
    (claimed,) = await notice_deliveries.claim(salon.db, 5)
    await notice_deliveries.settle(salon.db, claimed, FAILED, None)
    assert await notices.replay(salon.db, salon.id, claimed.notice_id) == 1
    (again,) = await notice_deliveries.claim(salon.db, 5)

    assert again == claimed
    other = await businesses.create(salon.db, "Other")
    assert await notices.replay(salon.db, other, claimed.notice_id) == 0


@told
async def test_test_goes_to_one_endpoint_and_log_is_paged(salon):
    notice_id = await notices.add_test(salon.db, salon.id, salon.endpoint_id)
    one = await notice_deliveries.claim_one(
        salon.db, salon.id, notice_id, salon.endpoint_id
    )
    parcel = await notice_deliveries.read(salon.db, one)
    assert (parcel.type, parcel.target, parcel.business) == ("test", HOOK, "Salon")
    for at in range(3):
        await leads.touch(salon.db, salon.id, f"+1555000{at:04d}")
    page = await notices.log(salon.db, salon.id, 2)
    rest = await notices.log(
        salon.db, salon.id, 9, before=(page[-1].created_at, page[-1].notice_id)
    )

    assert len({one.notice_id for one in (*page, *rest)}) == 4
    assert rest[-1].type == "test"


@told
async def test_person_is_erased_from_the_notices(salon):
    await book(salon, soon())
    await leads.touch(salon.db, salon.id, "+15550000002")
    lead = await leads.find(salon.db, salon.id, PHONE)
    async with salon.db.tenant(salon.id) as connection:
        assert await notices.erase(connection, salon.id, lead.id, PHONE) == 2

    ((kind, data),) = await salon.told()
    assert (kind, data["phone"]) == ("lead.created", "+15550000002")


@told
async def test_removed_endpoint_takes_its_log_with_it(salon):
    await leads.touch(salon.db, salon.id, PHONE)
    assert await notices.remove(salon.db, salon.id, salon.endpoint_id)
    assert not await notices.remove(salon.db, salon.id, salon.endpoint_id)

    async with salon.db.tenant(salon.id) as connection:
        for table in ("notices", "notice_deliveries"):
            assert await connection.fetchval(f"select count(*) from {table}") == 0


async def age_deliveries(salon, by):
    async with salon.db.tenant(salon.id) as connection:
        await connection.execute(
            "update notice_deliveries set due_at = due_at - $1::interval", by
        )


def test_nobody_is_told_of_what_is_restored(tmp_path, embedded_url):
    path = tmp_path / "all.zip"

    async def filled(url):
        db = await Database.open(url, pool_max=1)
        try:
            business_id = await businesses.create(db, "Salon")
            await notices.add(db, business_id, "webhook", HOOK, ["call.ended"])
            await calls.save(db, business_id, call("CA1"))
        finally:
            await db.close()
        await back_up(url, path)
        return business_id

    async def restored(url, business_id):
        await restore(url, path)
        db = await Database.open(url, pool_max=1)
        try:
            return await notices.log(db, business_id)
        finally:
            await db.close()

    with empty_database(embedded_url) as ours, empty_database(embedded_url) as copy:
        asyncio.run(migrate(ours))
        business_id = asyncio.run(filled(ours))
        assert len(asyncio.run(restored(copy, business_id))) == 1
