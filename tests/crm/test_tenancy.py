"""One tenant never sees, refers to or writes into another; the database says so."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from crm import businesses, leads
from crm.database import Database, IsolationError

PHONE = "+15550000001"


def run(story, url):
    async def main():
        db = await Database.open(url)
        try:
            return await story(db)
        finally:
            await db.close()

    return asyncio.run(main())


async def two_tenants(db):
    ours = await businesses.create(db, "Ours")
    theirs = await businesses.create(db, "Theirs")
    await leads.touch(db, ours, PHONE)
    await leads.touch(db, theirs, PHONE)
    return ours, theirs


@asynccontextmanager
async def as_app(db):
    """The service's role without a tenant."""
    async with db.routing() as connection:
        yield connection


async def tenant_tables(connection):
    rows = await connection.fetch(
        "select relname from pg_class c join pg_namespace n on n.oid = relnamespace "
        "where nspname = 'public' and relkind = 'r' and exists (select from "
        "pg_attribute where attrelid = c.oid and attname = 'business_id') "
        "and relname <> 'business_numbers'"
    )
    return [row["relname"] for row in rows]


def test_every_tenant_table_forces_row_level_security(database_url):
    async def story(db):
        async with db.owner() as connection:
            tables = await tenant_tables(connection)
            assert len(tables) == 38
            for table in tables:
                row = await connection.fetchrow(
                    "select relrowsecurity, relforcerowsecurity from pg_class "
                    "where relname = $1",
                    table,
                )
                assert tuple(row.values()) == (True, True), table

    run(story, database_url)


def test_a_forgotten_where_shows_no_foreign_row(database_url):
    async def story(db):
        ours, _ = await two_tenants(db)
        async with db.tenant(ours) as connection:
            for table in await tenant_tables(connection):
                rows = await connection.fetch(f"select business_id from {table}")
                assert {row["business_id"] for row in rows} <= {ours}, table
            assert await connection.fetchval("select count(*) from leads") == 1
            assert await connection.fetchval("select count(*) from businesses") == 1

    run(story, database_url)


# They lead to a tenant, as the numbers do, and hold nothing else.
ROUTING = {"call_owners", "erased_calls", "message_work", "notice_deliveries"}


def test_without_a_tenant_there_are_no_rows(database_url):
    async def story(db):
        await two_tenants(db)
        async with as_app(db) as connection:
            for table in [*await tenant_tables(connection), "businesses"]:
                if table in ROUTING:
                    continue
                assert await connection.fetch(f"select * from {table}") == [], table

    run(story, database_url)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (
            "insert into leads (business_id, phone) values ($2, '+15550000009')",
            asyncpg.InsufficientPrivilegeError,
        ),
        (
            "update leads set business_id = $2 where business_id = $1",
            asyncpg.InsufficientPrivilegeError,
        ),
        (
            "insert into appointments (business_id, lead_id, starts_at, ends_at, "
            "busy_until) select $1, $3, now(), now() + interval '1 hour', "
            "now() + interval '1 hour' where $2 is not null",
            asyncpg.ForeignKeyViolationError,
        ),
        (
            "alter table leads disable row level security",
            asyncpg.InsufficientPrivilegeError,
        ),
        (
            "insert into business_numbers values ('+15550000008', $1)",
            asyncpg.InsufficientPrivilegeError,
        ),
    ],
)
def test_crossing_is_refused(database_url, statement, error):
    async def story(db):
        ours, theirs = await two_tenants(db)
        foreign = await leads.find(db, theirs, PHONE)
        values = {"$1": ours, "$2": theirs, "$3": foreign.id}
        text = statement
        for place, value in values.items():
            text = text.replace(place, f"'{value}'::uuid")
        with pytest.raises(error):
            async with db.tenant(ours) as connection:
                await connection.execute(text)

    run(story, database_url)


def test_foreign_rows_cannot_be_changed_or_deleted(database_url):
    async def story(db):
        ours, theirs = await two_tenants(db)
        async with db.tenant(ours) as connection:
            for text in ("update leads set name = 'x'", "delete from leads"):
                tag = await connection.execute(f"{text} where business_id = $1", theirs)
                assert tag.endswith(" 0")
        assert (await leads.find(db, theirs, PHONE)).name is None

    run(story, database_url)


def test_a_pooled_connection_carries_no_tenant(database_url):
    async def story(db):
        ours, _ = await two_tenants(db)
        async with db.tenant(ours):
            pass
        async with as_app(db) as connection:
            assert await connection.fetch("select * from leads") == []
            assert await connection.fetchval("select app.tenant()") is None

    run(story, database_url)


def test_locks_of_a_client_that_is_frozen_do_not_last(database_url):
    async def story(db):
        query = "show idle_in_transaction_session_timeout"
        async with db.tenant(uuid4()) as connection:
            assert await connection.fetchval(query) == "3s"
        async with db.routing() as connection:
            assert await connection.fetchval(query) == "3s"
        async with db.owner() as connection:
            assert await connection.fetchval(query) == "0"

    run(story, database_url)


def test_a_tenant_that_is_none_has_no_rows(database_url):
    async def story(db):
        await two_tenants(db)
        assert await leads.find(db, uuid4(), PHONE) is None
        assert await businesses.get(db, uuid4()) is None

    run(story, database_url)


def test_a_role_that_could_bypass_the_policies_is_refused(database_url, role_url):
    async def story(owner):
        service = await Database.open(role_url, pool_max=1)
        try:
            await service.check_isolation()
            for spoil, mend, why in (
                ("role kolbridge_app bypassrls", "role kolbridge_app nobypassrls", "B"),
                (
                    "table leads no force row level security",
                    "table leads force row level security",
                    "leads: row-level security is not forced",
                ),
                (
                    "table businesses disable row level security",
                    "table businesses enable row level security",
                    "businesses: row-level security is not forced",
                ),
            ):
                await alter(owner, spoil)
                try:
                    with pytest.raises(IsolationError, match=why):
                        await service.check_isolation()
                finally:
                    await alter(owner, mend)
                await service.check_isolation()
            with pytest.raises(IsolationError, match="SUPERUSER or BYPASSRLS"):
                await owner.check_isolation()
        finally:
            await service.close()

    run(story, database_url)


async def alter(db, what):
    async with db.owner() as connection:
        await connection.execute(f"alter {what}")


def test_the_services_role_has_no_rights_but_to_become_the_bound_one(role_url):
    async def story(db):
        for table in ("businesses", "leads", "business_numbers", "schema_migrations"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with db.owner() as connection:
                    await connection.fetch(f"select * from {table}")

    run(story, role_url)
