"""`kolbridge migrate`: brings the database schema to this version."""

import argparse
from typing import Any

from bridge.cli.database import run_with_database
from bridge.settings.process import Settings
from crm.connect import Schema
from crm.database import Database

DESCRIPTION = """\
Bring the database schema to this version, as the role of DATABASE_ADMIN_URL or
as the owner of the embedded database. `kolbridge serve` migrates at its start,
too. `serve --take-over` and commands that only read never migrate. A service of
the previous version keeps running on the new schema."""


def add_parser(subparsers: Any) -> None:
    """Add `migrate` to the command line."""
    parser = subparsers.add_parser(
        "migrate",
        description=DESCRIPTION,
        epilog="examples:\n  kolbridge migrate && kolbridge serve --take-over\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Migrate the schema; return 0, or print one line that says what is wrong."""
    return run_with_database("migrate", _say_version, Schema.MOVE)


async def _say_version(db: Database, settings: Settings) -> None:
    async with db.owner() as connection:
        version = await connection.fetchval(
            "select max(version) from schema_migrations"
        )
    print(f"the schema has migration {version}")
