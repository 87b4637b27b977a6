"""What tests of more than one package share."""

import asyncio
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from crm.embedded import EmbeddedServer, find_binaries
from crm.migrate import migrate


def _servers() -> list[Path | None]:
    """The embedded server, and the machine's own PostgreSQL where there is one."""
    system = sorted(Path("/usr/lib/postgresql").glob("1[5-9]/bin"))
    return [None, *system[:1]]


@contextmanager
def _migrated(binaries: Path):
    with tempfile.TemporaryDirectory(prefix="kolbridge-test-") as home:
        os.chmod(home, 0o755)
        server = EmbeddedServer(Path(home), durable=False, bin_dir=binaries)
        url = server.start()
        try:
            asyncio.run(migrate(url))
            yield url
        finally:
            server.stop()


@pytest.fixture(scope="session")
def embedded_url():
    """A migrated database on the embedded server."""
    with _migrated(find_binaries()) as url:
        yield url


@pytest.fixture(scope="session", params=_servers(), ids=lambda p: p and p.parent.name)
def database_url(request):
    """A migrated database on every server there is, the embedded one first."""
    if request.param is None:
        yield request.getfixturevalue("embedded_url")
        return
    with _migrated(request.param) as url:
        yield url
