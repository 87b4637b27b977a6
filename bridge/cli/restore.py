"""`kolbridge restore`: all businesses, from one file."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from bridge.cli.database import run_with_url
from bridge.settings.process import Settings
from crm.backup import restore
from crm.connect import Schema

DESCRIPTION = """\
Restore a backup into an empty database: the one of DATABASE_ADMIN_URL, or the
embedded one of another KOLBRIDGE_HOME. The restore is all or nothing. A backup
of an earlier version is migrated."""


def add_parser(subparsers: Any) -> None:
    """Add `restore` to the command line."""
    parser = subparsers.add_parser(
        "restore",
        description=DESCRIPTION,
        epilog="examples:\n  kolbridge restore kolbridge.backup\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("file", type=Path, help="the backup to read")


def run(args: argparse.Namespace) -> int:
    """Read the file; return 0, or print one line that says what is wrong."""
    return run_with_url("restore", partial(_restore, args.file), Schema.ANY)


async def _restore(file: Path, url: str, settings: Settings) -> None:
    manifest = await restore(url, file)
    print(f"restored: {manifest.describe()}")
