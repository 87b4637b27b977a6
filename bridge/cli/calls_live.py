"""`kolbridge calls --live`: the calls that run now, over all nodes."""

import argparse
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from bridge.cli.listing import local_time
from bridge.telemetry.masking import mask_phone, one_line
from crm import businesses, live_calls
from crm.database import Database


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument that chooses this list."""
    parser.add_argument(
        "--live",
        action="store_true",
        help="list all calls that run now, oldest first: node, generation, claims",
    )


async def show(args: argparse.Namespace, db: Database, found: dict[UUID, str]) -> None:
    """Print the running calls of these businesses, oldest first."""
    zones = await businesses.time_zones(db)
    for owner in await live_calls.live(db):
        if owner.business_id not in found:
            continue
        row = {
            "opened_at": owner.opened_at,
            "call_sid": owner.call_sid,
            "business": found[owner.business_id],
            "to_number": mask_phone(owner.to_number),
            "node": owner.node,
            "worker": owner.worker,
            "generation": owner.generation,
            "claims": owner.claims,
            "is_stale": owner.is_stale,
        }
        if args.json:
            print(msgspec.json.encode(row).decode())
        else:
            print(_line(row, zones.get(owner.business_id, "UTC")))


def _line(row: Mapping[str, Any], zone: str) -> str:
    state = "" if not row["is_stale"] else "  stale" if row["node"] else "  released"
    return one_line(
        f"{local_time(row['opened_at'], zone)}  {row['call_sid']}  {row['business']}  "
        f"{row['to_number']}  node={row['node'] or '-'}  worker={row['worker']}  "
        f"generation={row['generation']}  claims={row['claims']}{state}"
    )
