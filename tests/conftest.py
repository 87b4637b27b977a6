"""What tests of more than one package share.

Tests that ask for `database_url` run on the embedded server and on each PostgreSQL of
the machine; with TEST_DATABASE_URL set, to a superuser's URL, on that server alone, in
a database that is made for them and dropped again.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import CodeType
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from crm.connect import SERVICE_ROLE, service_url
from crm.embedded import EmbeddedServer
from crm.migrate import migrate
from crm.postgres_install import find_binaries

EMBEDDED = "embedded"
OTHER_URL = os.environ.get("TEST_DATABASE_URL", "")


def _servers() -> dict[str, Path | None]:
    """Return the binaries of each available server, by its name in a test's id."""
    if OTHER_URL:
        return {"other": None}
    system = sorted(Path("/usr/lib/postgresql").glob("1[5-9]/bin/postgres"))
    return {
        EMBEDDED: None,
        **{f"system{one.parents[1].name}": one.parent for one in system},
    }


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test modules that were compiled from other sources than these."""
    root = Path(__file__).parent.parent
    for folder in ("bridge", "dsp"):
        for built in (root / folder).rglob("*.so"):
            name = built.name.partition(".")[0]
            for text in built.parent.glob(f"{name}.p*"):
                if text.suffix != ".pyi" and text.stat().st_mtime > _built_at(built):
                    pytest.exit(f"{text} is newer than what was built of it: make test")


def _built_at(path: Path) -> float:
    return path.stat().st_mtime


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which servers the database tests ran on."""
    terminalreporter.line(f"databases: {', '.join(_servers())}")


@contextmanager
def _migrated(binaries: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="kolbridge-test-") as home:
        server = EmbeddedServer(Path(home), durable=False, bin_dir=binaries)
        url = server.start()
        try:
            asyncio.run(migrate(url))
            yield url
        finally:
            server.stop()


@contextmanager
def _made_on(url: str) -> Iterator[str]:
    """Yield a new, migrated database on a server that runs already."""
    name = f"kolbridge_test_{uuid4().hex}"
    asyncio.run(_run(url, f"create database {name}"))
    made = urlsplit(url)._replace(path=f"/{name}").geturl()
    try:
        asyncio.run(migrate(made))
        yield made
    finally:
        asyncio.run(_run(url, f"drop database {name} with (force)"))


class _Compiled(BytecodeCache):
    """What templates were compiled to, by their files and texts."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


@pytest.fixture(scope="session")
def compiled_once():
    """The templates of the console, which each service compiles at its start.

    That takes half a second, and hundreds of tests start a service.
    """
    from bridge.console import rendering

    kept = partial(Environment, bytecode_cache=_Compiled())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "Environment", kept)
        yield


@pytest.fixture(scope="session")
def embedded_url(compiled_once):
    """A migrated database on the embedded server."""
    with _migrated(find_binaries()) as url:
        yield url


@pytest.fixture(scope="module")
def own_url(embedded_url):
    """A migrated database of one module, for tests that walk over all there is."""
    with _made_on(embedded_url) as url:
        yield url


@pytest.fixture(scope="session", params=_servers())
def database_url(request, compiled_once):
    """A migrated database on every server there is, the embedded one first."""
    if request.param == EMBEDDED:
        yield request.getfixturevalue("embedded_url")
        return
    binaries = _servers()[request.param]
    with _made_on(OTHER_URL) if binaries is None else _migrated(binaries) as url:
        yield url


@pytest.fixture(scope="session")
def role_url(database_url):
    """The URL of a role that may serve, on the server of `database_url`."""
    url = asyncio.run(service_url(database_url))
    password = urlsplit(database_url).password
    if password is None:
        return url
    # Trusted nowhere: it gets the password that the other one has.
    asyncio.run(_run(database_url, f"alter role {SERVICE_ROLE} password '{password}'"))
    return url.replace("@", f":{password}@", 1)


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
