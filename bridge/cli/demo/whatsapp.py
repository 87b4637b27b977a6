"""`kolbridge demo --whatsapp`: a person calls, and writes, and is one person.

The database, the sandbox's models, its messaging server and the writer run in this
process. The bridge is the real service in a process of its own, with its messenger
beside it. The writer moves and cancels what the call has booked, books anew, hears of
it the next day by a template, and says stop.
"""

import asyncio
import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import aiohttp

from bridge.cli.demo.checks import Check
from bridge.cli.demo.script import BUSINESSES, CALLER_NAMES, script
from bridge.cli.demo.service import (
    Bridge,
    environment,
    make,
    place_call,
    running_bridge,
    show,
)
from bridge.messaging.announcements import Announcements
from bridge.messaging.extra import MISSING, is_installed
from bridge.sandbox.messaging.message_records import Message
from bridge.sandbox.messaging.messages_api import MessagingApi
from bridge.sandbox.messaging.writer import Writer
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.responses.server import ResponsesServer
from bridge.sandbox.result import CallResult
from bridge.sandbox.script import by_language
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm import businesses, conversations, messages
from crm.connect import open_url, service_url
from crm.database import Database

BUSINESS = BUSINESSES[0]
NAME = CALLER_NAMES["en"]
# An answer takes the wait for more messages, a turn, and the statuses.
ANSWER_S = 20.0
# How long nothing may come where nothing should.
QUIET_S = 3.0
_TEMPLATE = "{{1}} reminds you of your appointment: {{2}}, {{3}}."
_CODE_WINDOW_CLOSED = 63016


class World(NamedTuple):
    """Everything of the demo that runs."""

    database: Database
    business_id: UUID
    bridge: Bridge
    api: MessagingApi
    model: ResponsesServer
    writer: Writer


def run() -> int:
    """Run the demo; 0 if every check holds, 2 without the extra."""
    if not is_installed():
        print(f"kolbridge demo: --whatsapp: {MISSING}")
        return 2
    with tempfile.TemporaryDirectory(prefix="kolbridge-demo-") as home:
        url, server = open_url(None, Path(home))
        try:
            return asyncio.run(_demo(url, Path(home)))
        finally:
            if server is not None:
                server.stop()


async def _demo(database_url: str, home: Path) -> int:
    database = await Database.open(database_url, pool_max=4)
    voice = RealtimeServer(by_language({"en": script("en")}))
    await voice.start()
    try:
        async with (
            MessagingApi(senders={BUSINESS.number}) as api,
            ResponsesServer(api_key=voice.api_key, latency_s=0.3) as model,
        ):
            business = await make(database, BUSINESS)
            template = api.template(_TEMPLATE, dict.fromkeys("123", "-"))
            await _set_up(database, business.id, template)
            env = environment(await service_url(database_url), voice)
            env |= {
                "DATABASE_ADMIN_URL": database_url,
                "KOLBRIDGE_HOME": os.fspath(home / "service"),
                "OPENAI_API_URL": model.url,
                "TWILIO_API_URL": api.url,
            }
            async with running_bridge(env) as bridge:
                api.connect(bridge.url)
                writer = Writer(
                    api,
                    bridge.url,
                    number=BUSINESS.caller,
                    business=BUSINESS.number,
                    name=NAME,
                )
                async with writer:
                    world = World(database, business.id, bridge, api, model, writer)
                    checks = await _story(world)
        return _conclude(checks)
    finally:
        await voice.close()
        await database.close()


async def _set_up(database: Database, business_id: UUID, template: str) -> None:
    settings = {
        "whatsapp": True,
        "appointment_reminders": True,
        # The demo runs at any hour.
        "quiet_hours": "off",
        "whatsapp_templates": f"reminder.en={template}",
    }
    for name, value in settings.items():
        await businesses.set_setting(database, business_id, name, value)


def _conclude(checks: list[Check]) -> int:
    print()
    for line in checks:
        print(f"  {'✓' if line.ok else '✗'} {line.text}: {line.figure}")
    return 0 if all(line.ok for line in checks) else 1


async def _story(world: World) -> list[Check]:
    """Let the person call and write; return what was seen."""
    calling = asyncio.ensure_future(place_call(world.bridge.url, BUSINESS))
    checks = [await _pieces(world)]
    result = await calling
    checks.append(await _one_person(world, result))
    checks.append(await _moved(world))
    checks.append(await _cancelled(world))
    checks.append(await _booked(world))
    checks.append(await _reminded(world))
    checks.append(await _stopped(world))
    await world.api.settle()
    checks.append(_wires(world))
    return checks


async def _pieces(world: World) -> Check:
    """Write in two pieces, which Twilio delivers twice: one reply."""
    for text in ("Hello!", "What can you do?"):
        show("chat", f"writes {text}")
    sids = await world.writer.write_pieces("Hello!", "What can you do?")
    for sid in sids:
        await world.writer.repeat(sid)
    await _reads(world)
    more = await _is_quiet(world)
    return Check("one reply to two pieces, delivered twice", more, "joined")


async def _one_person(world: World, result: CallResult) -> Check:
    """Look at the lead of the call, which is the writer's."""
    async with world.database.tenant(world.business_id) as connection:
        rows = await connection.fetch(
            "select name, calls, last_message_at is not null as wrote from leads"
        )
    ok = [dict(row) for row in rows] == [{"name": NAME, "calls": 1, "wrote": True}]
    figure = f"{len(rows)} lead, call {result.call_sid[-4:]}"
    return Check("the caller and the writer are one lead", ok, figure)


async def _moved(world: World) -> Check:
    """Move what the call has booked, by a row of a list."""
    before = await _appointments(world)
    await _writes(world, "Please move my appointment to another time.")
    await _picks(world, at=1)
    after = await _appointments(world)
    ok = len(before) == len(after) == 1 and before != after
    return Check("the chat moved what the call had booked", ok, _spoken(after))


async def _cancelled(world: World) -> Check:
    await _writes(world, "Please cancel it.")
    reply = await _reads(world)
    left = await _appointments(world)
    if reply is not None and reply.shown is not None and reply.shown.choices:
        # The assistant asks before it cancels.
        await _presses(world, reply)
        left = await _appointments(world)
    return Check("the chat cancelled it", not left, f"{len(left)} left")


async def _booked(world: World) -> Check:
    """Book anew; the same message delivered again books nothing."""
    show("chat", "writes I would like to book an appointment.")
    await world.writer.write("I would like to book an appointment.", repeats=2)
    reply = await _picks(world, at=-1)
    found = await _appointments(world)
    event = await _linked(reply)
    ok = len(found) == 1 and f"{found[0]:%Y%m%dT%H%M%SZ}" in event
    return Check("one appointment, and its link for the calendar", ok, _spoken(found))


async def _linked(reply: Message | None) -> str:
    """Return what the link at the end of a message leads to; "" if there is none."""
    url = "" if reply is None else reply.body.split()[-1]
    if not url.startswith("http"):
        return ""
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.text()


async def _reminded(world: World) -> Check:
    """Let a day pass: Twilio takes a template only, and the reminder is one."""
    [at] = await _appointments(world)
    async with world.database.tenant(world.business_id) as connection:
        await connection.execute(
            "update appointments set created_at = created_at - interval '100 days'"
        )
    zone = ZoneInfo(BUSINESS.columns["time_zone"])
    eve = (at.astimezone(zone) - timedelta(days=1)).replace(hour=11)
    world.api.clock.advance(hours=25)
    announcements = Announcements(Settings(), world.database, Metrics())
    business = await businesses.get(world.database, world.business_id)
    assert business is not None
    await announcements.look(business, eve)
    reply = await _reads(world)
    ok = reply is not None and reply.content is not None and "reminds" in reply.body
    closed = sum(one.error_code == _CODE_WINDOW_CLOSED for one in world.api.sent)
    figure = f"as a template, {closed} refused as text"
    return Check("a reminder after 24 hours", ok, figure if ok else "none came")


async def _stopped(world: World) -> Check:
    """Say stop; nothing but its confirmation comes, whoever writes."""
    show("chat", "writes STOP")
    await world.writer.stop()
    await _reads(world)
    async with world.database.tenant(world.business_id) as connection:
        conversation_id = await connection.fetchval("select id from conversations")
    await messages.write_by_hand(
        world.database, world.business_id, conversation_id, "Ann", "One more thing."
    )
    await _writes(world, "Are you there?")
    is_quiet = await _is_quiet(world)
    found = await conversations.get(world.database, world.business_id, conversation_id)
    ok = is_quiet and found is not None and found.stopped_at is not None
    late = world.writer.after_stops[-1]
    return Check("nothing after STOP but its confirmation", ok, f"{len(late)} came")


def _wires(world: World) -> Check:
    wrong = [*world.writer.problems, *world.api.problems, *world.model.problems]
    wrong += [str(one) for one in world.api.refusals]
    figure = "; ".join(wrong) or f"{len(world.api.sent)} messages sent"
    return Check("no warning from Twilio's side or the model's", not wrong, figure)


# --- what the writer does ---


async def _writes(world: World, text: str) -> None:
    show("chat", f"writes {text}")
    await world.writer.write(text)


async def _reads(world: World) -> Message | None:
    """Read the next message; None if none comes in time."""
    try:
        message = await world.writer.next(ANSWER_S)
    except TimeoutError:
        show("chat", "reads nothing")
        return None
    rows = message.shown.choices if message.shown else ()
    show("chat", f"reads  {' '.join(message.body.split())}")
    for row in rows:
        show("chat", f"       [{row.title}]")
    return message


async def _picks(world: World, at: int) -> Message | None:
    """Read a list of times, pick a row, and return what comes of it."""
    offer = await _reads(world)
    if offer is None or offer.shown is None or not offer.shown.choices:
        return None
    choice = offer.shown.choices[at]
    show("chat", f"picks  [{choice.title}]")
    await world.writer.pick(offer, choice)
    reply = await _reads(world)
    if reply is not None and reply.shown is not None and reply.shown.choices:
        return await _presses(world, reply)
    return reply


async def _presses(world: World, reply: Message) -> Message | None:
    """Press the first button of a question, and return what comes of it."""
    assert reply.shown is not None
    choice = reply.shown.choices[0]
    show("chat", f"presses [{choice.title}]")
    await world.writer.pick(reply, choice)
    return await _reads(world)


async def _is_quiet(world: World) -> bool:
    """Tell whether no message comes for a while."""
    await asyncio.sleep(QUIET_S)
    return not world.writer.unread


async def _appointments(world: World) -> list[datetime]:
    async with world.database.tenant(world.business_id) as connection:
        rows = await connection.fetch(
            "select starts_at from appointments where status = 'booked' order by 1"
        )
    return [row["starts_at"] for row in rows]


def _spoken(times: list[datetime]) -> str:
    zone = ZoneInfo(BUSINESS.columns["time_zone"])
    return ", ".join(f"{at.astimezone(zone):%A %H:%M}" for at in times) or "none"
