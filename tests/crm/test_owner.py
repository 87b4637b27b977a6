"""The schema's owner who is no superuser: what they lack is told at once."""

import asyncio
import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from crm.embedded import EmbeddedServer
from crm.migrate import MigrationError, migrate


@pytest.fixture(scope="module")
def bare_url():
    """A server on which nothing was ever migrated."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-owner-") as home:
        os.chmod(home, 0o755)
        server = EmbeddedServer(Path(home), durable=False)
        try:
            yield server.start()
        finally:
            server.stop()


def owned(url, role):
    """Make a role and a database of its own; return its URL."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    run(url, f"create role {role} login", f"create database {role} owner {role}")
    return parts._replace(netloc=f"{role}@{where}", path=f"/{role}").geturl()


def run(url, *statements):
    async def story():
        connection = await asyncpg.connect(url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(story())


def test_owner_is_told_what_they_lack_and_by_which_variable(bare_url):
    first = owned(bare_url, "first")
    with pytest.raises(MigrationError) as raised:
        asyncio.run(migrate(first))
    assert str(raised.value) == (
        "the owner's role first (DATABASE_ADMIN_URL) may not make the role "
        "kolbridge_app: as a superuser, alter role first createrole"
    )

    run(bare_url, "alter role first createrole")
    assert asyncio.run(migrate(first))

    second = owned(bare_url, "second")
    with pytest.raises(MigrationError, match="grant kolbridge_app to second"):
        asyncio.run(migrate(second))
    run(bare_url, "grant kolbridge_app to second")
    assert asyncio.run(migrate(second))
    assert asyncio.run(migrate(second)) == []
