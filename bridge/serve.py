"""`kolbridge serve`: the service from its settings to its last record."""

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import uvloop

from bridge.log import LogWriter, server_logger
from bridge.pauses import Pauses
from bridge.peers import Peers
from bridge.server import Server, listen
from bridge.settings import Settings, SettingsError, check_complete, load
from bridge.supervisor import Supervisor
from bridge.tokens import new_key
from crm.away import AWAY
from crm.connect import open_url, service_url
from crm.database import Database, IsolationError
from crm.embedded import EmbeddedError
from crm.migrate import MigrationError

EXAMPLES = """examples:
  kolbridge serve
  PORT=9000 LOG_LEVEL=debug kolbridge serve
  RECORD_DIR=recordings RECORD_AUDIO=1 kolbridge serve    see kolbridge replay
"""
# What DATABASE_URL must be, in the words of SQL.
ROLE_WANTED = (
    "expected one made by: create role kolbridge_service login password '...' "
    "noinherit in role kolbridge_app; the owner's URL is DATABASE_ADMIN_URL"
)
NO_DATABASE = (EmbeddedError, MigrationError, asyncpg.PostgresError, *AWAY)
EXIT_SETTINGS = 2
EXIT_FAILED = 1


def add_parser(subparsers: Any) -> None:
    """Add `serve` to the command line."""
    parser = subparsers.add_parser(
        "serve",
        help="run the service",
        description="Takes calls until SIGTERM; settings come from the environment and "
        ".env.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = load(os.environ, Path(".env"))
        missing = check_complete(settings)
    except SettingsError as error:
        missing = [str(error)]
    if missing:
        sys.stderr.write("".join(f"kolbridge: {line}\n" for line in missing))
        return EXIT_SETTINGS
    embedded = None
    try:
        try:
            url, embedded = open_url(
                settings.database_url,
                Path(settings.kolbridge_home),
                admin_url=settings.database_admin_url,
            )
            if embedded is not None:
                url = asyncio.run(service_url(url))
            asyncio.run(require_bound_role(settings, url))
        except IsolationError as error:
            sys.stderr.write(f"kolbridge: DATABASE_URL: {error}; {ROLE_WANTED}\n")
            return EXIT_SETTINGS
        except NO_DATABASE as error:
            text = str(error) or type(error).__name__
            sys.stderr.write(f"kolbridge: the database cannot be had: {text}\n")
            return EXIT_FAILED
        if settings.workers > 1:
            return _run_workers(settings, url)
        return _run_one(settings, url)
    finally:
        if embedded is not None:
            embedded.stop()


async def require_bound_role(settings: Settings, url: str) -> None:
    """Raise IsolationError for a role that could bypass row-level security.

    One that cannot log in, or not become the policies' role, raises what AWAY and
    PostgresError are.
    """
    database = await _open(settings, url, pool_max=1)
    try:
        await database.check_isolation()
        async with database.routing():
            pass
    finally:
        await database.close()


async def _open(settings: Settings, url: str, pool_max: int) -> Database:
    return await Database.open(
        url,
        pool_max=pool_max,
        command_timeout_s=settings.database_timeout_ms / 1e3,
        pgbouncer=settings.db_pgbouncer,
    )


class Share(NamedTuple):
    """What a worker of several has from their parent."""

    peers: Peers
    listening: socket.socket
    token_key: bytes
    lifeline: int


def _run_one(settings: Settings, database_url: str, share: Share | None = None) -> int:
    writer = LogWriter(settings.log_level, settings.secrets)
    writer.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(settings, database_url, share))
    finally:
        writer.stop()


def _run_workers(settings: Settings, database_url: str) -> int:
    """Share the port, the key of the tokens and a folder among WORKERS processes."""
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        where = f"cannot listen on HOST={settings.host} PORT={settings.port}"
        sys.stderr.write(f"kolbridge: {where}: {error.strerror}\n")
        return EXIT_FAILED
    token_key = new_key()
    with tempfile.TemporaryDirectory(prefix="kolbridge-") as folder:

        def serve_worker(index: int, lifeline: int) -> int:
            peers = Peers(Path(folder), index, settings.workers)
            share = Share(peers, listening, token_key, lifeline)
            return _run_one(settings, database_url, share)

        return Supervisor(settings.workers, serve_worker, settings.secrets).run()


async def serve(
    settings: Settings, database_url: str, share: Share | None = None
) -> int:
    """Take calls until a signal; a second signal ends them at once."""
    stop, stop_now = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (stop_now if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    if share is not None:
        # Readable only when the parent is gone.
        loop.add_reader(share.lifeline, _on_orphaned, loop, share.lifeline, stop)
    database = await _open(settings, database_url, settings.database_pool_size)
    server = Server(
        settings,
        database,
        share.token_key if share else None,
        peers=share.peers if share else None,
    )
    try:
        await server.start(share.listening if share else None)
    except OSError as error:
        await database.close()
        where = f"cannot listen on HOST={settings.host} PORT={settings.port}"
        if error.filename:
            where = f"cannot write {error.filename}"
        sys.stderr.write(f"kolbridge: {where}: {error.strerror}\n")
        return EXIT_FAILED
    with Pauses(server.metrics.gc_pause_s):
        return await _take_calls(settings, server, database, share, (stop, stop_now))


async def _take_calls(
    settings: Settings,
    server: Server,
    database: Database,
    share: Share | None,
    signals: tuple[asyncio.Event, asyncio.Event],
) -> int:
    """Serve until the first signal, drain until the second, and close."""
    stop, stop_now = signals
    log = server_logger()
    who = ""
    if share is not None:
        who = f", worker {share.peers.index} of {settings.workers}, pid {os.getpid()}"
    where = f"{settings.host}:{server.port}"
    log.info("listening on %s as %s%s", where, server.public_url, who)
    await stop.wait()
    log.info("draining: up to %d s for the calls that run", settings.drain_seconds)
    draining = asyncio.ensure_future(server.drain())
    at_once = asyncio.ensure_future(stop_now.wait())
    await asyncio.wait((draining, at_once), return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, at_once):
        task.cancel()
    await asyncio.gather(draining, at_once, return_exceptions=True)
    await server.close()
    await database.close()
    log.info("stopped")
    return 0


def _on_orphaned(
    loop: asyncio.AbstractEventLoop, lifeline: int, stop: asyncio.Event
) -> None:
    """The parent is gone: drain, as on a signal."""
    loop.remove_reader(lifeline)
    stop.set()
