"""A person of two numbers, whom the business has merged: each number's bookings are
theirs, once the number they call from is proven."""

import asyncio
from datetime import datetime

from crm import lead_care, leads, proofs
from crm.claims import Claimant
from crm.proofs import Fact
from tests.bridge.agent.test_calendar_tools import DAN, DANA, in_shop


async def merge(shop):
    """Make both numbers one person, shown by DANA's."""
    for phone in (DANA, DAN):
        await leads.touch(shop.db, shop.business.id, phone)
    lead = await leads.find(shop.db, shop.business.id, DANA)
    await lead_care.merge(shop.db, shop.business.id, lead.id, DAN)


def test_what_was_booked_from_the_other_number_is_known_moved_and_cancelled(
    database_url,
):
    async def story(shop):
        at, *_, later = (one["starts_at"] for one in await shop.slots())
        await shop.book(at, caller=DAN)
        assert "error" in await shop.ask("calendar_cancel_appointment")
        await merge(shop)
        for phone in (DANA, DAN):
            lead = await leads.find(shop.db, shop.business.id, phone)
            assert lead.next_appointment_at == datetime.fromisoformat(at)
        again = await shop.book(at, key="c2", sid="CA2")
        assert "nothing new was done" in again["note"]
        new = {"new_starts_at": later}
        moved = await shop.ask("calendar_reschedule_appointment", new)
        assert moved["moved"]["starts_at"] == later
        gone = await shop.ask("calendar_cancel_appointment", key="c3")
        assert gone["cancelled"]["starts_at"] == later
        for phone in (DANA, DAN):
            lead = await leads.find(shop.db, shop.business.id, phone)
            assert (lead.status, lead.next_appointment_at) == ("cancelled", None)

    in_shop(database_url, story)


def test_two_numbers_of_one_person_have_the_bookings_of_one(database_url):
    async def story(shop):
        shop.limits = shop.limits._replace(per_caller=1)
        await merge(shop)
        first, *_, second = (one["starts_at"] for one in await shop.slots())
        await shop.book(first)
        refused = await shop.book(second, caller=DAN)
        assert "1 appointments to come" in refused["error"]

    in_shop(database_url, story)


def test_an_appointment_of_the_other_number_proves_who_calls(database_url):
    async def story(shop):
        at = (await shop.slots())[0]["starts_at"]
        await shop.book(at, caller=DAN)
        fact = Fact(appointment=datetime.fromisoformat(at))
        business_id = shop.business.id
        strange = await proofs.prove(shop.db, business_id, Claimant("CA2", DANA), fact)
        assert strange.opened is None
        await merge(shop)
        own = await proofs.prove(shop.db, business_id, Claimant("CA3", DANA), fact)
        assert own.opened.phone == DANA

    in_shop(database_url, story)


def test_both_numbers_of_a_person_are_written_at_once(database_url):
    async def story(shop):
        await merge(shop)
        for n in range(40):
            said = {"notes": str(n)}
            await asyncio.gather(
                *(
                    leads.upsert(shop.db, shop.business.id, phone, said)
                    for phone in (DANA, DAN) * 4
                )
            )

    in_shop(database_url, story)
