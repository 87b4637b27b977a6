"""`kolbridge leads`: who has called, and what is known of them.

A claim is what an unverified caller said. Claims are listed after the leads, marked as
unverified.
"""

import argparse
import sys
from functools import partial
from typing import Any

import msgspec

from bridge.business.opening_hours import TenantError
from bridge.cli.asking import ask
from bridge.cli.calls import add_listing_arguments, chosen_businesses
from bridge.cli.database import run_with_database
from bridge.cli.listing import local_time
from bridge.records.erasing import erase_person
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from crm import businesses, claims, conversation_pages, leads, proofs
from crm.claims import Claim
from crm.conversation_pages import Written
from crm.database import Database
from crm.erasing import CallRuns
from crm.leads import Lead

EXAMPLES = """examples:
  kolbridge leads --business "Dana's Salon"
  kolbridge leads --business "Dana's Salon" --accept CA0123456789abcdef0123456789abcdef
  kolbridge leads --business "Dana's Salon" --erase +12025550123
  kolbridge leads --json | jq -r '[.phone, .name, .next_appointment_at] | @tsv'
"""
STAYS = """\
What stays: backups, log lines, and what other systems were told.
Other nodes delete their recordings within a minute, or when they are up again."""


def add_parser(subparsers: Any) -> None:
    """Add `leads` to the command line."""
    parser = subparsers.add_parser(
        "leads",
        description="List leads, latest callers first, then the claims of callers who "
        "are not verified.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_listing_arguments(parser)
    acts = parser.add_mutually_exclusive_group()
    acts.add_argument(
        "--erase",
        metavar="E164",
        help="delete all of the person with this number, once confirmed",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before --erase")
    acts.add_argument(
        "--accept",
        metavar="CALL",
        help="merge the claim of this call into the lead whose number it names",
    )


def run(args: argparse.Namespace) -> int:
    """List leads; return 0, or print one line that says what is wrong."""
    return run_with_database("leads", partial(_leads, args))


async def _leads(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    if args.accept is not None:
        await _accept(args, db)
        return
    if args.erase is not None:
        await _erase(args, db, settings)
        return
    zones = await businesses.time_zones(db)
    for business_id, name in await chosen_businesses(args, db):
        zone = zones.get(business_id, "UTC")
        found = await leads.recent(db, business_id, args.limit)
        written = await conversation_pages.written_by(
            db, business_id, [lead.id for lead in found]
        )
        for lead in found:
            wrote = written.get(lead.id)
            if args.json:
                print(_row(name, lead, wrote))
            else:
                print(_line(name, lead, zone, wrote))
        for claim in await claims.recent(db, business_id, args.limit):
            print(_row(name, claim) if args.json else _claim_line(name, claim, zone))


async def _accept(args: argparse.Namespace, db: Database) -> None:
    zones = await businesses.time_zones(db)
    for business_id, name in await chosen_businesses(args, db):
        lead = await proofs.accept(db, business_id, args.accept)
        if lead is not None:
            shown = _line(name, lead, zones.get(business_id, "UTC"))
            print(_row(name, lead) if args.json else shown)
            return
    raise TenantError(f"--accept {args.accept}: no claim of this call names a number")


async def _erase(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    """Delete all of a person; print what was deleted and what is left."""
    if args.business is None:
        raise TenantError("--erase: expected --business with it")
    business_id = (await chosen_businesses(args, db))[0][0]
    lead = await leads.find(db, business_id, args.erase)
    if lead is None:
        raise TenantError(f"--erase {args.erase}: no lead has this number")
    _ask(args, lead)
    try:
        erasure = await erase_person(db, settings, business_id, lead.id)
    except CallRuns:
        raise TenantError("nothing was deleted: a call of this person runs") from None
    if erasure is None:
        raise TenantError("it was deleted meanwhile")
    rows = ", ".join(f"{count} {table}" for table, count in erasure.rows.items())
    print(f"deleted: {rows}, {erasure.files} files")
    for path in erasure.left:
        print(f"{path} still names the person: a record waits to be written")
    print(STAYS)


def _ask(args: argparse.Namespace, lead: Lead) -> None:
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise TenantError("nothing was deleted: expected --yes where nobody can answer")
    shown = one_line(f"{lead.phone}  {lead.name or '-'}  calls={lead.calls}")
    prompt = f"{shown}\nAll of it is deleted for good. yes, to go on: "
    if ask(input, prompt) != "yes":
        raise TenantError("nothing was deleted")


def _row(business: str, entry: Lead | Claim, wrote: Written | None = None) -> str:
    is_verified = isinstance(entry, Lead)
    fields = msgspec.structs.asdict(entry)
    row = {"business": business, "verified": is_verified, **fields}
    if is_verified:
        row["messages"] = wrote.messages if wrote else 0
        row["last_written_at"] = wrote.last_at if wrote else None
    return msgspec.json.encode(row).decode()


def _line(business: str, lead: Lead, zone: str, wrote: Written | None = None) -> str:
    last = local_time(lead.last_call_at, zone, otherwise="never")
    written = ""
    if wrote is not None:
        at = local_time(wrote.last_at, zone)
        written = f"messages={wrote.messages}  written={at}  "
    return one_line(
        f"{last}  {business}  {lead.phone}  {lead.name or '-'}  {lead.status}  "
        f"calls={lead.calls}  {written}{_rest(lead, zone)}"
    )


def _claim_line(business: str, claim: Claim, zone: str) -> str:
    said_at = local_time(claim.created_at, zone)
    return one_line(
        f"{said_at}  {business}  {claim.phone or '-'}  {claim.name or '-'}  "
        f"unverified  call={claim.call_sid}  {_rest(claim, zone)}"
    )


def _rest(entry: Lead | Claim, zone: str) -> str:
    booked = local_time(entry.next_appointment_at, zone, timespec="minutes")
    return f"next={booked}  {msgspec.json.encode(entry.fields).decode()}"
