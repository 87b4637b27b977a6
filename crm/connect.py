"""Which database: the given one, or the embedded one below `home`; and as whom.

Two roles log in. The owner makes the schema, businesses and numbers, and could read
every tenant. The service may do nothing but become kolbridge_app, whom the policies
bind; on the embedded server it is made here.
"""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from crm.embedded import EmbeddedServer
from crm.migrate import MigrationError, migrate

SERVICE_ROLE = "kolbridge_service"
_MAKE_SERVICE_ROLE = f"""
do $$ begin
  create role {SERVICE_ROLE} login noinherit in role kolbridge_app;
exception when duplicate_object or unique_violation then null;
end $$"""


def open_url(
    database_url: str | None, home: Path, *, admin_url: str | None = None
) -> tuple[str, EmbeddedServer | None]:
    """Return a migrated database's URL, and the server to stop if we started one.

    Call it on the main thread, outside a running event loop. Migrations run as
    `admin_url`, the owner. The embedded server's URL is the owner's.
    """
    if database_url:
        try:
            asyncio.run(migrate(admin_url or database_url))
        except asyncpg.InsufficientPrivilegeError as error:
            name = "DATABASE_ADMIN_URL" if admin_url else "DATABASE_URL"
            raise MigrationError(
                f"{name}'s role may not change the schema ({error}): give the owner's "
                "URL as DATABASE_ADMIN_URL"
            ) from None
        return database_url, None
    server = EmbeddedServer(home)
    url = server.start()
    try:
        asyncio.run(migrate(url))
    except BaseException:
        server.stop()
        raise
    return url, server


async def service_url(owner_url: str) -> str:
    """Return the URL of the service's role, made if need be, on a server of our own."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute(_MAKE_SERVICE_ROLE)
    finally:
        await connection.close()
    parts = urlsplit(owner_url)
    where = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{SERVICE_ROLE}@{where}").geturl()
