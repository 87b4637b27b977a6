"""`kolbridge tenant delete`: all of one business goes, and nothing of another."""

import asyncio
import io

import asyncpg
import pytest

from crm import businesses, calls, leads
from crm.deleting import count, delete
from crm.migrate import migrate
from tests.bridge.cli.test_tenant import placed, stored
from tests.crm.test_backup import (
    accounts_of,
    everything,
    owned_database,
    two_shops,
)
from tests.crm.test_claims import (
    OTHER,
    PHONE,
    held,
    run as run_with_salon,
    until_waiting,
)
from tests.crm.test_crm import call
from tests.crm.test_migrate import empty_database
from tests.test_tenants_apart import run


@pytest.mark.parametrize("databases", [empty_database, owned_database])
def test_every_row_of_one_tenant_goes_and_none_of_another(database_url, databases):
    async def story(db):
        before = await two_shops(db)
        accounts = await accounts_of(db)
        gone_id, kept_id = {one for _, one in before}
        had = {
            table: len(rows) for (table, one), rows in before.items() if one == gone_id
        }

        assert await count(db, gone_id) == had
        assert await delete(db, gone_id) == had
        assert await count(db, gone_id) == {}
        kept = {key: rows for key, rows in before.items() if key[1] == kept_id}
        assert await everything(db) == kept
        # Each business has one account, with one event.
        left = await accounts_of(db)
        for table, rows in accounts.items():
            assert len(rows) == 2
            assert len(left[table]) == 1
            assert left[table][0] in rows

    with databases(database_url) as url:
        asyncio.run(migrate(url))
        run(story, url)


def test_it_is_deleted_while_its_caller_books(database_url):
    """The booking holds the lead and needs the business; the deletion goes the other
    way round."""

    async def story(db, gone):
        await leads.touch(db, gone, PHONE)
        async with held(db, gone) as connection:
            # The deletion is what PostgreSQL lets fail.
            await connection.execute("set local deadlock_timeout = '20s'")
            await leads.lock(connection, gone, PHONE)
            deleting = asyncio.create_task(delete(db, gone))
            await until_waiting(db, 1)
            await leads.learn(connection, gone, OTHER, {"name": "Dan"})
        return await deleting, await count(db, gone)

    deleted, left = run_with_salon(story, database_url)
    assert (deleted["leads"], left) == (2, {})


def test_what_would_go_is_shown_and_yes_is_asked_for(
    shell, salon, embedded_url, monkeypatch, tmp_path
):
    placed(embedded_url, salon, "CA1")
    monkeypatch.setenv("RECORD_DIR", str(tmp_path))
    (tmp_path / "CA1.zip").touch()
    (tmp_path / "CA1.2.zip").touch()
    (tmp_path / "CA2.zip").touch()

    code, out, error = shell("tenant", "delete", salon)
    assert code == 2
    for rows in ("1 business numbers", "1 businesses", "1 calls", "1 leads"):
        assert rows in out
    assert f"2 recordings of its calls lie in {tmp_path} and stay there" in out
    assert "nothing was deleted: expected --yes" in error
    assert stored(embedded_url, salon).name == salon

    code, out, _ = shell("tenant", "delete", salon, "--yes")
    assert code == 0
    assert "deleted: " in out and "1 business numbers, 1 businesses" in out
    assert salon not in shell("tenant", "list")[1]
    assert (tmp_path / "CA1.zip").exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_its_name_is_asked_for(shell, salon, embedded_url, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("another\n"))
    code, _, error = shell("tenant", "delete", salon)
    assert (code, "that is not its name" in error) == (2, True)
    assert stored(embedded_url, salon).name == salon

    monkeypatch.setattr("sys.stdin", Terminal(f"{salon}\n"))
    assert shell("tenant", "delete", salon)[0] == 0
    assert salon not in shell("tenant", "list")[1]


def test_a_call_that_ends_after_it_makes_nothing_of_it_again(embedded_url):
    async def story(db):
        gone = await businesses.create(db, "Gone")
        await delete(db, gone)
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await calls.save(db, gone, call("CA1"))
        return await count(db, gone)

    assert run(story, embedded_url) == {}
