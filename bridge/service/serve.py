"""`kolbridge serve`: runs the service from its settings to its last record."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bridge.nodes.membership import identity_of
from bridge.ports.acceptor import listen
from bridge.ports.connections import raise_descriptor_limit
from bridge.ports.workers import Workers
from bridge.service.admin import open_admin
from bridge.service.database_watch import Starts, follow, tend, watch
from bridge.service.messenger_process import messenger_beside
from bridge.service.server import Server
from bridge.service.signals import Signals
from bridge.service.socket_handover import (
    HandoverSocket,
    Inheritance,
    ask,
    note_of_leaving,
)
from bridge.service.supervisor import Supervisor
from bridge.settings.process import (
    Settings,
    SettingsError,
    check_complete,
    load,
    missing_of,
    warnings_of,
)
from bridge.telemetry.gc_monitor import GcMonitor
from bridge.telemetry.log import LogWriter, server_logger, write_line
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import SupervisedTask
from bridge.telephony.tokens import new_key
from crm.connect import Schema, open_url, service_url
from crm.database import Database, IsolationError
from crm.embedded import EmbeddedServer
from crm.migrate import MigrationError
from crm.nodes import NameTaken
from crm.postgres_install import EmbeddedError
from crm.transient import DATABASE_ERRORS, in_words, is_transient

EXAMPLES = """examples:
  kolbridge serve
  PORT=9000 LOG_LEVEL=debug kolbridge serve
  kolbridge serve --take-over    zero-downtime upgrade: the running service drains
  RECORD_DIR=recordings RECORD_AUDIO=1 kolbridge serve    see kolbridge replay
"""
# What DATABASE_URL must be, in the words of SQL.
ROLE_WANTED = (
    "expected one made by: create role kolbridge_service login password '...' "
    "noinherit in role kolbridge_app; the owner's URL is DATABASE_ADMIN_URL"
)
NO_DATABASE = (EmbeddedError, MigrationError, *DATABASE_ERRORS)
NO_TAKE_OVER = (
    "--take-over expects DATABASE_URL: the embedded database ends with the service "
    "that started it"
)
LEFT = (
    "not started again: the service had handed over its port before it crashed; "
    "`systemctl start` takes the port back"
)
EXIT_SETTINGS = 2
EXIT_FAILED = 1


def add_parser(subparsers: Any) -> None:
    """Add `serve` to the command line."""
    parser = subparsers.add_parser(
        "serve",
        description="Run the service until SIGTERM, SIGINT or SIGHUP. Settings come "
        "from the environment and from .env.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="take over the port of the running service, which then drains",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; return the exit code."""
    # Records, recordings and caches are for this user alone.
    os.umask(0o077)
    dotenv = Path(".env")
    ignored = warnings_of(os.environ, dotenv)
    try:
        settings = load(os.environ, dotenv)
        missing = check_complete(settings)
        if args.take_over and settings.database_url is None:
            missing = [*missing, NO_TAKE_OVER]
    except SettingsError as error:
        missing = [*error.lines, *missing_of(error), *ignored]
    if missing:
        sys.stderr.write("".join(f"kolbridge: {line}\n" for line in missing))
        return EXIT_SETTINGS
    for line in ignored:
        write_line(logging.WARNING, line, settings.secrets)
    note = note_of_leaving()
    if args.take_over and note is not None and note.exists():
        write_line(logging.WARNING, LEFT, settings.secrets)
        return 0
    embedded = None
    try:
        try:
            url, embedded = open_url(
                settings.database_url,
                Path(settings.kolbridge_home),
                admin_url=settings.database_admin_url,
                # The service that takes over may still fail to start.
                schema=Schema.KEEP if args.take_over else Schema.MOVE,
                on_moved=partial(_log_moved, settings),
            )
            if embedded is not None:
                url = asyncio.run(service_url(url))
            asyncio.run(require_bound_role(settings, url))
        except IsolationError as error:
            sys.stderr.write(f"kolbridge: DATABASE_URL: {error}; {ROLE_WANTED}\n")
            return EXIT_SETTINGS
        except NO_DATABASE as error:
            text = in_words(error)
            sys.stderr.write(f"kolbridge: the database cannot be had: {text}\n")
            return EXIT_FAILED
        code = _run_service(settings, url, args.take_over, embedded)
        if note is not None and code == 0:
            note.unlink(missing_ok=True)
        return code
    finally:
        if embedded is not None:
            embedded.stop()


def _log_moved(settings: Settings, files: list[str]) -> None:
    write_line(logging.INFO, f"schema: applied {', '.join(files)}", settings.secrets)


async def require_bound_role(settings: Settings, url: str) -> None:
    """Raise IsolationError for a role that could bypass row-level security.

    A role that cannot log in, or cannot become the policies' role, raises one of
    DATABASE_ERRORS.
    """
    database = await _open(settings, url, pool_max=1)
    try:
        await database.check_isolation()
        async with database.routing():
            pass
    finally:
        await database.close()


async def open_for_calls(settings: Settings, url: str) -> Database:
    """Open the database; an unreachable database is connected to when it is back, and
    a worker restarted meanwhile serves the businesses cached on disk."""
    try:
        return await _open(settings, url, settings.database_pool_size)
    except Exception as error:
        if not is_transient(error):
            raise
        server_logger().error("the database is away: %s", type(error).__name__)
        return await _open(settings, url, settings.database_pool_size, pool_min=0)


async def _open(
    settings: Settings, url: str, pool_max: int, *, pool_min: int = 1
) -> Database:
    return await Database.open(
        url,
        pool_min=pool_min,
        pool_max=pool_max,
        command_timeout_s=settings.database_timeout_ms / 1e3,
        pgbouncer=settings.db_pgbouncer,
    )


class Share(NamedTuple):
    """What a worker gets from its parent, or makes itself if it is the only worker."""

    workers: Workers
    listening: socket.socket
    admin: socket.socket | None
    inherited: Inheritance | None
    token_key: bytes
    # The process that passes signals on to all workers.
    chief: int
    lifeline: int | None
    # Keeps the embedded database running, or counts that the parent did.
    keep: Callable[[Metrics], Coroutine[Any, Any, None]] | None


def _run_service(
    settings: Settings,
    database_url: str,
    takes_over: bool,
    embedded: EmbeddedServer | None,
) -> int:
    """Share the port, the key of the tokens and a folder among WORKERS processes."""
    raise_descriptor_limit()
    home = Path(settings.kolbridge_home)
    inherited = ask(home, settings.port) if takes_over else None
    try:
        listening = (
            inherited.listening if inherited else listen(settings.host, settings.port)
        )
    except OSError as error:
        where = f"cannot listen on HOST={settings.host} PORT={settings.port}"
        sys.stderr.write(f"kolbridge: {where}: {error.strerror}\n")
        return EXIT_FAILED
    admin = open_admin(settings, inherited.admin if inherited else None)
    token_key, chief, starts = new_key(), os.getpid(), Starts()
    with tempfile.TemporaryDirectory(prefix="kolbridge-") as folder:

        def serve_worker(index: int, lifeline: int | None) -> int:
            workers = Workers(Path(folder), index, settings.workers)
            keep = None
            if embedded is not None and settings.workers == 1:
                keep = partial(watch, embedded)
            elif embedded is not None:
                embedded.disown()
                keep = partial(follow, starts) if index == 0 else None
            share = Share(
                workers, listening, admin, inherited, token_key, chief, lifeline, keep
            )
            return _run_one(settings, database_url, share)

        if settings.workers == 1:
            return serve_worker(0, None)
        look = partial(tend, embedded, starts, settings.secrets) if embedded else None
        return Supervisor(settings.workers, serve_worker, settings.secrets, look).run()


def _run_one(settings: Settings, database_url: str, share: Share) -> int:
    writer = LogWriter(settings.log_level, settings.secrets)
    writer.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(settings, database_url, share, writer))
    finally:
        writer.stop()


async def serve(
    settings: Settings, database_url: str, share: Share, writer: LogWriter
) -> int:
    """Take calls until a signal; a second signal ends them at once."""
    loop = asyncio.get_running_loop()
    signals = Signals(loop)
    if share.lifeline is not None:
        # The lifeline is readable only when the parent is gone.
        loop.add_reader(
            share.lifeline, _on_orphaned, loop, share.lifeline, signals.stop
        )
    database = await open_for_calls(settings, database_url)
    server = Server(
        settings,
        database,
        share.token_key,
        workers=share.workers,
        identity=identity_of(settings, share.workers.index),
    )
    writer.count_with(partial(server.metrics.count, "log_lines_dropped"))
    try:
        is_after = share.inherited is not None
        await server.start(share.listening, share.admin, takes_over=is_after)
    except NameTaken as error:
        await database.close()
        sys.stderr.write(f"kolbridge: NODE_NAME={error}; expected a name of its own\n")
        return EXIT_SETTINGS
    except OSError as error:
        await database.close()
        what = f"write {error.filename}" if error.filename else "start"
        sys.stderr.write(f"kolbridge: cannot {what}: {error.strerror}\n")
        return EXIT_FAILED
    handover = HandoverSocket(
        Path(settings.kolbridge_home),
        server.port,
        share.listening,
        share.admin,
        partial(os.kill, share.chief, signal.SIGUSR2),
    )
    if share.workers.index == 0:
        if share.inherited is not None:
            share.inherited.take()
        handover.open()
    tending = None
    if share.keep is not None:
        run = partial(share.keep, server.metrics)
        tending = SupervisedTask("embedded_database", run, server.metrics)
        tending.start()
    beside = None
    if share.workers.index == 0:
        messenger = messenger_beside(settings, database_url, database, server)
        beside = asyncio.create_task(messenger.run(signals.stop))
    with GcMonitor(server.metrics.gc_pause_s):
        await _take_calls(settings, server, share, signals, handover)
    if beside is not None:
        await beside
    if tending is not None:
        await tending.stop()
    await database.close()
    server_logger().info("stopped")
    return 0


async def _take_calls(
    settings: Settings,
    server: Server,
    share: Share,
    signals: Signals,
    handover: HandoverSocket,
) -> None:
    """Serve until the first signal, drain until the second, and close."""
    log = server_logger()
    who = ""
    if settings.workers > 1:
        who = f", worker {share.workers.index} of {settings.workers}, pid {os.getpid()}"
    where = f"{settings.url_host}:{server.port}"
    log.info("listening on %s as %s%s", where, server.public_url, who)
    await signals.stop.wait()
    draining = asyncio.ensure_future(_drain(settings, server, signals))
    at_once = asyncio.ensure_future(signals.stop_now.wait())
    await asyncio.wait((draining, at_once), return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, at_once):
        task.cancel()
    failed, _ = await asyncio.gather(draining, at_once, return_exceptions=True)
    if isinstance(failed, Exception):
        log.error("the calls that ran had no time to end", exc_info=failed)
    handover.close()
    await server.close()


async def _drain(settings: Settings, server: Server, signals: Signals) -> None:
    """Drain; first leave the port if another service has it, or as soon as one does.

    A service that handed over its port blocks no other service: its calls last as long
    as their limits allow, until a signal asks the service to stop.
    """
    log = server_logger()

    async def leave() -> None:
        await signals.taken.wait()
        log.info("another service has the port")
        await server.leave_port()

    leaving = asyncio.ensure_future(leave())
    if signals.taken.is_set():
        # Whatever fails at the port, the running calls keep their time.
        (failed,) = await asyncio.gather(leaving, return_exceptions=True)
        if isinstance(failed, Exception):
            log.error("the port was not left in order", exc_info=failed)
        patience_s = server.longest_call_s()
        log.info("draining: up to %d s for the calls that run", patience_s)
        asked = asyncio.ensure_future(signals.asked.wait())
        lasting = asyncio.ensure_future(server.drain(patience_s))
        try:
            await asyncio.wait((asked, lasting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            lasting.cancel()
        if not signals.asked.is_set():
            return
    log.info("draining: up to %d s for the calls that run", settings.drain_seconds)
    await server.drain(settings.drain_seconds)
    leaving.cancel()


def _on_orphaned(
    loop: asyncio.AbstractEventLoop, lifeline: int, stop: asyncio.Event
) -> None:
    """Drain as on a signal, because the parent is gone."""
    loop.remove_reader(lifeline)
    stop.set()
