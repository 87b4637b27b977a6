"""A business is the database's word, and while that is away the cache's."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from bridge.business import directory
from bridge.business.cache import BusinessCache
from bridge.business.directory import BusinessDirectory
from bridge.settings.options import CallOptions
from bridge.telemetry.metrics import Metrics
from crm import businesses
from crm.database import Database
from tests.bridge import ws_peer


class Switched:
    """A database that can be taken away, in one way or another."""

    def __init__(self, database):
        self._database = database
        self.fails = None

    @asynccontextmanager
    async def _entered(self, enter):
        if self.fails is not None:
            await self.fails()
        async with enter as connection:
            yield connection

    def routing(self):
        return self._entered(self._database.routing())

    def tenant(self, business_id):
        return self._entered(self._database.tenant(business_id))


async def is_gone():
    raise ConnectionRefusedError


async def hangs():
    await asyncio.sleep(3_600)


def told(url, home, story, hours=24):
    """Run `story(directory, database, number, metrics)`."""

    async def run():
        database = await Database.open(url)
        number = f"+1202{uuid4().int % 10**7:07}"
        business_id = await businesses.create(database, "Dana", language="he")
        await businesses.add_number(database, business_id, number)
        switched, metrics = Switched(database), Metrics()
        directory = BusinessDirectory(
            switched, BusinessCache(home, hours), metrics, CallOptions()
        )
        try:
            await story(directory, switched, number, metrics)
            await ws_peer.until(lambda: not directory._late)
        finally:
            await database.close()

    ws_peer.run(run)


@pytest.mark.parametrize("fails", [is_gone, hangs])
def test_business_outlives_its_database(own_url, tmp_path, monkeypatch, caplog, fails):
    monkeypatch.setattr(directory, "LOOKUP_WAIT_S", 0.2)

    async def story(directory, database, number, metrics):
        found = await directory.find(f"sip:{number}@host")
        assert (found.business.language, found.is_cached) == ("he", False)
        await ws_peer.until(lambda: list(tmp_path.glob("*.json")))

        database.fails = fails
        again = await directory.find(number)

        assert again == (found.business, True)
        assert metrics.value("businesses_from_cache") == 1
        assert "the database is away" in caplog.text
        assert (await directory.find_kept(number)) == found.business
        assert (await directory.find_kept("+12025550100")) is None

    told(own_url, tmp_path, story)


def test_number_is_believed_from_its_own_account_alone(own_url, tmp_path, caplog):
    own, other = "AC" + "1" * 32, "AC" + "2" * 32

    async def story(directory, database, number, metrics):
        assert await directory.find(number, other) is not None
        found = await directory.find(number)
        business_id = found.business.id
        real = database._database
        await businesses.set_setting(real, business_id, "number_account", own)

        assert await directory.find(number, other) is None
        assert f"a number of {own} was asked for by {other}" in caplog.text
        assert (await directory.find(number, own)).business.id == business_id
        assert await directory.find(number) is not None
        await ws_peer.until(lambda: not directory._late)

        database.fails = is_gone
        assert await directory.find(number, other) is None
        assert (await directory.find(number, own)).is_cached
        assert metrics.value("requests_of_other_accounts") == 2

    told(own_url, tmp_path, story)


def test_without_either_the_error_is_the_databases(own_url, tmp_path):
    async def story(directory, database, number, metrics):
        database.fails = is_gone
        with pytest.raises(ConnectionRefusedError):
            await directory.find(number)

    told(own_url, tmp_path, story)


def test_all_businesses_are_kept_before_anybody_calls(own_url, tmp_path):
    async def story(directory, database, number, metrics):
        (tmp_path / "12025550100.json").write_text("of a business that is gone")
        await directory.refresh()
        assert directory.age_s < 60.0
        assert not (tmp_path / "12025550100.json").exists()

        database.fails = is_gone
        assert (await directory.find(number)).business.name == "Dana"
        with pytest.raises(ConnectionRefusedError):
            await directory.refresh()

    told(own_url, tmp_path, story)


def test_number_that_nobody_has_any_more_is_forgotten(own_url, tmp_path):
    async def story(directory, database, number, metrics):
        await directory.refresh()
        async with database._database.owner() as connection:
            await connection.execute(
                "delete from business_numbers where e164 = $1", number
            )

        assert await directory.find(number) is None
        await ws_peer.until(lambda: not (tmp_path / f"{number[1:]}.json").exists())

    told(own_url, tmp_path, story)


def test_one_business_that_cannot_be_read_keeps_no_other_away(
    own_url, tmp_path, monkeypatch, caplog
):
    get, bad = businesses.get, []

    async def get_but_one(database, business_id):
        bad.append(business_id)
        if business_id == bad[0]:
            raise KeyError("surprise")
        return await get(database, business_id)

    async def story(directory, database, number, metrics):
        other = await businesses.create(database._database, "Other")
        await businesses.add_number(
            database._database, other, f"+1202{uuid4().int % 10**7:07}"
        )
        monkeypatch.setattr(businesses, "get", get_but_one)
        await directory.refresh()
        assert list(tmp_path.glob("*.json"))
        assert "a business cannot be read" in caplog.text

    told(own_url, tmp_path, story)


def test_refresh_that_fails_is_tried_again(own_url, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(directory, "REFRESH_S", 0.01)

    async def story(directory, database, number, metrics):
        database.fails = is_gone
        task = asyncio.ensure_future(directory.keep_fresh())
        await ws_peer.until(lambda: "businesses are not read again" in caplog.text)
        database.fails = None
        await ws_peer.until(lambda: (tmp_path / f"{number[1:]}.json").exists())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    told(own_url, tmp_path, story)


def test_changed_schema_costs_a_second_try(own_url, tmp_path, monkeypatch):
    async def story(directory, database, number, metrics):
        errors = [asyncpg.InvalidCachedStatementError("cached plan")]

        async def changed():
            if errors:
                raise errors.pop()

        database.fails = changed
        assert not (await directory.find(number)).is_cached

    told(own_url, tmp_path, story)


def test_full_disk_keeps_no_call_from_its_business(
    own_url, tmp_path, monkeypatch, caplog
):
    def full(self, number, business):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BusinessCache, "keep", full)

    async def story(directory, database, number, metrics):
        assert (await directory.find(number)).business.name == "Dana"
        await ws_peer.until(lambda: "not kept on disk" in caplog.text)

    told(own_url, tmp_path, story)
