"""A backup that was tried: made as the owner, the database dropped, all rows back."""

import asyncio
import fcntl
import os
import stat
import zipfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from crm import accounts, businesses, leads
from crm.backup import BackupError, back_up, restore
from crm.connect import service_url
from crm.migrate import MigrationError, migrate
from tests.crm.test_migrate import LAST, ask, copy_of, empty_database, version
from tests.test_tenants_apart import CALLER, make, run, tables

OF_ACCOUNTS = ("users", "account_events")
OF_RUNNING_CALLS = {"call_owners", "checkpoints", "message_work"}


@contextmanager
def owned_database(url):
    """Yield an empty database's URL as its owner, whom row-level security binds."""
    owner, password = f"owner_{uuid4().hex[:8]}", urlsplit(url).password
    secret = f" password '{password}'" if password else ""
    asyncio.run(ask(url, f"create role {owner} login createrole{secret}"))
    try:
        with empty_database(url) as made:
            name = urlsplit(made).path.strip("/")
            asyncio.run(ask(url, f"alter database {name} owner to {owner}"))
            asyncio.run(ask(made, f"grant all on schema public to {owner}"))
            asyncio.run(ask(url, f"grant kolbridge_app to {owner} with admin option"))
            parts = urlsplit(made)
            where = parts.netloc.rpartition("@")[2]
            user = f"{owner}:{password}" if password else owner
            yield parts._replace(netloc=f"{user}@{where}").geturl()
    finally:
        asyncio.run(ask(url, f"drop owned by {owner}"))
        asyncio.run(ask(url, f"drop role {owner}"))


async def everything(db):
    """Return every row of every tenant, by table and business."""
    found = {}
    for business_id, _ in await businesses.list_all(db):
        for table in ("businesses", *await tables(db)):
            column = "id" if table == "businesses" else "business_id"
            async with db.tenant(business_id) as connection:
                rows = await connection.fetch(
                    f"select to_jsonb(t)::text as row from {table} t "
                    f"where {column} = $1 order by 1",
                    business_id,
                )
            found[table, business_id] = [row["row"] for row in rows]
    return found


async def accounts_of(db):
    """Return every row of the accounts, by table."""
    found = {}
    for table in OF_ACCOUNTS:
        async with db.owner() as connection:
            rows = await connection.fetch(
                f"select to_jsonb(t)::text as row from {table} t order by 1"
            )
        found[table] = [row["row"] for row in rows]
    return found


def without_running_calls(rows):
    """Return what a backup keeps: calls that ran then do not run now, and what was to
    be sent then is not sent now."""
    return {
        (table, one): []
        if table in OF_RUNNING_CALLS
        else [unsent(row) if table == "messages" else row for row in found]
        for (table, one), found in rows.items()
    }


def unsent(row):
    restored = '"error_text": "restored from a backup"'
    dropped = row.replace('"status": "waiting"', '"status": "dropped"')
    return row if dropped == row else dropped.replace('"error_text": ""', restored)


async def two_shops(db):
    ours, _ = await make(db, "Ours")
    mine, _ = await make(db, "Their's, \\ \t„שלום“\n")
    await leads.upsert(db, mine, CALLER, {"notes": "tab\there\\N", "odd": "\u2028"})
    await businesses.add_number(db, ours, "+12025550123")
    await businesses.add_number(db, mine, "+12025550124")
    return await everything(db)


@pytest.mark.parametrize("as_owner", [False, True], ids=["superuser", "owner"])
def test_all_rows_of_two_tenants_come_back(database_url, tmp_path, as_owner):
    file = tmp_path / "all.backup"
    databases = owned_database if as_owner else empty_database
    with databases(database_url) as url:
        asyncio.run(migrate(url))
        before = run(two_shops, url)
        accounts_before = run(accounts_of, url)
        manifest = asyncio.run(back_up(url, file))

    with databases(database_url) as url:
        assert asyncio.run(restore(url, file)) == manifest
        assert run(everything, url) == without_running_calls(before)
        assert run(accounts_of, url) == accounts_before

    assert len(manifest.businesses) == 2
    saved = {one.name for one in manifest.tables}
    tables_before = {table for table, _ in before} | {*OF_ACCOUNTS}
    assert saved == tables_before - OF_RUNNING_CALLS
    assert all(before.values())
    assert all(accounts_before.values())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_tenants_are_apart_after_a_restore(database_url, tmp_path):
    file = tmp_path / "all.backup"
    with empty_database(database_url) as url:
        asyncio.run(migrate(url))
        run(two_shops, url)
        manifest = asyncio.run(back_up(url, file))

    async def seen(db):
        await db.check_isolation()
        counts = []
        for business_id in manifest.businesses:
            async with db.tenant(business_id) as connection:
                counts.append(await connection.fetchval("select count(*) from leads"))
        async with db.routing() as connection:
            counts.append(await connection.fetchval("select count(*) from leads"))
        return counts

    with empty_database(database_url) as url:
        asyncio.run(restore(url, file))
        password = urlsplit(database_url).password
        role = asyncio.run(service_url(url))
        role = role.replace("@", f":{password}@", 1) if password else role
        assert run(seen, role) == [2, 2, 0]


def test_a_backup_of_the_version_before_is_brought_up_to_date(embedded_url, tmp_path):
    file, old = tmp_path / "old.backup", copy_of(tmp_path / "old", without=1)
    with empty_database(embedded_url) as url:
        asyncio.run(migrate(url, old))
        asyncio.run(ask(url, "insert into businesses (name) values ('Salon')"))
        assert asyncio.run(back_up(url, file)).schema == LAST - 1

    with empty_database(embedded_url) as url:
        asyncio.run(restore(url, file))
        assert version(url) == LAST
        assert asyncio.run(ask(url, "select name from businesses")) == "Salon"


def test_what_cannot_be_restored_leaves_the_database_as_it_was(embedded_url, tmp_path):
    file, next_file = tmp_path / "all.backup", tmp_path / "next.backup"
    cut = tmp_path / "cut.backup"
    with empty_database(embedded_url) as url:
        with pytest.raises(BackupError, match="no schema yet"):
            asyncio.run(back_up(url, file))
        asyncio.run(migrate(url))
        run(lambda db: make(db, "Salon"), url)
        asyncio.run(back_up(url, file))
        cut.write_bytes(file.read_bytes()[:-2_000])
        damage(file, tmp_path / "damaged.backup")
        with pytest.raises(BackupError, match="has 1 businesses: restore it into an"):
            asyncio.run(restore(url, file))
        more = copy_of(tmp_path / "next", more="create table more (id int)")
        asyncio.run(migrate(url, more))
        asyncio.run(back_up(url, next_file))
        with pytest.raises(BackupError, match=f"has schema {LAST + 1}, the backup"):
            asyncio.run(restore(url, file))

    with empty_database(embedded_url) as url:
        for wrong, words in (
            (cut, "no whole backup"),
            (tmp_path / "none", "No such file"),
            (tmp_path, "Is a directory"),
            (tmp_path / "all.txt", "no whole backup"),
        ):
            (tmp_path / "all.txt").write_text("-- PostgreSQL database dump")
            with pytest.raises(BackupError, match=words):
                asyncio.run(restore(url, wrong))
        assert asyncio.run(ask(url, "select to_regclass('businesses')")) is None
        with pytest.raises(MigrationError, match="take a newer one"):
            asyncio.run(restore(url, next_file))
        with pytest.raises(BackupError, match="no whole backup"):
            asyncio.run(restore(url, tmp_path / "damaged.backup"))
        assert asyncio.run(ask(url, "select count(*) from businesses")) == 0


def test_accounts_that_were_made_first_are_named_and_kept(embedded_url, tmp_path):
    async def operator(db):
        await accounts.add(db, "ann@example.com", "Ann", "operator")

    file = tmp_path / "all.backup"
    with empty_database(embedded_url) as url:
        asyncio.run(migrate(url))
        run(operator, url)
        asyncio.run(back_up(url, file))
        with pytest.raises(BackupError, match="has 1 users: restore it into an empty"):
            asyncio.run(restore(url, file))
        assert asyncio.run(ask(url, "select count(*) from users")) == 1


def damage(file, copy):
    """Copy a backup with a fault of the disk in one table."""
    with zipfile.ZipFile(file) as archive:
        (found,) = (
            one for one in archive.infolist() if one.filename.startswith("businesses/")
        )
    data = bytearray(file.read_bytes())
    start = found.header_offset + 30 + len(found.filename)
    for at in range(start + 40, start + 60):
        data[at] ^= 0xFF
    copy.write_bytes(data)


def test_a_backup_with_a_row_too_few_is_not_restored(embedded_url, tmp_path):
    file, wrong = tmp_path / "all.backup", tmp_path / "wrong.backup"
    with empty_database(embedded_url) as url:
        asyncio.run(migrate(url))
        run(lambda db: make(db, "Salon"), url)
        asyncio.run(back_up(url, file))
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(wrong, "w") as copy:
        for name in whole.namelist():
            lines = whole.read(name).splitlines(keepends=True)
            kept = lines[1:] if name.startswith("call_turns/") else lines
            copy.writestr(name, b"".join(kept))

    with empty_database(embedded_url) as url:
        with pytest.raises(BackupError, match="call_turns: 0 rows of 1 came back"):
            asyncio.run(restore(url, wrong))
        assert asyncio.run(ask(url, "select count(*) from businesses")) == 0


def test_no_backup_takes_the_place_of_one_before_it_is_whole(
    embedded_url, tmp_path, monkeypatch
):
    file = tmp_path / "all.backup"
    file.write_text("the one before")
    monkeypatch.setattr("crm.backup.msgspec.json.encode", lambda _: 1 / 0)
    with empty_database(embedded_url) as url:
        asyncio.run(migrate(url))
        with pytest.raises(ZeroDivisionError):
            asyncio.run(back_up(url, file))
        with pytest.raises(BackupError, match="No such file"):
            asyncio.run(back_up(url, tmp_path / "nowhere" / "all.backup"))
        os.mkfifo(tmp_path / "pipe")
        for wrong in (tmp_path, Path(), tmp_path / "pipe"):
            with pytest.raises(BackupError, match="expected the name of a file"):
                asyncio.run(back_up(url, wrong))
        with (
            (tmp_path / "all.backup.partial").open("wb") as other,
            pytest.raises(BackupError, match="another backup writes it"),
        ):
            fcntl.flock(other, fcntl.LOCK_EX)
            asyncio.run(back_up(url, file))
        for other in ("all.backup.partial", "pipe"):
            (tmp_path / other).unlink()

    assert file.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [file]


def test_no_column_counts_by_itself(embedded_url):
    """A restore would have to set the sequence, too."""
    query = (
        "select count(*) from pg_attribute a left join pg_attrdef d on "
        "d.adrelid = a.attrelid and d.adnum = a.attnum join pg_class c on "
        "c.oid = a.attrelid where relnamespace = 'public'::regnamespace and "
        "(attidentity <> '' or pg_get_expr(adbin, adrelid) like 'nextval%')"
    )

    assert asyncio.run(ask(embedded_url, query)) == 0
