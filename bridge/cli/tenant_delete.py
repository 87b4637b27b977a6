"""`kolbridge tenant delete`: deletes a business and all its data, once confirmed."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from bridge.business.opening_hours import TenantError
from bridge.cli.asking import ask
from bridge.cli.database import find_business
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from crm import businesses
from crm.database import Database
from crm.deleting import count, delete, recordings
from crm.names import same_name_key

STAYS = (
    "What stays: backups, log lines, and what waits in KOLBRIDGE_HOME/unwritten of "
    "calls that end now."
)


async def run(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    """Show what will be deleted and ask for the name; with --yes delete at once."""
    business_id = await find_business(db, args.business)
    name = dict(await businesses.list_all(db))[business_id]
    print(
        one_line(f"{name} ({business_id}): {_describe(await count(db, business_id))}")
    )
    folder = Path(settings.record_dir) if settings.record_dir is not None else None
    if folder is not None:
        kept = len(await recordings(db, business_id, folder))
        print(f"{kept} recordings of its calls lie in {folder} and stay there")
    if not args.yes:
        _ask(name)
    gone = await delete(db, business_id)
    print(f"deleted: {_describe(gone)}")
    print(STAYS)


def _ask(name: str) -> None:
    if not sys.stdin.isatty():
        raise TenantError("nothing was deleted: expected --yes where nobody can answer")
    typed = ask(input, "All of it is deleted for good. Its name, to go on: ")
    if same_name_key(typed) != same_name_key(name):
        raise TenantError("nothing was deleted: that is not its name")


def _describe(rows: Mapping[str, int]) -> str:
    return ", ".join(
        f"{count} {table.replace('_', ' ')}" for table, count in sorted(rows.items())
    )
