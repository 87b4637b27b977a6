"""Notices and API in the console: endpoints, log with replay, tokens, calendars."""

import asyncio
import re
from uuid import uuid4

import pytest

from crm import access_tokens, audit, leads, notices

HOOK = "https://example.com/hook"


def run(story):
    asyncio.run(story())


async def tokens_of(at, business_id=None):
    return await access_tokens.listed(at.database, business_id or at.ours)


def test_empty_page_says_what_to_do(desk):
    async def story():
        async with desk() as at:
            status, text = await at.owner.get(at.path("notices"))
            assert status == 200
            for title in ("Nobody is told yet", "no calendar yet", "no token yet"):
                assert title in text
            status, text = await at.owner.get(at.path("notices", "log"))
            assert "Nothing was sent yet" in text

    run(story)


def test_webhook_is_added_its_secret_shown_once_tested_and_removed(desk):
    async def story():
        async with desk() as at:
            await at.owner.get(at.path("notices"))
            status, text = await at.owner.post(
                at.path("notices", "endpoints"),
                kind="webhook",
                target=HOOK,
                type="lead.created",
            )
            secret = re.search(r'value="(whsec_[^"]+)"', text)[1]
            assert status == 200
            _, text = await at.owner.get(at.path("notices"))
            assert secret not in text
            assert HOOK in text
            (one,) = await notices.endpoints(at.database, at.ours)
            assert one.types == ("lead.created",)
            await leads.touch(at.database, at.ours, "+15550000001")
            await at.owner.post(at.path("notices", "endpoints", one.id, "test"))
            assert at.owner.headers["Location"] == at.path("notices", "log")
            _, text = await at.owner.get(at.path("notices", "log"))
            assert "A new lead" in text and "A test" in text
            entry = (await notices.log(at.database, at.ours))[0]
            status, _ = await at.owner.post(
                at.path("notices", "log", entry.notice_id, "replay"),
                endpoint=str(one.id),
            )
            assert status == 303
            await at.owner.post(at.path("notices", "endpoints", one.id, "remove"))
            assert await notices.endpoints(at.database, at.ours) == []
            acts = [row.action for row in await audit.recent(at.database, at.ours, 9)]
            assert "notices.endpoint_added" in acts
            assert "notices.replayed" in acts

    run(story)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "webhook", "target": "http://a.b", "type": "call.ended"}, "target"),
        (
            {"kind": "webhook", "target": "https://10.0.0.1", "type": "call.ended"},
            "target",
        ),
        ({"kind": "email", "target": "dana", "type": "call.ended"}, "target"),
        ({"kind": "email", "target": "a@b.com"}, "type"),
    ],
)
def test_wrong_endpoint_names_the_field(desk, fields, field):
    async def story():
        async with desk() as at:
            await at.owner.get(at.path("notices"))
            status, text = await at.owner.post(
                at.path("notices", "endpoints"), **fields
            )
            assert status == 422
            assert f'id="{field}-fault"' in text
            assert f'aria-describedby="{field}-fault"' in text
            assert fields["target"] in text

    run(story)


def test_token_and_calendar_are_shown_once_and_revoked(desk):
    async def story():
        async with desk() as at:
            await at.owner.get(at.path("notices"))
            fields = {"api-name": "Our website", "scope": "write"}
            status, text = await at.owner.post(at.path("notices", "api"), **fields)
            secret = re.search(r'value="(kolbridge_[^"]+)"', text)[1]
            found = await access_tokens.find(at.database, "api", secret)
            assert (status, found.scopes) == (200, ("read", "write"))
            _, text = await at.owner.post(
                at.path("notices", "feed"), **{"feed-name": "Salon"}
            )
            url = re.search(r'value="([^"]+/feeds/[^"]+\.ics)"', text)[1]
            status, text = await at.nobody.get(url.removeprefix(at.nobody.base))
            assert (status, "X-WR-CALNAME:Salon" in text) == (200, True)
            _, text = await at.owner.get(at.path("notices"))
            assert secret not in text and url not in text
            for token in await tokens_of(at):
                await at.owner.post(at.path("notices", "tokens", token.id, "revoke"))
            assert await tokens_of(at) == []

    run(story)


def test_name_is_needed_and_person_is_known(desk):
    async def story():
        async with desk() as at:
            await at.owner.get(at.path("notices"))
            for kind in ("api", "feed"):
                status, text = await at.owner.post(
                    at.path("notices", kind), **{f"{kind}-name": " "}
                )
                assert (status, f'id="{kind}-name-fault"' in text) == (422, True)
            status, _ = await at.owner.post(
                at.path("notices", "feed"), **{"feed-name": "x", "person": "7"}
            )
            assert status == 400

    run(story)


def test_others_reach_nothing(desk):
    async def story():
        async with desk() as at:
            made = await notices.add(
                at.database, at.ours, "webhook", HOOK, ["lead.created"]
            )
            token = await access_tokens.make(at.database, at.ours, "api", "x", ())
            await leads.touch(at.database, at.ours, "+15550000001")
            (entry,) = await notices.log(at.database, at.ours)
            gets = ["notices", "notices/log"]
            posts = [
                f"notices/endpoints/{made.endpoint.id}/remove",
                f"notices/endpoints/{made.endpoint.id}/test",
                f"notices/log/{entry.notice_id}/replay",
                f"notices/tokens/{token.token.id}/revoke",
            ]
            endpoint = str(made.endpoint.id)
            for path in gets:
                assert (await at.other.get(at.path(path)))[0] == 404
                assert (await at.staff.get(at.path(path)))[0] == 403
            await at.other.get(at.path("notices", business=at.theirs))
            for path in posts:
                status, _ = await at.other.post(at.path(path), endpoint=endpoint)
                assert status == 404
                # Its own page, with an id of ours.
                status, _ = await at.other.post(
                    at.path(path, business=at.theirs), endpoint=endpoint
                )
                assert status == 404
                status, _ = await at.staff.post(at.path(path), endpoint=endpoint)
                assert status == 403
            status, _ = await at.owner.post(
                at.path("notices", "tokens", uuid4(), "revoke")
            )
            assert status == 404
            assert len(await notices.endpoints(at.database, at.ours)) == 1
            assert len(await tokens_of(at)) == 1

    run(story)
