"""Every table and every tool, tried across: nothing of another business moves or shows.

The tables and the tools are read from the database and from the code, so that a new one
is tried without being named here. What the other business has is compared whole, before
and after each try.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import msgspec
import orjson
import pytest

from bridge.agent.calendar_tools import (
    CANCEL_APPOINTMENT,
    CREATE_APPOINTMENT,
    RESCHEDULE_APPOINTMENT,
)
from bridge.agent.crm_tools import crm_tools
from bridge.agent.tools import ToolRunner
from bridge.call.plan import RunTool
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from crm import (
    access_tokens,
    accounts,
    appointment_links,
    audit,
    businesses,
    call_shares,
    calls,
    claims,
    conversations,
    leads,
    live_calls,
    message_turns,
    message_work,
    notice_deliveries,
    notices,
    saving,
)
from crm.authors import By
from crm.businesses import Closure, Person, Service
from crm.claims import Claimant
from crm.conversations import Arrived
from crm.database import Database
from crm.message_turns import ToolRun
from crm.messages import Draft
from crm.notice_deliveries import Claimed, Outcome
from tests.crm.test_crm import call

# The same person calls both; only theirs knows her as MARKER.
CALLER = "+15550000001"
STRANGER = "+15550000002"
MARKER = "Theirs-Only"


def run(story, url):
    async def main():
        db = await Database.open(url, pool_max=2)
        try:
            return await story(db)
        finally:
            await db.close()

    return asyncio.run(main())


async def make(db, name):
    """A business with a row in every table: hours, a service, a booking, a call."""
    business_id = await businesses.create(
        db, name, greeting=name, required_fields=["name"]
    )
    await businesses.set_setting(db, business_id, "idle_prompt_ms", 9_000)
    await businesses.add_service(db, business_id, Service(f"{name} cut", 30))
    async with db.tenant(business_id) as connection:
        for dow in range(7):
            await connection.execute(
                "insert into business_hours (business_id, dow, opens, closes) values "
                "($1, $2, interval '0', interval '24 hours')",
                business_id,
                dow,
            )
        await connection.execute(
            "insert into business_closures (business_id, first_day, last_day) "
            "values ($1, $2, $2)",
            business_id,
            datetime(2030, 1, 1).date(),
        )
        await connection.execute(
            "insert into admissions (business_id, call_sid, caller, admitted_at) "
            "values ($1, 'CAh', '', now())",
            business_id,
        )
        await connection.execute(
            "insert into erased_calls (business_id, call_sid) values ($1, $2)",
            business_id,
            f"CA{uuid4().hex}",
        )
    await add_person(db, business_id, name)
    await open_with_checkpoint(db, business_id)
    login = f"{uuid4().hex}@example.com"
    user_id = await accounts.add(db, login, name, "owner", business_id=business_id)
    await accounts.note(db, user_id, "login", "192.0.2.1")
    await audit.write(db, business_id, user_id, name, "lead.seen", "an id")
    for phone in (CALLER, STRANGER):
        await leads.upsert(db, business_id, phone, {"name": name, "notes": name})
    await add_notice(db, business_id)
    await converse(db, business_id)
    made = await access_tokens.make(db, business_id, "api", name, ("read",))
    await access_tokens.begin(db, made.token, "key", "hash")
    said = {"name": name, "notes": name}
    await claims.write(db, business_id, Claimant("CAh"), CALLER, said)
    runner = await desk(db, business_id, CALLER)
    starts_at = (datetime.now(UTC) + timedelta(days=3)).replace(
        hour=12, minute=0, second=0, microsecond=0
    )
    booked = await runner.run(
        RunTool(
            "t0", CREATE_APPOINTMENT, orjson.dumps({"starts_at": starts_at}).decode()
        )
    )
    assert booked.ok, booked.output
    async with db.tenant(business_id) as connection:
        made = await connection.fetchval("select id from appointments limit 1")
        await appointment_links.make(connection, business_id, made)
    return business_id, starts_at


async def add_person(db, business_id, name):
    def edit(business):
        cuts = (business.services[0].name,)
        day = datetime(2030, 1, 2).date()
        off = (Closure(day, day, name),)
        first = Person(None, name, "", business.hours, cuts, days_off=off)
        staff = (first, Person(None, f"{name} 2", services=cuts))
        return msgspec.structs.replace(business, staff=staff)

    await saving.change(db, business_id, edit, By("hand", name))


async def add_notice(db, business_id):
    """A call, an endpoint that is told of it, and a delivery."""
    made = await notices.add(db, business_id, "email", "a@b.example", ["call.ended"])
    sid = f"CA{uuid4().hex}"
    await calls.save(db, business_id, call(sid))
    await call_shares.make(db, business_id, sid, "Dana", 1)
    (entry,) = await notices.log(db, business_id)
    claimed = Claimed(business_id, entry.notice_id, made.endpoint.id, 0)
    await notice_deliveries.settle(db, claimed, Outcome(True, 250, "", 1.0), None)


async def converse(db, business_id):
    """A conversation in which a tool has run, and whose answer is still to be sent."""
    arrived = Arrived(f"SM{uuid4().hex}", "hello", STRANGER, "AC1", CALLER)
    await conversations.receive(db, business_id, arrived)
    (held,) = [
        one
        for one in await message_work.claim(db, uuid4(), 1_000)
        if one.business_id == business_id
    ]
    turn = await message_turns.begin(db, held, "a model")
    await message_turns.add_items(db, held, turn.id, [{"type": "message"}])
    run = ToolRun(f"{turn.key}:0", "leads_upsert", "{}")
    await message_turns.begin_tool(db, held, turn.id, run)
    await message_turns.end(db, held, turn.id, [Draft("Hello")], cost=0.01)
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "insert into message_contents (business_id, account_sid, shape, "
            "content_sid) values ($1, 'AC1', 'list-en-3', 'HX1')",
            business_id,
        )


async def open_with_checkpoint(db, business_id):
    call_sid = f"CA{uuid4().hex}"
    owner = await live_calls.open(
        db,
        call_sid=call_sid,
        business_id=business_id,
        account_sid="AC1",
        to_number=STRANGER,
        node="node-of-none",
        incarnation=uuid4(),
        worker=0,
    )
    saved = live_calls.Checkpoint(
        business_id, call_sid, owner.generation, 1, None, b"state"
    )
    await live_calls.save(db, [saved])


async def desk(db, business_id, phone):
    business = await businesses.get(db, business_id)
    return ToolRunner(
        crm_tools(db, business, phone, call_sid="CAx"),
        deadline_ms=5_000,
        log=CallLogger("CAx"),
        metrics=Metrics(),
    )


async def tables(db):
    async with db.owner() as connection:
        rows = await connection.fetch(
            "select relname from pg_class c join pg_namespace n "
            "on n.oid = relnamespace "
            "where nspname = 'public' and relkind = 'r' and exists (select from "
            "pg_attribute where attrelid = c.oid and attname = 'business_id') "
            "order by relname"
        )
    return [row["relname"] for row in rows]


async def everything_of(db, business_id):
    """Return every row of a business in every table, as the database writes JSON."""
    found = {}
    async with db.tenant(business_id) as connection:
        for table in await tables(db):
            if table == "business_numbers":
                continue
            rows = await connection.fetch(
                f"select to_jsonb(t)::text as row from {table} t order by 1"
            )
            found[table] = [row["row"] for row in rows]
        row = await connection.fetchval("select to_jsonb(t)::text from businesses t")
        found["businesses"] = [row]
    return found


def test_every_table_keeps_its_rows_from_another_tenant(database_url):
    async def story(db):
        ours, _ = await make(db, "Ours")
        theirs, _ = await make(db, MARKER)
        before = await everything_of(db, theirs)
        assert all(before.values()), "a table without rows proves nothing"
        for table, rows in before.items():
            key = "id" if table == "businesses" else "business_id"
            tries = (
                f"update {table} set {key} = {key} where {key} = $1",
                f"delete from {table} where {key} = $1",
                f"update {table} set {key} = $1",
            )
            async with db.tenant(ours) as connection:
                read = f"select * from {table} where {key} = $1"
                assert await connection.fetch(read, theirs) == [], table
            for statement in tries:
                assert await tried(db, ours, statement, theirs) in ("refused", "0")
            for row in rows:
                # A copy of a row of theirs, under their name.
                copy = f"select (jsonb_populate_record(null::{table}, $1::jsonb)).*"
                statement = f"insert into {table} {copy}"
                values = orjson.loads(row)
                assert await tried(db, ours, statement, values) == "refused", table
        assert await everything_of(db, theirs) == before

    run(story, database_url)


async def tried(db, business_id, statement, value):
    """Run a statement as a tenant; return how many rows it changed, or `refused`."""
    try:
        async with db.tenant(business_id) as connection:
            return (await connection.execute(statement, value)).rpartition(" ")[2]
    except asyncpg.PostgresError:
        return "refused"


def test_no_argument_of_any_tool_reaches_another_business(database_url):
    async def story(db):
        ours, our_time = await make(db, "Ours")
        theirs, their_time = await make(db, MARKER)
        before = await everything_of(db, theirs)
        ids = [
            value for rows in before.values() for row in rows for value in strings(row)
        ]
        values = sorted({str(theirs), MARKER, f"{MARKER} cut", STRANGER, *ids})
        values += [their_time.isoformat(), f"' or business_id = '{theirs}"]
        base = {
            CREATE_APPOINTMENT: {"starts_at": our_time.isoformat()},
            RESCHEDULE_APPOINTMENT: {"new_starts_at": our_time.isoformat()},
        }
        foreign = {value for value in (*values, str(theirs)) if len(value) > 7}
        foreign -= {
            value
            for rows in (await everything_of(db, ours)).values()
            for row in rows
            for value in strings(row)
        }
        tried = 0
        business = await businesses.get(db, ours)
        for name, tool in crm_tools(db, business, CALLER).items():
            for field in msgspec.structs.fields(tool.arguments):
                for value in values:
                    tried += 1
                    # A new caller each time: this value is what they hear of.
                    moves = name in (CANCEL_APPOINTMENT, RESCHEDULE_APPOINTMENT)
                    caller = CALLER if moves else f"+1555020{tried:04}"
                    runner = await desk(db, ours, caller)
                    arguments = {**base.get(name, {}), field.name: value}
                    result = await runner.run(
                        RunTool(f"t{tried}", name, orjson.dumps(arguments).decode())
                    )
                    told = result.output.replace(value, "")
                    leaked = [text for text in (MARKER, *foreign) if text in told]
                    assert not leaked, (name, field.name, value, leaked)
        assert tried > 100
        assert await everything_of(db, theirs) == before

    run(story, database_url)


def strings(row):
    """The texts of a row that could name it: ids, times, phones, names."""
    found = orjson.loads(row).values()
    return [value for value in found if isinstance(value, str) and 0 < len(value) < 60]


def test_connections_used_again_carry_no_tenant_over(database_url):
    async def story(db):
        ours, _ = await make(db, "Ours")
        theirs, _ = await make(db, MARKER)

        async def look(business_id):
            async with db.tenant(business_id) as connection:
                await asyncio.sleep(0)
                return await connection.fetchval("select name from businesses")

        # Two connections, forty transactions of two tenants, some of them failing.
        names = await asyncio.gather(
            *(look((ours, theirs)[at % 2]) for at in range(40))
        )
        assert names == ["Ours", MARKER] * 20
        for business_id in (ours, theirs) * 5:
            with pytest.raises(asyncpg.PostgresError):
                async with db.tenant(business_id) as connection:
                    await connection.execute("select 1 / 0")
            async with db.routing() as connection:
                assert await connection.fetch("select * from businesses") == []

    run(story, database_url)
