"""Behind PgBouncer in transaction mode: every query right, no tenant carried over."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from crm import businesses, leads
from crm.database import Database
from crm.postgres_install import user_name

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
PHONE = "+15550000001"
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")


def address(url):
    """Return where a URL leads, as the pooler's settings have it."""
    parts = urlsplit(url)
    words = {
        "host": parse_qs(parts.query).get("host", [parts.hostname])[0],
        "port": parts.port,
        "dbname": parts.path.strip("/"),
        "user": parts.username,
        "password": parts.password,
    }
    return " ".join(f"{name}={value}" for name, value in words.items() if value)


@contextmanager
def pooled(url):
    """A pooler of three connections before a database; yields its URL."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-pool-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "users.txt").write_text('"postgres" ""\n')
        (folder / "pool.ini").write_text(
            f"[databases]\npostgres = {address(url)}\n"
            f"[pgbouncer]\nunix_socket_dir = {folder}\nlisten_port = 6432\n"
            f"auth_type = any\nauth_file = {folder}/users.txt\n"
            "pool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 50\n"
            # A client comes to another connection each time, however busy they are.
            "server_round_robin = 1\n"
        )
        for path in folder.iterdir():
            path.chmod(0o644)
        process = subprocess.Popen(
            [PGBOUNCER, "-q", str(folder / "pool.ini")],
            # Whom the embedded server lets in.
            user=user_name() if os.geteuid() == 0 else None,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            socket = folder / ".s.PGSQL.6432"
            deadline = time.monotonic() + 10
            while not socket.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            yield f"postgresql://postgres@/postgres?host={quote(name, '')}&port=6432"
        finally:
            process.terminate()
            process.wait(10)


def test_twenty_clients_on_three_connections_keep_to_their_tenants(database_url):
    async def story(url):
        db = await Database.open(url, pool_max=20, pgbouncer=True)
        try:
            made = [await businesses.create(db, f"Shop {n}") for n in range(20)]

            async def client(business_id):
                for calls in range(1, 16):
                    lead = await leads.touch(db, business_id, PHONE)
                    assert lead.calls == calls
                    async with db.tenant(business_id) as connection:
                        rows = await connection.fetch("select business_id from leads")
                        assert [row[0] for row in rows] == [business_id]
                    async with db.routing() as connection:
                        assert await connection.fetch("select * from leads") == []

            await asyncio.gather(*map(client, made))
        finally:
            await db.close()

    with pooled(database_url) as url:
        asyncio.run(story(url))
