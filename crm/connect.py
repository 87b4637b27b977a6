"""Which database: the given one, or the embedded one below `home`."""

import asyncio
from pathlib import Path

from crm.embedded import EmbeddedServer
from crm.migrate import migrate


def open_url(
    database_url: str | None, home: Path, *, admin_url: str | None = None
) -> tuple[str, EmbeddedServer | None]:
    """Return a migrated database's URL, and the server to stop if we started one.

    Call it on the main thread, outside a running event loop. Migrations run as
    `admin_url` where the service's own role may not.
    """
    if database_url:
        asyncio.run(migrate(admin_url or database_url))
        return database_url, None
    server = EmbeddedServer(home)
    url = server.start()
    try:
        asyncio.run(migrate(url))
    except BaseException:
        server.stop()
        raise
    return url, server
