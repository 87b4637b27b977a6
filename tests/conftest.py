"""What tests of more than one package share."""

import os
import tempfile
from pathlib import Path

import pytest

from crm.embedded import EmbeddedServer, find_binaries


def _servers() -> list[Path | None]:
    """The embedded server, and the machine's own PostgreSQL where there is one."""
    system = sorted(Path("/usr/lib/postgresql").glob("1[5-9]/bin"))
    return [None, *system[:1]]


@pytest.fixture(scope="session", params=_servers(), ids=lambda p: p and p.parent.name)
def database_url(request):
    """A migrated database on a server of this session's own."""
    import asyncio

    from crm.migrate import migrate

    with tempfile.TemporaryDirectory(prefix="kolbridge-test-") as home:
        os.chmod(home, 0o755)
        binaries = request.param or find_binaries()
        server = EmbeddedServer(Path(home), durable=False, bin_dir=binaries)
        url = server.start()
        try:
            asyncio.run(migrate(url))
            yield url
        finally:
            server.stop()
