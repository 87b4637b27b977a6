"""`kolbridge serve`: the service from its settings to its last record."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from bridge.log import LogWriter, server_logger
from bridge.server import Server
from bridge.settings import Settings, SettingsError, check_complete, load
from crm.connect import open_url
from crm.database import Database, IsolationError
from crm.embedded import EmbeddedError
from crm.migrate import MigrationError

EXAMPLES = """examples:
  kolbridge serve
  PORT=9000 LOG_LEVEL=debug kolbridge serve
  RECORD_DIR=recordings RECORD_AUDIO=1 kolbridge serve    see kolbridge replay
"""
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
        if settings.workers > 1:
            missing.append(f"WORKERS={settings.workers}: expected 1 in this version")
    except SettingsError as error:
        missing = [str(error)]
    if missing:
        sys.stderr.write("".join(f"kolbridge: {line}\n" for line in missing))
        return EXIT_SETTINGS
    try:
        url, embedded = open_url(
            settings.database_url,
            Path(settings.kolbridge_home),
            admin_url=settings.database_admin_url,
        )
    except (EmbeddedError, MigrationError, OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"kolbridge: the database cannot be had: {error}\n")
        return EXIT_FAILED
    writer = LogWriter(settings.log_level, settings.secrets)
    writer.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(settings, url))
    finally:
        writer.stop()
        if embedded is not None:
            embedded.stop()


async def serve(settings: Settings, database_url: str) -> int:
    """Take calls until a signal; a second signal ends them at once."""
    stop, stop_now = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (stop_now if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    database = await Database.open(
        database_url,
        pool_max=settings.database_pool_size,
        command_timeout_s=settings.database_timeout_ms / 1e3,
        pgbouncer=settings.db_pgbouncer,
    )
    try:
        await database.check_isolation()
    except IsolationError as error:
        await database.close()
        sys.stderr.write(f"kolbridge: {error}\n")
        return EXIT_FAILED
    server = Server(settings, database)
    try:
        await server.start()
    except OSError as error:
        await database.close()
        where = f"cannot listen on HOST={settings.host} PORT={settings.port}"
        if error.filename:
            where = f"cannot write {error.filename}"
        sys.stderr.write(f"kolbridge: {where}: {error.strerror}\n")
        return EXIT_FAILED
    # What lives as long as the process is not looked at by the collector any more.
    gc.collect()
    gc.freeze()
    log = server_logger()
    log.info("listening on %s:%d as %s", settings.host, server.port, server.public_url)
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
