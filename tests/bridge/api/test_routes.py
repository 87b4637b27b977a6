"""What the API does with a business: calls, leads, appointments, settings, notices."""

from datetime import datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest

from bridge.api.leads import FIELDS_MAX
from crm import audit, businesses, calls, conversations, leads, opting_out, saving
from crm.authors import By
from crm.conversations import Arrived
from tests.bridge.api.conftest import soon
from tests.bridge.api.test_application import booking
from tests.crm.test_crm import PHONE, call


def test_lists_are_paged_by_keyset(api):
    async def story(world):
        for at in range(5):
            sid = f"CA{uuid4().hex}"
            when = soon(-at)
            await calls.save(
                world.db,
                world.ours.id,
                call(sid, started_at=when, ended_at=when, failed=at == 2),
            )
            await leads.touch(world.db, world.ours.id, f"+1555000000{at}")
        for path, key in (("/calls", "call_sid"), ("/leads", "id")):
            seen, cursor = [], ""
            while cursor is not None:
                more = f"&cursor={cursor}" if cursor else ""
                page = await world.ours.get(f"{path}?limit=2{more}")
                seen += [one[key] for one in page["items"]]
                cursor = page["next"]
            assert len(seen) == len(set(seen)) == 5, path
        assert len((await world.ours.get("/calls?failed=true"))["items"]) == 1
        one = await world.ours.get("/leads?phone=%2B15550000003")
        assert [lead["phone"] for lead in one["items"]] == ["+15550000003"]
        lead_id = one["items"][0]["id"]
        assert (await world.ours.get(f"/leads/{lead_id}"))["calls"] == 1

    api(story)


def test_call_is_read_with_its_words(api):
    async def story(world):
        sid = f"CA{uuid4().hex}"
        await calls.save(world.db, world.ours.id, call(sid))
        found = await world.ours.get(f"/calls/{sid}")
        assert found["turns"][0]["text"] == "Hello"
        assert found["tools"][0]["name"] == "leads_upsert"

    api(story)


def test_limits_that_spend_the_service_s_money_are_not_the_business_s(api):
    async def story(world):
        limits = {"limit_cost_per_day": 20.0, "openai_model": "gpt-realtime-2.1"}

        def limit(business):
            return msgspec.structs.replace(business, settings=limits)

        by = By("hand", "Operator")
        await saving.change(world.db, world.ours.id, limit, by)
        for settings in (
            {"limit_cost_per_day": 0},
            {"LIMIT_COST_PER_DAY": "21"},
            {"limit_minutes_per_day": 0},
            {"openai_model": "gpt-realtime"},
            {"whatsapp_model": "gpt-6"},
        ):
            body = {"settings": settings}
            status, problem = await world.ours.ask("PATCH", "/assistant", body)
            (error,) = problem["errors"]
            assert (status, error["field"]) == (422, "settings"), settings
            assert next(iter(settings)).upper() in error["message"]
        for settings in ({"turn_silence_ms": 700}, {"LIMIT_COST_PER_DAY": "20"}, {}):
            body = {"settings": settings}
            status, found = await world.ours.ask("PATCH", "/assistant", body)
            assert (status, found["settings"] | limits) == (200, found["settings"])
        assert found["settings"] == limits

    api(story)


def test_lead_has_so_many_fields_whatever_the_number_of_changes(api):
    async def story(world):
        lead = await leads.touch(world.db, world.ours.id, PHONE)

        async def change(**fields):
            body = {"fields": fields}
            return (await world.ours.ask("PATCH", f"/leads/{lead.id}", body))[0]

        many = {f"a{number}": "x" for number in range(FIELDS_MAX)}
        assert await change(**many) == 200
        assert await change(one_more="x") == 422
        assert await change(a0="y") == 200
        assert await change(one_more="x", a0="") == 200

    api(story)


def test_appointment_is_booked_moved_and_cancelled(api):
    async def story(world):
        ours = world.ours
        status, booked = await ours.ask("POST", "/appointments", booking())
        assert (status, booked["service"], booked["name"]) == (201, "Cut", "Ben")
        assert booked["made_by"] == "API: Program"
        status, problem = await ours.ask(
            "POST", "/appointments", booking(phone="+15550000009")
        )
        assert (status, problem["errors"][0]["field"]) == (409, "starts_at")
        assert "+02:00" in problem["errors"][0]["message"]

        later = {"starts_at": soon(26).isoformat()}
        status, moved = await ours.ask("PATCH", f"/appointments/{booked['id']}", later)
        assert status == 200
        assert datetime.fromisoformat(moved["starts_at"]) == soon(26)
        status, problem = await ours.ask(
            "PATCH", f"/appointments/{booked['id']}", later
        )
        assert (status, "moved" in problem["detail"]) == (409, True)

        path = f"/appointments/{moved['id']}"
        assert await ours.ask("DELETE", path) == (204, None)
        assert await ours.ask("DELETE", path) == (204, None)
        assert (await ours.get(path))["status"] == "cancelled"
        booked_now = await ours.get("/appointments?status=booked")
        assert booked_now["items"] == []
        span = f"from={soon(25):%Y-%m-%dT%H:%M:%SZ}&to={soon(27):%Y-%m-%dT%H:%M:%SZ}"
        listed = await ours.get(f"/appointments?{span}")
        assert [one["id"] for one in listed["items"]] == [moved["id"]]

    api(story)


def test_free_slots_leave_out_what_is_booked(api):
    async def story(world):
        zone = ZoneInfo("Asia/Jerusalem")
        day = soon(48).astimezone(zone).date()
        path = f"/free-slots?service=Cut&first_day={day}&last_day={day}"
        before = await world.ours.get(path)
        starts_at = before[0]["starts_at"]
        assert before[0]["people"] == [0]
        await world.ours.ask("POST", "/appointments", booking(starts_at=starts_at))
        after = await world.ours.get(path)
        assert starts_at not in [one["starts_at"] for one in after]
        assert len(after) < len(before)

    api(story)


def test_free_slots_beyond_the_most_are_asked_for_in_parts(api):
    async def story(world):
        day = soon(48).astimezone(ZoneInfo("Asia/Jerusalem")).date()

        def ask(days):
            last = day + timedelta(days=days - 1)
            path = f"/free-slots?service=Cut&first_day={day}&last_day={last}"
            return world.ours.ask("GET", path)

        status, problem = await ask(20)
        assert (status, problem["errors"][0]["field"]) == (422, "last_day")
        assert f"until {day + timedelta(days=2)}" in problem["errors"][0]["message"]
        status, slots = await ask(3)
        assert status == 200
        assert 800 < len(slots) < 1_000

    api(story)


def test_business_is_changed_part_by_part(api):
    async def story(world):
        ours = world.ours
        cut = {"name": "Cut", "minutes": 45, "price": "$80"}
        status, services = await ours.ask("PUT", "/services", [cut])
        assert (status, services[0]["minutes"]) == (200, 45)
        dana = {"name": "Dana", "services": ["cut"]}
        _, staff = await ours.ask("PUT", "/staff", [dana])
        assert staff[0]["services"] == ["Cut"]
        hours = {"monday": ["09:00-17:00"]}
        assert (await ours.ask("PUT", "/hours", hours))[1] == hours
        closed = [{"day": "2030-01-01", "until": None, "reason": "Holiday"}]
        assert (await ours.ask("PUT", "/closures", closed))[1] == closed
        status, assistant = await ours.ask(
            "PATCH",
            "/assistant",
            {"greeting": "Hi!", "settings": {"turn_silence_ms": 700}},
        )
        assert (status, assistant["greeting"]) == (200, "Hi!")
        whole = await ours.get("/business")
        assert whole["services"][0]["price"] == "$80"
        assert whole["settings"] == {"turn_silence_ms": 700}
        assert (await ours.get("/assistant"))["language"] == "en"
        assert (await world.theirs.get("/services"))[0]["minutes"] == 30

    api(story)


def test_endpoints_and_log_of_notices(api):
    async def story(world):
        ours = world.ours
        hook = {"kind": "webhook", "target": "https://example.com/hook"}
        status, made = await ours.ask("POST", "/notices/endpoints", hook)
        assert (status, made["secret"][:6]) == (201, "whsec_")
        mail = {"kind": "email", "target": "a@b.com", "types": ["lead.created"]}
        await ours.ask("POST", "/notices/endpoints", mail)
        listed = await ours.get("/notices/endpoints")
        assert all("secret" not in one for one in listed)
        for at in range(3):
            await leads.touch(world.db, ours.id, f"+1555000000{at}")
        page = await ours.get("/notices/log?limit=2")
        rest = await ours.get(f"/notices/log?limit=2&cursor={page['next']}")
        assert (len(page["items"]), len(rest["items"]), rest["next"]) == (4, 2, None)
        notice_id = page["items"][0]["notice_id"]
        status, replayed = await ours.ask("POST", f"/notices/log/{notice_id}/replay")
        assert (status, replayed) == (200, {"endpoints": 2})
        path = f"/notices/endpoints/{made['id']}"
        assert (await ours.ask("POST", f"{path}/enable"))[0] == 204
        assert (await ours.ask("DELETE", path))[0] == 204

    api(story)


def test_time_far_away_is_refused(api):
    async def story(world):
        far = {"starts_at": "9999-12-31T23:59:59Z"}
        _, booked = await world.ours.ask("POST", "/appointments", booking())
        status, problem = await world.ours.ask(
            "PATCH", f"/appointments/{booked['id']}", far
        )
        assert (status, problem["errors"][0]["field"]) == (422, "starts_at")

    api(story)


def test_lead_is_changed_and_erased(api):
    async def story(world):
        ours = world.ours
        lead = await leads.upsert(world.db, ours.id, PHONE, {"city": "Acre"})
        path = f"/leads/{lead.id}"
        change = {
            "name": " Dana ",
            "do_not_contact": True,
            "fields": {"city": "", "email": "d@e.com"},
        }
        status, changed = await ours.ask("PATCH", path, change)
        assert (status, changed["name"]) == (200, "Dana")
        assert changed["do_not_contact"] is True
        assert changed["fields"] == {"email": "d@e.com"}
        assert (await ours.ask("PATCH", path, {}))[1] == changed
        status, problem = await ours.ask("PATCH", path, {"fields": {"No!": "x"}})
        assert (status, problem["errors"][0]["field"]) == (422, "fields")
        body = booking()
        await ours.ask("POST", "/appointments", body, Idempotency_Key="k")
        _, erased = await ours.ask("DELETE", path)
        assert (erased["rows"]["leads"], erased["files_left"]) == (1, 0)
        assert (await ours.ask("GET", path))[0] == 404
        async with world.db.tenant(ours.id) as connection:
            count = "select count(*) from idempotent_answers"
            assert await connection.fetchval(count) == 0
        acts = await audit.recent(world.db, ours.id)
        assert acts[0].action == "DELETE /api/v1/leads/{id}"
        assert (acts[0].user_name, acts[0].subject) == ("API: Program", str(lead.id))

    api(story)


@pytest.mark.parametrize(
    "written", ["%2B972501234567", "+972501234567", "972501234567", "050-123-4567"]
)
def test_lead_is_found_however_its_number_is_written(api, written):
    async def story(world):
        await businesses.update(world.db, world.ours.id, country="IL")
        lead = await leads.upsert(world.db, world.ours.id, "+972501234567", {})
        found = (await world.ours.get(f"/leads?phone={written}"))["items"]
        assert [one["id"] for one in found] == [str(lead.id)]
        status, problem = await world.ours.ask("GET", "/leads?phone=Dana")
        assert (status, problem["errors"][0]["field"]) == (422, "phone")

    api(story)


def test_conversation_is_read_written_in_held_and_handed_back(api):
    async def story(world):
        ours, path = world.ours, "/conversations"
        ids = [await wrote(world, ours.id, f"hello {at}") for at in range(3)]
        seen, cursor = [], ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            page = await ours.get(f"{path}?limit=2{more}")
            seen += [one["id"] for one in page["items"]]
            cursor = page["next"]
        assert seen == ids[::-1]
        found = await ours.get(f"{path}?words=hello+1&state=unanswered")
        assert [one["id"] for one in found["items"]] == [ids[1]]

        own = f"{path}/{ids[0]}"
        whole = await ours.get(own)
        assert [one["body"] for one in whole["messages"]] == ["hello 0"]
        assert (whole["writable"], whole["turns"], whole["tools"]) == (True, [], [])
        body = {"body": "We are here."}
        status, written = await ours.ask(
            "POST", f"{own}/messages", body, Idempotency_Key="a"
        )
        assert (status, written["author"], written["status"]) == (
            201,
            "person",
            "waiting",
        )
        assert written["made_by"] == "API: Program"
        await ours.ask("POST", f"{own}/messages", body, Idempotency_Key="a")
        assert len((await ours.get(own))["messages"]) == 2
        _, held = await ours.ask("POST", f"{own}/hold")
        assert held["held_since"] is not None
        _, free = await ours.ask("POST", f"{own}/hand-back")
        assert free["held_since"] is None
        acts = [entry.action for entry in await audit.recent(world.db, ours.id)]
        assert f"POST /api/v1{path}/{{id}}/hold" in acts

        for method, where, given in (
            ("GET", own, None),
            ("POST", f"{own}/messages", body),
            ("POST", f"{own}/hold", None),
            ("POST", f"{own}/hand-back", None),
        ):
            assert (await world.theirs.ask(method, where, given))[0] == 404, where
        for query in ("cursor=%21", "state=lost", "cursor=MQ=="):
            status, _ = await ours.ask("GET", f"{path}?{query}")
            assert status == 422, query

    api(story)


def test_text_outside_the_window_or_after_stop_is_refused(api):
    async def story(world):
        ours = world.ours
        late, stopped = [await wrote(world, ours.id, "hello") for _ in range(2)]
        async with world.db.tenant(ours.id) as connection:
            await connection.execute(
                "update conversations set last_inbound_at = now() - interval '1 day' "
                "where id = $1",
                late,
            )
            await opting_out.stop(connection, ours.id, stopped)
        for own, why in ((late, "24 hours"), (stopped, "wants no messages")):
            path = f"/conversations/{own}"
            status, problem = await ours.ask(
                "POST", f"{path}/messages", {"body": "Hello"}
            )
            assert (status, why in problem["detail"]) == (409, True)
            assert not (await ours.get(path))["writable"]
            status, _ = await ours.ask("POST", f"{path}/messages", {"body": ""})
            assert status == 422
            status, _ = await ours.ask("POST", f"{path}/messages", {"body": " "})
            assert status == 422

    api(story)


async def wrote(world, business_id, body):
    """Let somebody new write; return the conversation's id."""
    arrived = Arrived(
        f"SM{uuid4().hex}",
        body,
        "+15550009999",
        "AC1",
        f"+1555{uuid4().int % 10**7:07}",
    )
    received = await conversations.receive(world.db, business_id, arrived)
    return str(received.conversation_id)
