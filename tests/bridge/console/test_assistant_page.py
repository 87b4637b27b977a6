"""The assistant's page: changed with its fields named, versions, and what is told."""

import asyncio
import re

import msgspec
import pytest

from crm import businesses, saving, versions
from crm.authors import By
from tests.bridge.console.test_calendar_page import open_salon


def run(desk, story):
    async def main():
        async with desk() as at:
            await open_salon(at)
            await at.owner.get(at.path("assistant"))
            await story(at)

    asyncio.run(main())


async def fields(at, browser=None, **changes):
    """Return the form as the page has it, with changes."""
    _, text = await (browser or at.owner).get(at.path("assistant"))
    seen = re.search(r'name="seen" value="(\w+)"', text)[1]
    form = {"language": "he", "greeting": "Shalom.", "prompt": "Be brief.\r\nAlways."}
    return {**form, "required_fields": "name, phone", "seen": seen, **changes}


async def now(at):
    return await businesses.get(at.database, at.ours)


def test_saved_assistant_is_a_version_with_its_author(desk):
    async def story(at):
        await businesses.set_setting(at.database, at.ours, "playout_lead_ms", 400)
        form = await fields(at, openai_voice="cedar", turn_silence_ms="700", note="New")
        form |= {"audio_agc": "on", "snr_start_normal": "9.5"}
        form |= {"whatsapp": "on", "quiet_hours": "20:00-09:30"}
        status, _ = await at.owner.post(at.path("assistant"), **form)
        assert status == 303
        business = await now(at)
        assert business.custom_prompt == "Be brief.\nAlways."
        assert business.required_fields == ("name", "phone")
        assert business.settings == {
            "playout_lead_ms": 400,
            "openai_voice": "cedar",
            "turn_silence_ms": 700,
            "audio_agc": True,
            "snr_start_normal": 9.5,
            "whatsapp": True,
            "quiet_hours": "20:00-09:30",
        }
        last = (await versions.listed(at.database, at.ours))[0]
        assert (last.by, last.note) == (By("hand", "Owner"), "New")
        _, text = await at.owner.get(at.path("assistant"))
        assert 'value="700"' in text
        assert 'name="quiet_hours" value="20:00-09:30"' in text
        assert "PLAYOUT_LEAD_MS=400" in text
        assert "assistant.changed" in (await at.owner.get(at.path("audit")))[1]
        # An empty field is the service's own value again.
        await at.owner.post(at.path("assistant"), **await fields(at))
        assert (await now(at)).settings == {"playout_lead_ms": 400}

    run(desk, story)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"language": "xx"}, "language"),
        ({"greeting": "a\x1b"}, "greeting"),
        ({"fallback_sentence": "\x07"}, "fallback_sentence"),
        ({"prompt": "שלום " * 9_000}, "prompt"),
        ({"prompt": "a" * 60_001}, "prompt"),
        ({"required_fields": "First-name"}, "required_fields"),
        ({"openai_voice": "fable"}, "openai_voice"),
        ({"turn_silence_ms": "5"}, "turn_silence_ms"),
        ({"turn_silence_ms": "soon"}, "turn_silence_ms"),
        ({"turn_detection": "luck"}, "turn_detection"),
        ({"snr_stop_normal": "20"}, "snr_stop_normal"),
        ({"quiet_hours": "at night"}, "quiet_hours"),
        ({"whatsapp_templates": "reminder.en=HX1"}, "whatsapp_templates"),
    ],
)
def test_wrong_field_is_named_and_nothing_is_saved(desk, wrong, field):
    async def story(at):
        before = await now(at)
        status, text = await at.owner.post(
            at.path("assistant"), **await fields(at, **wrong)
        )
        assert status == 422
        assert f'id="{field}-fault"' in text
        assert await now(at) == before

    run(desk, story)


def test_what_is_wrong_is_named_at_the_top_in_the_page_s_language(desk):
    async def story(at):
        given = await fields(at, turn_silence_ms="5", quiet_hours="at night")
        await at.owner.post("/console/language", language="he")
        await at.owner.get("/console/account")
        status, text = await at.owner.post(at.path("assistant"), **given)
        told = re.search(
            r'<div class="notice fault" role="alert">(.*?)</div>', text, re.S
        )
        top, check = told[1].split('<p lang="en" dir="ltr">')
        assert status == 422
        assert "לא נשמר דבר" in top
        assert "שעות שקט" in top
        assert "QUIET_HOURS" not in top
        assert "QUIET_HOURS" in check

    run(desk, story)


def test_who_saves_an_older_form_is_told_and_may_save_again(desk):
    async def story(at):
        await at.operator.get(at.path("assistant"))
        mine, theirs = await fields(at), await fields(at, greeting="Hi.")
        assert (await at.operator.post(at.path("assistant"), **theirs))[0] == 303
        status, text = await at.owner.post(at.path("assistant"), **mine)
        assert (status, "Somebody else has saved" in text) == (409, True)
        assert (await now(at)).greeting == "Hi."
        seen = re.search(r'name="seen" value="(\w+)"', text)[1]
        mine["seen"] = seen
        assert (await at.owner.post(at.path("assistant"), **mine))[0] == 303
        assert (await now(at)).greeting == "Shalom."
        names = [one.by.who for one in await versions.listed(at.database, at.ours)]
        assert names[:2] == ["Owner", "Operator"]

    run(desk, story)


def test_versions_are_compared_and_gone_back_to(desk):
    async def story(at):
        _, text = await at.owner.get(at.path("assistant", "versions"))
        for prompt in ("One.\nTwo.", "One.\n<b>Three.</b>"):
            await at.owner.post(at.path("assistant"), **await fields(at, prompt=prompt))
        found = await versions.listed(at.database, at.ours)
        new, old = found[0].number, found[1].number
        _, text = await at.owner.get(at.path("assistant", "versions"))
        assert f"old={old}&amp;new={new}" in text
        where = at.path("assistant", "compare")
        _, text = await at.owner.get(f"{where}?old={old}&new={new}")
        assert "<del>Two.</del>" in text
        assert "<ins>&lt;b&gt;Three.&lt;/b&gt;</ins>" in text
        _, text = await at.owner.get(f"{where}?old={new}&new={new}")
        assert "They are the same." in text
        for wrong in ("?old=1", "?old=0&new=1", "?old=x&new=1", f"?old={9**99}&new=1"):
            assert (await at.owner.get(where + wrong))[0] == 404
        back = at.path("assistant", "back")
        assert (await at.owner.post(back, number=str(old)))[0] == 303
        assert (await now(at)).custom_prompt == "One.\nTwo."
        last = (await versions.listed(at.database, at.ours))[0]
        assert (last.number, last.note) == (new + 1, f"as version {old}")
        assert (await at.owner.post(back, number="99"))[0] == 404
        _, text = await at.owner.get(f"{at.path('assistant', 'versions')}?before=1")
        assert "There are no versions yet." in text

    run(desk, story)


def test_limits_of_the_service_do_not_go_back(desk):
    async def story(at):
        await at.owner.post(at.path("assistant"), **await fields(at, prompt="One."))
        limits = {"limit_cost_per_day": 20.0}

        def limit(business):
            return msgspec.structs.replace(business, settings=limits)

        await saving.change(at.database, at.ours, limit, By("hand", "Operator"))
        old = (await versions.listed(at.database, at.ours))[-1].number
        back = at.path("assistant", "back")
        assert (await at.owner.post(back, number=str(old)))[0] == 303
        assert (await now(at)).settings["limit_cost_per_day"] == 20.0

    run(desk, story)


def test_what_is_told_is_the_prompt_of_a_call_with_its_tools(desk):
    async def story(at):
        await at.owner.post(at.path("assistant"), **await fields(at))
        _, text = await at.owner.get(at.path("assistant", "told"))
        assert "### BUSINESS INSTRUCTIONS\nBe brief." in text
        assert "Services: Cut (30 min, 80 ₪)" in text
        assert "calendar_find_slots" in text

    run(desk, story)


def test_staff_and_other_businesses_reach_nothing(desk):
    async def story(at):
        await at.owner.post(at.path("assistant"), **await fields(at))
        before = await now(at)
        pages = ((), ("versions",), ("compare",), ("told",))
        for parts in pages:
            where = at.path("assistant", *parts)
            assert (await at.staff.get(where))[0] == 403
            assert (await at.other.get(where))[0] == 404
        for parts in ((), ("back",)):
            where = at.path("assistant", *parts)
            form = {**await fields(at, greeting="Mine."), "number": "1"}
            assert (await at.staff.post(where, **form))[0] == 403
            assert (await at.other.post(where, **form))[0] in (403, 404)
        await at.other.get(at.path("assistant", business=at.theirs))
        back = at.path("assistant", "back", business=at.theirs)
        assert (await at.other.post(back, number="1"))[0] == 404
        assert await now(at) == before

    run(desk, story)
