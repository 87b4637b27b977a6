"""`kolbridge leads`: who has called, and what is known of them."""

import argparse
from datetime import UTC
from functools import partial
from typing import Any

import msgspec

from bridge.calls_cli import add_listing_arguments, chosen_businesses
from bridge.cli_database import run_with_database
from bridge.settings import Settings
from crm import leads
from crm.database import Database
from crm.leads import Lead

EXAMPLES = """examples:
  kolbridge leads --business "Dana's Salon"
  kolbridge leads --json | jq -r '[.phone, .name, .next_appointment_at] | @tsv'
"""


def add_parser(subparsers: Any) -> None:
    """Add `leads` to the command line."""
    parser = subparsers.add_parser(
        "leads",
        description="List leads, those who called last first.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_listing_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """List leads; 0, or one line that says what was wrong."""
    return run_with_database("leads", partial(_leads, args))


async def _leads(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    for business_id, name in await chosen_businesses(args, db):
        for lead in await leads.recent(db, business_id, args.limit):
            if args.json:
                row = {"business": name, **msgspec.structs.asdict(lead)}
                print(msgspec.json.encode(row).decode())
            else:
                print(_line(name, lead))


def _line(business: str, lead: Lead) -> str:
    at, booked_at = lead.last_call_at, lead.next_appointment_at
    last = "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    booked = (
        "-" if booked_at is None else f"{booked_at.astimezone(UTC):%Y-%m-%d %H:%M}Z"
    )
    fields = msgspec.json.encode(lead.fields).decode()
    return (
        f"{last}  {business}  {lead.phone}  {lead.name or '-'}  {lead.status}  "
        f"calls={lead.calls}  next={booked}  {fields}"
    )
