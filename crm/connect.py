"""Which database is used, and in which role: the given one, or an embedded one.

The embedded database lies below `home`. Two roles log in. The owner creates the schema,
businesses and numbers, and could read every tenant. The service's role may only become
kolbridge_app, which the policies bind. On the embedded server this module creates the
service's role.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from crm.embedded import EmbeddedServer
from crm.migrate import MigrationError, NoSchema, check, migrate

SERVICE_ROLE = "kolbridge_service"
_MAKE_SERVICE_ROLE = f"""
do $$ begin
  create role {SERVICE_ROLE} login noinherit in role kolbridge_app;
exception when duplicate_object or unique_violation then null;
end $$"""


class Schema(Enum):
    """What is done with the schema when a database is opened."""

    MOVE = "brought up to date"
    MAKE = "made where there is none"
    KEEP = "looked at only"
    ANY = "taken as it is"


def open_url(
    database_url: str | None,
    home: Path,
    *,
    admin_url: str | None = None,
    schema: Schema = Schema.MOVE,
    on_moved: Callable[[list[str]], None] | None = None,
) -> tuple[str, EmbeddedServer | None]:
    """Return a database's URL, and the server to stop if one was started.

    Call it on the main thread, outside a running event loop. Raises MigrationError
    unless this build can work on the schema. The schema is migrated as `admin_url`, the
    owner, and `on_moved` is told the files. The embedded server's URL is the owner's.
    """
    server = None
    if database_url is None:
        server, admin_url = EmbeddedServer(home), None
        database_url = server.start()
    try:
        moved = asyncio.run(_prepare(admin_url or database_url, schema))
    except asyncpg.InsufficientPrivilegeError as error:
        _stop(server)
        name = "DATABASE_ADMIN_URL" if admin_url else "DATABASE_URL"
        raise MigrationError(
            f"{name}'s role may not change the schema ({error}): give the owner's "
            "URL as DATABASE_ADMIN_URL"
        ) from None
    except BaseException:
        _stop(server)
        raise
    if moved and on_moved is not None:
        on_moved(moved)
    return database_url, server


async def _prepare(url: str, schema: Schema) -> list[str]:
    """Check or migrate the schema; return the files that were applied."""
    if schema is Schema.ANY:
        return []
    if schema is not Schema.MOVE:
        try:
            await check(url)
        except NoSchema:
            if schema is Schema.KEEP:
                raise
        else:
            return []
    return await migrate(url)


def _stop(server: EmbeddedServer | None) -> None:
    if server is not None:
        server.stop()


async def service_url(owner_url: str) -> str:
    """Return the URL of the service's role on the embedded server, created if new."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute(_MAKE_SERVICE_ROLE)
    finally:
        await connection.close()
    parts = urlsplit(owner_url)
    where = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{SERVICE_ROLE}@{where}").geturl()
