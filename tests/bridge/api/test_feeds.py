"""Calendar feeds: by a secret URL, of a business or a person, nothing of another."""

from uuid import UUID

from icalendar import Calendar

from bridge.api.feeds import FEED_RATE
from crm import access_tokens, appointment_links
from tests.bridge.api.conftest import soon
from tests.bridge.api.test_application import booking


async def fetch(world, secret, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with world.session.get(
        f"{world.base}/feeds/{secret}.ics", headers=named
    ) as response:
        return response.status, await response.read(), response.headers


async def feed(world, program, resource=None):
    made = await access_tokens.make(
        world.db, program.id, "feed", "Salon שלום", (), resource
    )
    return made.secret


def test_feed_has_what_is_booked_in_utc_with_the_zone(api):
    async def story(world):
        secret = await feed(world, world.ours)
        name = "Ben, Jr; \\ \r\nX: y בן"
        _, booked = await world.ours.ask("POST", "/appointments", booking(name=name))
        await world.theirs.ask("POST", "/appointments", booking(26))
        status, body, headers = await fetch(world, secret)
        assert status == 200
        assert headers["Content-Type"] == "text/calendar; charset=utf-8"
        calendar = Calendar.from_ical(body)
        assert str(calendar["X-WR-TIMEZONE"]) == "Asia/Jerusalem"
        assert str(calendar["X-WR-CALNAME"]) == "Salon שלום"
        (event,) = calendar.walk("VEVENT")
        assert event.decoded("DTSTART") == soon()
        assert b"DTSTART:" in body and body.split(b"DTSTART:")[1][:16].endswith(b"Z")
        assert str(event["UID"]) == f"{booked['id']}@kolbridge"
        assert "בן" in str(event["SUMMARY"])
        assert body.count(b"\r\nX:") == 0

        await world.ours.ask("DELETE", f"/appointments/{booked['id']}")
        _, body, _ = await fetch(world, secret)
        assert Calendar.from_ical(body).walk("VEVENT") == []

    api(story)


def test_unchanged_feed_is_not_sent_again(api):
    async def story(world):
        secret = await feed(world, world.ours)
        _, first, headers = await fetch(world, secret)
        _, second, _ = await fetch(world, secret)
        assert first == second
        status, body, _ = await fetch(world, secret, If_None_Match=headers["ETag"])
        assert (status, body) == (304, b"")
        await world.ours.ask("POST", "/appointments", booking())
        status, _, _ = await fetch(world, secret, If_None_Match=headers["ETag"])
        assert status == 200

    api(story)


def test_feed_of_a_person_has_their_appointments_alone(api):
    async def story(world):
        staff = [{"name": "Dana"}, {"name": "Eli"}]
        await world.ours.ask("PUT", "/staff", staff)
        for person, hours in ((0, 24), (1, 26)):
            status, _ = await world.ours.ask(
                "POST", "/appointments", booking(hours, person=person)
            )
            assert status == 201
        _, body, _ = await fetch(world, await feed(world, world.ours, 1))
        (event,) = Calendar.from_ical(body).walk("VEVENT")
        assert event.decoded("DTSTART") == soon(26)
        assert "Eli" in str(event["DESCRIPTION"])

    api(story)


def test_feed_is_revoked_and_rated(api):
    async def story(world):
        secret = await feed(world, world.ours)
        statuses = [(await fetch(world, secret))[0] for _ in range(FEED_RATE.burst + 5)]
        assert 429 in statuses
        assert (await fetch(world, world.ours.token))[0] == 404
        for token in await access_tokens.listed(world.db, world.ours.id):
            await access_tokens.revoke(world.db, world.ours.id, token.id)
        assert (await fetch(world, secret))[0] == 404
        for _ in range(25):
            status, _, _ = await fetch(world, "guess")
        assert status == 429

    api(story)


def test_link_shows_one_appointment_and_nothing_of_its_person(api):
    async def story(world):
        name = "Ben Jonson"
        _, booked = await world.ours.ask("POST", "/appointments", booking(name=name))
        await world.ours.ask("POST", "/appointments", booking(26))
        async with world.db.tenant(world.ours.id) as connection:
            given = connection, world.ours.id, UUID(booked["id"])
            token = await appointment_links.make(*given)
        status, body, headers = await fetch(world, f"a/{token}")
        assert status == 200
        assert headers["Content-Type"] == "text/calendar; charset=utf-8"
        calendar = Calendar.from_ical(body)
        (event,) = calendar.walk("VEVENT")
        assert event.decoded("DTSTART") == soon()
        assert str(event["STATUS"]) == "CONFIRMED"
        assert b"Jonson" not in body and b"+" not in body

        await world.ours.ask("DELETE", f"/appointments/{booked['id']}")
        _, body, _ = await fetch(world, f"a/{token}")
        calendar = Calendar.from_ical(body)
        (event,) = calendar.walk("VEVENT")
        assert (str(calendar["METHOD"]), str(event["STATUS"])) == (
            "CANCEL",
            "CANCELLED",
        )

    api(story)


def test_guessed_links_are_rated(api):
    async def story(world):
        found = {(await fetch(world, f"a/{number:048}"))[0] for number in range(40)}
        assert found == {404, 429}
        assert (await fetch(world, "a/" + "x" * 100))[0] == 429

    api(story)
