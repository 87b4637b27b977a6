"""Versions of an assistant: who changed what, and the way back, on a real database."""

import asyncio
from uuid import uuid4

import pytest
from msgspec.structs import replace

from crm import businesses, saving, versions
from crm.authors import COMMAND_LINE, NOBODY, By
from crm.businesses import Service
from crm.database import Database
from crm.saving import Deleted

DANA, DAN = By("hand", "Dana"), By("hand", "Dan")


def with_business(url, story):
    async def main():
        db = await Database.open(url, pool_max=4)
        try:
            made = await businesses.create(db, f"V {uuid4().hex}", greeting="Hello.")
            await story(db, made)
        finally:
            await db.close()

    asyncio.run(main())


def edit(**changes):
    return lambda business: replace(business, **changes)


def test_each_change_is_a_version_and_the_state_before_is_the_first(database_url):
    async def story(db, made):
        await saving.change(db, made, edit(greeting="Hi."), DANA, note="shorter")
        settings = {"openai_voice": "cedar"}
        await saving.change(
            db, made, edit(settings=settings, custom_prompt="Be brief."), DAN
        )

        third, second, first = await versions.listed(db, made)
        assert [one.number for one in (first, second, third)] == [1, 2, 3]
        assert (first.by, first.contents.greeting) == (NOBODY, "Hello.")
        assert (second.by, second.note) == (DANA, "shorter")
        assert second.changed == ("greeting",)
        assert third.by == DAN
        assert third.changed == ("custom_prompt", "settings.openai_voice")
        assert await versions.get(db, made, 3) == third
        assert await versions.get(db, made, 4) is None
        assert await versions.listed(db, made, before=3, limit=1) == [second]

    with_business(database_url, story)


def test_change_of_what_the_assistant_is_not_made_of_is_no_version(database_url):
    async def story(db, made):
        await saving.change(db, made, edit(greeting="Hi."), DANA)
        await saving.change(db, made, edit(services=(Service("Cut", 30),)), DANA)
        await saving.change(db, made, edit(greeting="Hi."), DAN)
        assert len(await versions.listed(db, made)) == 2

    with_business(database_url, story)


def test_one_can_go_back_and_that_is_a_version_too(database_url):
    async def story(db, made):
        changed = edit(greeting="Hi.", settings={"openai_voice": "cedar"})
        await saving.change(db, made, changed, DANA)
        first = await versions.get(db, made, 1)

        back = await saving.change(
            db, made, lambda now: versions.apply(now, first.contents), DAN
        )

        assert (back.greeting, back.settings) == ("Hello.", {})
        last = (await versions.listed(db, made))[0]
        assert (last.number, last.by, last.contents) == (3, DAN, first.contents)

    with_business(database_url, story)


def test_change_past_the_versions_becomes_one_of_nobody(database_url):
    async def story(db, made):
        await saving.change(db, made, edit(greeting="Hi."), DANA)
        await businesses.set_setting(db, made, "idle_prompt_ms", 9_000)
        await saving.change(db, made, edit(greeting="Hey."), DAN)

        last, by_nobody, *_ = await versions.listed(db, made)
        assert (by_nobody.by, by_nobody.changed) == (
            NOBODY,
            ("settings.idle_prompt_ms",),
        )
        assert last.changed == ("greeting",)

    with_business(database_url, story)


def test_command_line_is_named_for_a_business_saved_whole(database_url):
    async def story(db, made):
        business = await businesses.get(db, made)
        await saving.save(db, replace(business, greeting="Hi."))
        new = replace(business, id=uuid4(), name=f"New {uuid4().hex}")
        await saving.save(db, new)

        assert (await versions.listed(db, made))[0].by == COMMAND_LINE
        only = await versions.listed(db, new.id)
        assert [(one.number, one.by) for one in only] == [(1, COMMAND_LINE)]

    with_business(database_url, story)


def test_changes_at_once_lose_nothing(database_url):
    async def story(db, made):
        def add(name):
            return saving.change(
                db,
                made,
                lambda now: replace(now, required_fields=(*now.required_fields, name)),
                DANA,
            )

        await asyncio.gather(*(add(f"field_{at}") for at in range(8)))

        assert len((await businesses.get(db, made)).required_fields) == 8
        assert len(await versions.listed(db, made)) == 9

    with_business(database_url, story)


def test_refused_edit_changes_nothing_and_a_deleted_business_is_said(database_url):
    async def story(db, made):
        def refuse(business):
            raise ValueError("greeting: no")

        with pytest.raises(ValueError, match="greeting: no"):
            await saving.change(db, made, refuse, DANA)
        assert await versions.listed(db, made) == []
        with pytest.raises(Deleted):
            await saving.change(db, uuid4(), edit(greeting="Hi."), DANA)

    with_business(database_url, story)


def test_renamed_service_keeps_its_appointments(database_url):
    async def story(db, made):
        await saving.change(db, made, edit(services=(Service("Cut", 30),)), DANA)
        async with db.tenant(made) as connection:
            before = await connection.fetchval("select id from services")
        await saving.change(
            db,
            made,
            edit(services=(Service("Haircut", 45, price="$80"),)),
            DANA,
            renamed={"Cut": "Haircut"},
        )
        async with db.tenant(made) as connection:
            row = await connection.fetchrow("select id, name, price from services")
        assert tuple(row) == (before, "Haircut", "$80")

    with_business(database_url, story)


def test_other_business_sees_no_version(database_url):
    async def story(db, made):
        await saving.change(db, made, edit(greeting="Hi."), DANA)
        other = await businesses.create(db, f"Other {uuid4().hex}")
        assert await versions.listed(db, other) == []
        assert await versions.get(db, other, 1) is None

    with_business(database_url, story)
