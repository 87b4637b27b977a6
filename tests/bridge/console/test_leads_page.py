"""The pages of leads: list, claims, edit, look at a number, merge, erase."""

import asyncio
import html
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from bridge.console import lead_page, leads_page
from crm import calls, claims, conversations, lead_care, leads
from crm.claims import Claimant
from crm.conversations import Arrived
from tests.crm.test_crm import call

# A time that no database has, once it is moved to UTC.
EARLY = f"?before=0001-01-01T00:00:00%2B14:00&id={UUID(int=0)}"
PHONE, SECOND = "+12025550101", "+12025550102"


def run(story):
    asyncio.run(story())


async def made(at, phone=PHONE, business=None, **fields):
    fields = {"name": "Dana", "city": "Acre", **fields}
    lead = await leads.upsert(at.database, business or at.ours, phone, fields)
    return lead.id


async def lead_of(at, phone=PHONE):
    return await leads.find(at.database, at.ours, phone)


def test_leads_are_listed_with_masked_numbers_and_found_by_parts(desk):
    async def story():
        async with desk() as at:
            _, text = await at.owner.get(at.path("leads"))
            assert "No lead yet." in text
            lead_id = await made(at)
            for query in ("", "?text=dan", "?text=acre", "?text=0101", "?status=new"):
                status, text = await at.staff.get(at.path(f"leads{query}"))
                assert status == 200
                assert at.path("leads", lead_id) in text, query
                assert PHONE not in text
            for query in (
                "?text=nobody",
                "?status=booked",
                "?text=%00&before=x&id=y",
                EARLY,
            ):
                status, text = await at.owner.get(at.path(f"leads{query}"))
                assert status == 200
            _, text = await at.owner.get(at.path("leads?text=nobody"))
            assert "No lead fits." in text

    run(story)


def test_every_page_and_change_of_another_business_s_lead_is_404(desk):
    async def story():
        async with desk() as at:
            theirs = await made(at, business=at.theirs)
            for business in (at.ours, at.theirs):
                here = at.path("leads", theirs, business=business)
                assert (await at.owner.get(here))[0] == 404
                for act in ("", "/phone", "/merge", "/separate", "/erase"):
                    status, _ = await at.owner.post(here + act, digits="0101")
                    assert status == 404, act
            await claims.write(
                at.database, at.theirs, Claimant("CAc"), PHONE, {"name": "Eve"}
            )
            for business in (at.ours, at.theirs):
                path = at.path("claims", "CAc", "accept", business=business)
                assert (await at.owner.post(path))[0] == 404
            assert (await at.owner.get(at.path("leads", "x")))[0] == 404
            assert (await lead_care.get(at.database, at.theirs, theirs)).name == "Dana"

    run(story)


def test_a_look_at_the_whole_number_is_written_down(desk):
    async def story():
        async with desk() as at:
            lead_id = await made(at)
            here = at.path("leads", lead_id)
            _, text = await at.staff.get(here)
            assert PHONE not in text
            _, text = await at.staff.post(f"{here}/phone")
            assert PHONE in text
            assert "<html" in text
            headers = {"HX-Request": "true"}
            _, text = await at.staff.post(f"{here}/phone", headers=headers)
            assert PHONE in text
            assert "<html" not in text
            _, text = await at.owner.get(at.path("audit"))
            assert text.count("lead.phone_seen") == 2
            assert str(lead_id) in text

    run(story)


def test_only_what_the_form_changed_is_changed(desk):
    async def story():
        async with desk() as at:
            lead_id = await made(at)
            # While the form was open, a call has learnt the city.
            fields = {
                "name": "Dana Cohen",
                "was.name": "Dana",
                "status": "customer",
                "was.status": "new",
                "field.city": "",
                "was.field.city": "",
                "new_name": "shoe_size",
                "new_value": "38",
                "do_not_contact": "1",
            }
            status, _ = await at.staff.post(at.path("leads", lead_id), **fields)
            assert status == 303
            lead = await lead_of(at)
            assert (lead.name, lead.status) == ("Dana Cohen", "customer")
            assert lead.fields == {"city": "Acre", "shoe_size": "38"}
            fields = {"field.city": "", "was.field.city": "Acre"}
            fields["was.do_not_contact"] = "1"
            await at.staff.post(at.path("leads", lead_id), **fields)
            assert (await lead_of(at)).fields == {"shoe_size": "38"}
            assert not (
                await lead_care.get(at.database, at.ours, lead_id)
            ).do_not_contact
            _, text = await at.owner.get(at.path("audit"))
            assert text.count("lead.changed") == 2

    run(story)


def test_a_form_that_was_open_lets_nobody_be_contacted_who_meanwhile_said_no(desk):
    async def story():
        async with desk() as at:
            lead_id = await made(at)
            silent = lead_care.Change(do_not_contact=True)
            await lead_care.change(at.database, at.ours, lead_id, silent)
            fields = {"name": "Dana Cohen", "was.name": "Dana"}
            fields["was.do_not_contact"] = ""
            await at.staff.post(at.path("leads", lead_id), **fields)
            person = await lead_care.get(at.database, at.ours, lead_id)
            assert (person.name, person.do_not_contact) == ("Dana Cohen", True)

    run(story)


def test_a_value_of_several_lines_stays_as_it_is(desk):
    async def story():
        async with desk() as at:
            lead_id = await made(at, notes="one\ntwo")
            _, text = await at.owner.get(at.path("leads", lead_id))
            assert '<textarea name="field.notes"' in text
            sent = "one\r\ntwo"
            fields = {"field.notes": sent, "was.field.notes": sent, "new_name": "a"}
            await at.staff.post(at.path("leads", lead_id), new_value="b", **fields)
            assert (await lead_of(at)).fields["notes"] == "one\ntwo"

    run(story)


def test_a_refused_form_keeps_what_it_showed_and_what_was_ticked(desk):
    async def story():
        async with desk() as at:
            lead_id = await made(at, city="")
            here = at.path("leads", lead_id)
            fields = {"name": "x" * 201, "was.name": "Dana", "do_not_contact": "1"}
            fields |= {"was.do_not_contact": "", "field.city": "", "was.field.city": ""}
            # Learnt since the form was opened.
            await made(at, city="Acre")
            status, text = await at.owner.post(here, **fields)
            assert status == 422
            assert '"was.field.city" value=""' in text
            assert 'name="do_not_contact" value="1" checked' in text
            # Another form of the page says nothing of that box.
            _, text = await at.owner.post(f"{here}/erase", digits="0000")
            assert 'name="do_not_contact" value="1">' in text

    run(story)


def test_a_wrong_form_names_its_fields_and_keeps_what_was_typed(desk):
    async def story():
        async with desk() as at:
            lead_id = await made(at)
            status, text = await at.owner.post(
                at.path("leads", lead_id),
                **{
                    "name": "x" * 201,
                    "was.name": "Dana",
                    "status": "",
                    "was.status": "new",
                    "new_name": "Bad Name",
                    "new_value": "kept",
                    "field.city": "y" * 1_001,
                    "was.field.city": "Acre",
                },
            )
            assert status == 422
            for field in ("name", "status", "new_name", "field.city"):
                assert f'id="{field}-fault"' in text, field
            assert 'value="kept"' in text
            assert (await lead_of(at)).name == "Dana"

    run(story)


def test_two_numbers_become_one_person_and_two_again(desk):
    async def story():
        async with desk() as at:
            one, two = await made(at), await made(at, SECOND, name="D.", age="40")
            await calls.save(at.database, at.ours, call("CA2", from_number=SECOND))
            here = at.path("leads", one)
            for typed, why in (
                ("12", "no telephone number"),
                ("+12025550177", "No lead has this number."),
                (PHONE, "the same person already"),
            ):
                status, text = await at.owner.post(f"{here}/merge", other=typed)
                assert (status, why in text) == (422, True), typed
            assert (await at.staff.post(f"{here}/merge", other=SECOND))[0] == 403
            # As people of the business's country write it.
            status, _ = await at.owner.post(f"{here}/merge", other="(202) 555-0102")
            assert status == 303
            status, _ = await at.owner.get(at.path("leads", two))
            assert (status, at.owner.headers["Location"]) == (303, here)
            _, text = await at.owner.get(here)
            assert at.path("calls", "CA2") in text
            assert "40" in text
            other = re.search(r'name="other" value="([\w-]+)"', text)[1]
            assert (await at.owner.post(f"{here}/separate", other=other))[0] == 303
            assert (await at.owner.get(at.path("leads", two)))[0] == 200
            assert (await at.owner.post(f"{here}/separate", other=other))[0] == 404

    run(story)


def test_a_claim_is_given_to_the_lead_whose_number_it_names(desk):
    async def story():
        async with desk() as at:
            await claims.write(
                at.database, at.ours, Claimant("CAc"), PHONE, {"name": "Eve"}
            )
            _, text = await at.owner.get(at.path("leads"))
            assert "Eve" in text
            await calls.save(at.database, at.ours, call("CAc", caller_worth="none"))
            path = at.path("claims", "CAc", "accept")
            assert (await at.owner.post(path))[0] == 303
            where = at.owner.headers["Location"]
            # The call is in the lead's history, and the lead among those who called.
            assert at.path("calls", "CAc") in (await at.owner.get(where))[1]
            (listed,) = await lead_care.listed(at.database, at.ours)
            assert listed.last_at.year > 1970
            assert (await lead_of(at)).name == "Eve"
            assert (await at.owner.post(at.path("claims", "CAx", "accept")))[0] == 404

    run(story)


def test_every_claim_is_reached_by_the_pages(desk, monkeypatch):
    monkeypatch.setattr(leads_page, "CLAIMS_MAX", 2)

    async def story():
        async with desk() as at:
            for number in range(5):
                claimant = Claimant(f"CAc{number}")
                said = {"name": f"Eve {number}"}
                await claims.write(at.database, at.ours, claimant, None, said)
            seen, link = [], "leads"
            while link:
                _, text = await at.owner.get(at.path(link))
                seen += re.findall(r"Eve \d", text)
                found = re.search(r'href="([^"]+)#claims" rel="next"', text)
                link = found and f"leads{found[1].replace('&amp;', '&')}"
            assert seen == [f"Eve {number}" for number in reversed(range(5))]

    run(story)


def test_an_owner_erases_a_person_after_typing_the_digits(desk):
    async def story():
        async with desk() as at:
            lead_id = await made(at)
            here = at.path("leads", lead_id)
            assert (await at.staff.post(f"{here}/erase", digits="0101"))[0] == 403
            status, text = await at.owner.post(f"{here}/erase", digits="0000")
            assert (status, 'id="digits-fault"' in text) == (422, True)
            status, text = await at.owner.post(f"{here}/erase", digits="0101")
            assert (status, "Erased" in text) == (200, True)
            assert await lead_of(at) is None
            assert (await at.owner.get(here))[0] == 404
            _, text = await at.owner.get(at.path("audit"))
            assert "lead.erased" in text

    run(story)


def test_a_lead_s_page_leads_to_the_rest_of_what_there_was(desk, monkeypatch):
    monkeypatch.setattr(lead_page, "HISTORY_SHOWN", 2)

    async def story():
        async with desk() as at:
            lead_id = await made(at)
            now = datetime.now(UTC).replace(microsecond=0)
            for days in range(1, 4):
                came = now - timedelta(days=2 * days)
                more = {"from_number": PHONE, "started_at": came}
                await calls.save(at.database, at.ours, call(f"CA{days}", **more))
                await write(at, came - timedelta(days=1), f"text {days}")
            async with at.database.tenant(at.ours) as connection:
                # Two people of one family come at one time.
                for number, days in enumerate((1, 2, 2, 3)):
                    await connection.execute(
                        "insert into appointments (business_id, lead_id, starts_at, "
                        "ends_at, busy_until, resource) "
                        "values ($1, $2, $3, $4, $4, $5)",
                        *(at.ours, lead_id, now - timedelta(days=days)),
                        *(now - timedelta(days=days, minutes=-30), number),
                    )
            whats, counts = [], []
            for name, found in (("before", whats), ("visits", counts)):
                link = at.path("leads", lead_id)
                while link:
                    status, text = await at.owner.get(link)
                    assert status == 200
                    whats_here = re.findall(r"CA\d|text \d", text)
                    found.append(
                        whats_here if name == "before" else text.count("<td>booked<")
                    )
                    links = re.findall(rf'href="([^"]*\?{name}=[^"]*)"', text)
                    link = html.unescape(links[0]) if links else None
            assert whats == [["CA1", "text 1"], ["CA2", "text 2"], ["CA3", "text 3"]]
            assert counts == [3, 1]

    run(story)


async def write(at, when, body):
    """Let the lead write a message at a time."""
    arrived = Arrived(f"SM{uuid4().hex}", body, "+15550009999", "AC1", PHONE)
    await conversations.receive(at.database, at.ours, arrived)
    async with at.database.tenant(at.ours) as connection:
        await connection.execute(
            "update messages set created_at = $1 where body = $2", when, body
        )
