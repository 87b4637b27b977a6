"""The schema moves when it is told to, and the build before goes on to serve on it."""

import asyncio
import shutil
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

import crm.migrate
from crm.connect import Schema, open_url, service_url
from crm.migrate import FOLDER, MigrationError, NoSchema, check, migrate
from tests.bridge import running_service, ws_peer

LAST = len(list(FOLDER.glob("*.sql")))


async def ask(url, query):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@contextmanager
def empty_database(url):
    """Yield the URL of a new database on a server."""
    name = f"kolbridge_{uuid4().hex[:12]}"
    asyncio.run(ask(url, f"create database {name}"))
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        asyncio.run(ask(url, f"drop database {name} with (force)"))


@pytest.fixture
def empty_url(database_url):
    with empty_database(database_url) as url:
        yield url


def copy_of(folder, *, without=0, **more):
    """Return a folder of migrations: this build's, fewer, or one more."""
    shutil.copytree(FOLDER, folder)
    for path in sorted(folder.glob("*.sql"))[LAST - without :]:
        path.unlink()
    for name, text in more.items():
        (folder / f"{LAST + 1:04}_{name}.sql").write_text(text)
    return folder


def version(url):
    return asyncio.run(ask(url, "select max(version) from schema_migrations"))


def test_migrations_run_once_however_many_start(empty_url):
    async def main():
        return await asyncio.gather(*(migrate(empty_url) for _ in range(4)))

    applied = asyncio.run(main())

    assert sorted(map(len, applied)) == [0, 0, 0, LAST]
    assert max(applied) == [path.name for path in sorted(FOLDER.glob("*.sql"))]
    asyncio.run(check(empty_url))


def test_migration_of_another_process_that_hangs_is_told(empty_url, monkeypatch):
    monkeypatch.setattr("crm.migrate._TURN_TIMEOUT", "set lock_timeout = '10ms'")

    async def main():
        other = await asyncpg.connect(empty_url)
        await other.execute("select pg_advisory_lock($1)", crm.migrate._LOCK)
        with pytest.raises(
            MigrationError, match="migrates the schema and does not end"
        ):
            await migrate(empty_url)
        await other.close()
        assert len(await migrate(empty_url)) == LAST

    asyncio.run(main())


def test_whoever_looks_at_an_empty_database_makes_nothing(empty_url):
    with pytest.raises(NoSchema, match="run `kolbridge migrate`"):
        asyncio.run(check(empty_url))
    with pytest.raises(NoSchema):
        open_url(empty_url, Path("unused"), schema=Schema.KEEP)

    assert (
        asyncio.run(
            ask(empty_url, "select count(*) from pg_tables where schemaname = 'public'")
        )
        == 0
    )


def test_whoever_looks_at_an_older_schema_leaves_it_and_says_what_to_do(
    empty_url, tmp_path
):
    asyncio.run(migrate(empty_url, copy_of(tmp_path / "old", without=2)))

    for schema in (Schema.KEEP, Schema.MAKE):
        with pytest.raises(
            MigrationError, match=f"has migration {LAST - 2}, this build"
        ):
            open_url(empty_url, Path("unused"), schema=schema)
        assert version(empty_url) == LAST - 2
    moved = []
    open_url(empty_url, Path("unused"), on_moved=moved.extend)
    assert len(moved) == 2
    assert version(empty_url) == LAST


def test_whoever_may_write_makes_a_schema_where_there_is_none(empty_url):
    open_url(empty_url, Path("unused"), schema=Schema.MAKE)

    assert version(empty_url) == LAST


def test_a_schema_from_before_its_version_was_kept_is_read(empty_url, tmp_path):
    asyncio.run(migrate(empty_url))
    asyncio.run(ask(empty_url, "alter table schema_migrations drop column contract"))

    asyncio.run(check(empty_url))
    assert asyncio.run(migrate(empty_url)) == []
    more = copy_of(tmp_path / "next", more="create table more (id int)")
    assert asyncio.run(migrate(empty_url, more)) == [f"{LAST + 1:04}_more.sql"]


def test_a_changed_and_a_missing_migration_are_errors(database_url, tmp_path):
    for tell in (migrate, check):
        (tmp_path / "0001_tenants.sql").write_text("select 1")
        with pytest.raises(MigrationError, match="changed after it was applied"):
            asyncio.run(tell(database_url, tmp_path))
        (tmp_path / "0001_tenants.sql").rename(tmp_path / "0002_tenants.sql")
        with pytest.raises(MigrationError, match="expected migration 0001"):
            asyncio.run(tell(database_url, tmp_path))


def test_this_build_serves_calls_on_the_next_ones_schema(embedded_url, tmp_path):
    more = (
        "alter table leads add column nickname text;\n"
        "alter table appointments add column room int not null default 0;\n"
        "create table rooms (business_id uuid not null references businesses (id));"
    )
    with empty_database(embedded_url) as url:
        asyncio.run(migrate(url, copy_of(tmp_path / "next", more=more)))

        open_url(url, Path("unused"))
        open_url(url, Path("unused"), schema=Schema.KEEP)

        async def told():
            async with running_service.served(url, tmp_path) as place:
                assert (await place.ring(running_service.new_sid())).tag == "Response"

        ws_peer.run(told)
        assert version(url) == LAST + 1


@pytest.mark.parametrize("oldest", [LAST, LAST + 1])
def test_a_contracted_schema_serves_no_build_from_before(empty_url, tmp_path, oldest):
    text = f"-- No build reads it any more.\n-- contract: {oldest:04}\nselect 1;"
    asyncio.run(migrate(empty_url, copy_of(tmp_path / "next", more=text)))

    if oldest == LAST:
        asyncio.run(check(empty_url))
        return
    for tell in (migrate, check):
        with pytest.raises(MigrationError, match=f"with migration {oldest} or later"):
            asyncio.run(tell(empty_url))


def test_the_services_role_looks_without_the_owners_url(empty_url):
    asyncio.run(migrate(empty_url))
    url = asyncio.run(service_url(empty_url))

    asyncio.run(check(url))
    assert asyncio.run(migrate(url)) == []
    asyncio.run(ask(empty_url, "revoke select on schema_migrations from kolbridge_app"))
    with pytest.raises(MigrationError, match="DATABASE_ADMIN_URL"):
        asyncio.run(check(url))


def test_a_change_that_waits_for_a_table_does_not_hold_calls_back(
    empty_url, tmp_path, monkeypatch
):
    monkeypatch.setattr("crm.migrate._LOCK_TIMEOUT", "set lock_timeout = '10ms'")

    async def main():
        await migrate(empty_url)
        busy = await asyncpg.connect(empty_url)
        try:
            async with busy.transaction():
                await busy.execute("select count(*) from leads")
                text = "alter table leads add column nickname text"
                with pytest.raises(MigrationError, match="calls go first"):
                    await migrate(empty_url, copy_of(tmp_path / "next", more=text))
        finally:
            await busy.close()

    asyncio.run(main())
    assert version(empty_url) == LAST
