"""Whose clock decides what is announced."""

import asyncio

from crm import announcements
from tests.bridge import ws_peer
from tests.bridge.messaging.test_announcements import NOW, SID, told


def test_time_is_the_databases(own_url, monkeypatch):
    """A reminder that is written on a wrong day is dropped, and never written again."""

    @told
    async def story(salon):
        async def now(database):
            assert database is salon.database
            return NOW

        monkeypatch.setattr(announcements, "now", now, raising=False)
        await salon.set(whatsapp_templates=f"reminder.en={SID}")
        await salon.book()
        task = asyncio.create_task(salon.announcements.run())
        count = salon.metrics.value
        await ws_peer.until(lambda: count("announcements", purpose="reminder"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    story(own_url)


def test_time_of_the_database_has_a_zone(own_url):
    @told
    async def story(salon):
        assert (await announcements.now(salon.database)).tzinfo is not None

    story(own_url)
