"""`kolbridge backup`: all businesses, to one file."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from bridge.cli.database import run_with_url
from bridge.settings.process import Settings
from crm.backup import back_up
from crm.connect import Schema

DESCRIPTION = """\
Write all businesses with their leads, appointments and calls to one file, as of
one moment, while the service runs. The file contains what callers said: protect
it like the database. It does not contain recordings (RECORD_DIR) or call
records that wait in KOLBRIDGE_HOME for the database."""


def add_parser(subparsers: Any) -> None:
    """Add `backup` to the command line."""
    parser = subparsers.add_parser(
        "backup",
        description=DESCRIPTION,
        epilog="examples:\n  kolbridge backup kolbridge.backup\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("file", type=Path, help="the backup to write")


def run(args: argparse.Namespace) -> int:
    """Write the file; return 0, or print one line that says what is wrong."""
    return run_with_url("backup", partial(_backup, args.file), Schema.ANY)


async def _backup(file: Path, url: str, settings: Settings) -> None:
    manifest = await back_up(url, file)
    print(f"written: {manifest.describe()}")
