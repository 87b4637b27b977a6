"""`kolbridge doctor`: the checklist before going live, each with ✓ or what to do.

No check reaches a caller or leaves anything in the database. The calls go through a
bridge of the command's own on loopback, to the sandbox's model, from a caller who hides
their number, and leave no record. Only the sessions with the model, in which nothing is
said, and the requests to Twilio are real.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from bridge.cli.doctor.call_checks import check_calls, check_signatures
from bridge.cli.doctor.check import Check
from bridge.cli.doctor.database_checks import (
    check_database,
    check_isolation,
    check_pool,
    check_role,
)
from bridge.cli.doctor.machine_checks import (
    check_build,
    check_clock,
    check_folders,
    check_public_name,
)
from bridge.cli.doctor.message_checks import check_messages
from bridge.cli.doctor.model_checks import check_model
from bridge.cli.doctor.settings_checks import check_settings
from bridge.cli.doctor.twilio_checks import check_numbers
from bridge.settings.process import Settings
from bridge.telemetry.log import LOGGER
from crm.connect import Schema, open_url, service_url
from crm.database import Database
from crm.migrate import MigrationError
from crm.postgres_install import EmbeddedError
from crm.transient import DATABASE_ERRORS, in_words

DESCRIPTION = """\
Check the settings of kolbridge serve, the machine, the database and its tenant
isolation, Twilio's signatures and the webhooks of each number, a model session
with each business's configuration, whether written messages are answered, and one
call to each business. The exit code
is 1 if something must be fixed; ! marks a warning."""


def add_parser(subparsers: Any) -> None:
    """Add `doctor` to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        description=DESCRIPTION,
        epilog="examples:\n  kolbridge doctor\n  PORT=9000 kolbridge doctor\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Go through the list; return 0 if all is well, 2 if a setting cannot be read."""
    # The list says what matters; log warnings would only interrupt it.
    logging.getLogger(LOGGER).addHandler(logging.NullHandler())
    os.umask(0o077)  # files left below KOLBRIDGE_HOME belong to the service
    settings, checks = check_settings(os.environ, Path(".env"))
    _show(checks)
    if settings is None:
        return 2
    asyncio.run(_go_through(checks, partial(_check_machine, settings)))
    try:
        url, embedded = open_url(
            settings.database_url,
            Path(settings.kolbridge_home),
            admin_url=settings.database_admin_url,
            schema=Schema.KEEP,
        )
    except MigrationError as error:
        _show([Check("database", False, str(error))])
        return 1
    except (EmbeddedError, *DATABASE_ERRORS) as error:
        text = f"start it or set DATABASE_URL: {in_words(error)}"
        _show([Check("database", False, text)])
        return 1
    try:
        if embedded is None:
            owner = settings.database_admin_url or url
        else:
            owner, url = url, asyncio.run(service_url(url))
        checks += asyncio.run(_check_all(settings, owner, url))
    finally:
        if embedded is not None:
            embedded.stop()
    wrong = sum(not check.ok for check in checks)
    print(f"{wrong} of {len(checks)} need attention" if wrong else "ready for calls")
    return 1 if wrong else 0


async def _check_all(settings: Settings, owner: str, url: str) -> list[Check]:
    database = await Database.open(owner, pgbouncer=settings.db_pgbouncer)
    checks: list[Check] = []
    try:
        await _go_through(
            checks,
            partial(check_database, database),
            partial(check_role, settings, url),
            partial(check_pool, settings, url),
            partial(check_clock, settings, database),
            partial(check_isolation, database),
            partial(check_signatures, settings, database),
            partial(check_numbers, settings, database),
            partial(check_model, settings, database),
            partial(check_messages, settings, database),
            partial(check_calls, settings, database),
        )
    except asyncpg.PostgresError as error:
        refused = Check("database", False, f"the owner's role is refused: {error}")
        _show([refused])
        checks.append(refused)
    except DATABASE_ERRORS as error:
        lost = Check("database", False, f"the checks end here: {in_words(error)}")
        _show([lost])
        checks.append(lost)
    finally:
        await database.close()
    return checks


async def _check_machine(settings: Settings) -> list[Check]:
    return [
        *check_build(),
        *check_folders(settings),
        *await check_public_name(settings),
    ]


async def _go_through(
    checks: list[Check], *parts: Callable[[], Awaitable[list[Check]]]
) -> None:
    """Run one part after the other; show at once what each finds, and add it."""
    for part in parts:
        found = await part()
        _show(found)
        checks += found


def _show(checks: list[Check]) -> None:
    for check in checks:
        print(check, flush=True)
