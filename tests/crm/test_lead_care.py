"""What a business does with its leads by hand: one person may have two numbers."""

import asyncio

import pytest

from crm import businesses, calls, lead_care, leads
from crm.call_search import Wish, search
from crm.database import Database
from crm.lead_care import Change, MergeError
from tests.crm.test_crm import call

ONE, TWO, THREE = "+12025550101", "+12025550102", "+12025550103"


def run(story, url):
    async def main():
        db = await Database.open(url, pool_max=2)
        try:
            business_id = await businesses.create(db, "Salon")
            made = {}
            for phone in (ONE, TWO, THREE):
                lead = await leads.touch(db, business_id, phone)
                made[phone] = lead.id
            return await story(db, business_id, made)
        finally:
            await db.close()

    return asyncio.run(main())


def test_a_merged_person_has_one_name_one_set_of_data_and_one_history(database_url):
    async def story(db, business_id, made):
        await leads.upsert(db, business_id, ONE, {"name": "Dana", "email": "a@x.org"})
        await leads.upsert(db, business_id, TWO, {"email": "b@x.org", "city": "Acre"})
        for phone in (ONE, TWO):
            await calls.save(db, business_id, call(f"CA{phone}", from_number=phone))
        await lead_care.merge(db, business_id, made[ONE], TWO)
        person = await lead_care.get(db, business_id, made[TWO])
        assert person.id == made[ONE]
        assert person.name == "Dana"
        assert person.fields == {"email": "a@x.org", "city": "Acre"}
        assert person.others == ((made[TWO], TWO),)
        assert person.calls == 2
        found = await search(db, business_id, Wish(lead_id=person.id))
        assert len(found) == 2
        # Callers are known by their number still, and known as the same person.
        assert (await leads.find(db, business_id, TWO)).name == "Dana"
        listed = await lead_care.listed(db, business_id)
        assert {one.id for one in listed} == {made[ONE], made[THREE]}
        by_number = await lead_care.listed(db, business_id, "555-0102")
        assert [one.id for one in by_number] == [made[ONE]]

    run(story, database_url)


def test_what_a_merged_person_says_and_books_from_either_number_is_theirs(database_url):
    async def story(db, business_id, made):
        await leads.upsert(db, business_id, ONE, {"name": "Dana", "city": "Acre"})
        await lead_care.merge(db, business_id, made[ONE], TWO)
        said = {"name": "Dana Cohen", "email": "a@x.org"}
        await leads.upsert(db, business_id, TWO, said)
        async with db.tenant(business_id) as connection:
            await leads.set_status(connection, business_id, made[TWO], "booked")
        person = await lead_care.get(db, business_id, made[ONE])
        assert person.name == "Dana Cohen"
        assert person.fields == {"city": "Acre", "email": "a@x.org"}
        assert person.status == "booked"
        listed = await lead_care.listed(db, business_id, "a@x.org", status="booked")
        assert [one.id for one in listed] == [made[ONE]]
        other = await leads.find(db, business_id, THREE)
        assert (other.name, other.status) == (None, "new")

    run(story, database_url)


def test_a_merged_person_is_booked_where_either_number_was(database_url):
    async def story(db, business_id, made):
        for phone, status in ((TWO, "booked"), (THREE, "customer")):
            wanted = Change(status=status)
            await lead_care.change(db, business_id, made[phone], wanted)
        await lead_care.merge(db, business_id, made[ONE], TWO)
        person = await lead_care.get(db, business_id, made[ONE])
        assert person.status == "booked"
        # What stands on the page goes before what the other lead had.
        await lead_care.merge(db, business_id, made[ONE], THREE)
        for phone in (ONE, TWO, THREE):
            assert (await leads.find(db, business_id, phone)).status == "booked"

    run(story, database_url)


def test_pages_of_leads_go_on_after_a_person_of_two_numbers(database_url):
    async def story(db, business_id, made):
        await lead_care.merge(db, business_id, made[ONE], THREE)
        # The last call came from the number that is not shown.
        await leads.touch(db, business_id, THREE)
        seen, place = [], None
        while page := await lead_care.listed(db, business_id, limit=1, before=place):
            seen += [one.id for one in page]
            place = page[0].place
        assert seen == [made[ONE], made[TWO]]

    run(story, database_url)


def test_leads_are_found_by_what_they_said_and_not_by_the_fields_names(database_url):
    async def story(db, business_id, made):
        said = {"city": 'Acre "old"', "notes": "C:\\x"}
        await leads.upsert(db, business_id, TWO, said)
        for text, hits in (
            ('acre "old"', 1),
            ("c:\\X", 1),
            ("city", 0),
            ('"', 1),
            (":", 1),
            ("{", 0),
        ):
            found = await lead_care.listed(db, business_id, text)
            assert len(found) == hits, text

    run(story, database_url)


def test_a_change_reaches_every_number_and_leaves_the_rest(database_url):
    async def story(db, business_id, made):
        await leads.upsert(db, business_id, ONE, {"name": "Dana", "city": "Acre"})
        await lead_care.merge(db, business_id, made[ONE], TWO)
        wanted = Change(do_not_contact=True, fields={"city": "", "notes": "x"})
        await lead_care.change(db, business_id, made[ONE], wanted)
        for phone in (ONE, TWO):
            lead = await leads.find(db, business_id, phone)
            assert (lead.name, lead.fields) == ("Dana", {"notes": "x"})
        await lead_care.change(db, business_id, made[ONE], Change(name=""))
        assert (await lead_care.get(db, business_id, made[ONE])).name is None
        assert (await leads.find(db, business_id, THREE)).fields == {}

    run(story, database_url)


def test_two_merged_people_become_three_numbers_of_one(database_url):
    async def story(db, business_id, made):
        await lead_care.merge(db, business_id, made[TWO], THREE)
        await lead_care.merge(db, business_id, made[ONE], THREE)
        person = await lead_care.get(db, business_id, made[THREE])
        assert person.id == made[ONE]
        assert [phone for _, phone in person.others] == [TWO, THREE]
        for phone in (ONE, THREE):
            with pytest.raises(MergeError, match="same"):
                await lead_care.merge(db, business_id, made[TWO], phone)
        with pytest.raises(MergeError, match="unknown"):
            await lead_care.merge(db, business_id, made[ONE], "+12025550199")
        assert await lead_care.separate(db, business_id, made[THREE])
        assert not await lead_care.separate(db, business_id, made[THREE])
        assert (await lead_care.get(db, business_id, made[THREE])).others == ()

    run(story, database_url)


def test_merges_across_each_other_make_no_circle(database_url):
    async def story(db, business_id, made):
        done = await asyncio.gather(
            lead_care.merge(db, business_id, made[ONE], TWO),
            lead_care.merge(db, business_id, made[TWO], ONE),
            return_exceptions=True,
        )
        assert sum(isinstance(one, MergeError) for one in done) == 1
        assert len(await lead_care.listed(db, business_id)) == 2

    run(story, database_url)


def test_pages_of_leads_follow_each_other_without_a_gap(database_url):
    async def story(db, business_id, made):
        for number in range(12):
            await leads.upsert(db, business_id, f"+120255502{number:02}", {})
        before, seen = None, []
        while page := await lead_care.listed(db, business_id, limit=4, before=before):
            seen += page
            before = page[-1].place
        assert seen == await lead_care.listed(db, business_id, limit=100)
        assert len({one.id for one in seen}) == 15

    run(story, database_url)
