"""What every command that reads or changes businesses needs: a database and a name."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from bridge.business.opening_hours import TenantError
from bridge.settings.options import nearest
from bridge.settings.process import Settings, SettingsError, load
from crm import businesses
from crm.backup import BackupError
from crm.connect import Schema, open_url
from crm.database import Database
from crm.migrate import MigrationError
from crm.names import same_name_key
from crm.postgres_install import EmbeddedError
from crm.transient import DATABASE_ERRORS, in_words

EXIT_FAILED = 1
EXIT_USAGE = 2

Steps = Callable[[Database, Settings], Awaitable[None]]
UrlSteps = Callable[[str, Settings], Coroutine[Any, Any, None]]


def run_with_database(command: str, steps: Steps, schema: Schema = Schema.KEEP) -> int:
    """Run `steps` on the database of the settings; return the exit code.

    A command that reads leaves the schema unchanged. An error is printed as one line;
    the exit code is 2 for a wrong request, 1 for a failure.
    """
    return run_with_url(command, partial(_run, steps), schema)


def run_with_url(command: str, steps: UrlSteps, schema: Schema) -> int:
    """Do what `run_with_database` does, for steps that take the owner's URL."""
    server = None
    try:
        settings = load(os.environ, Path(".env"))
        # Only the owner of the schema may create businesses and numbers.
        url = settings.database_admin_url or settings.database_url
        url, server = open_url(
            url,
            Path(settings.kolbridge_home),
            admin_url=settings.database_admin_url,
            schema=schema,
            on_moved=partial(_say_moved, command),
        )
        asyncio.run(steps(url, settings))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it: flush nothing more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except (TenantError, SettingsError) as error:
        print(f"kolbridge {command}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (*DATABASE_ERRORS, EmbeddedError, MigrationError) as error:
        print(f"kolbridge {command}: the database: {in_words(error)}", file=sys.stderr)
        return EXIT_FAILED
    except BackupError as error:
        print(f"kolbridge {command}: {error}", file=sys.stderr)
        return EXIT_FAILED
    finally:
        if server is not None:
            server.stop()
    return 0


def _say_moved(command: str, files: list[str]) -> None:
    print(f"kolbridge {command}: applied {', '.join(files)}", file=sys.stderr)


async def _run(steps: Steps, url: str, settings: Settings) -> None:
    database = await Database.open(
        url,
        pool_max=1,
        command_timeout_s=settings.database_timeout_ms / 1e3,
        pgbouncer=settings.db_pgbouncer,
    )
    try:
        await steps(database, settings)
    finally:
        await database.close()


async def find_business(database: Database, wanted: str) -> UUID:
    """Return the id of the business with a name or an id; raises TenantError."""
    every = await businesses.list_all(database)
    found = [one for one, name in every if wanted in (name, str(one))]
    if not found:
        key = same_name_key(wanted)
        found = [one for one, name in every if same_name_key(name) == key]
    if len(found) != 1:
        count = "no" if not found else "more than one"
        meant = "" if found else nearest(wanted, [name for _, name in every])
        raise TenantError(f"{wanted!r}: {count} business has this name or id{meant}")
    return found[0]
