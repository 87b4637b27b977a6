"""What the API does with a business: calls, leads, appointments, settings, notices."""

from datetime import datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

from crm import audit, calls, leads
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
