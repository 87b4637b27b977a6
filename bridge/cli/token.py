"""`kolbridge token`: tokens of the HTTP API, and secret URLs of calendar feeds."""

import argparse
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from bridge.business.opening_hours import TenantError
from bridge.cli.database import find_business, run_with_database
from bridge.cli.listing import local_time
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from crm import access_tokens, businesses
from crm.access_tokens import API, FEED, READ, SCOPES, Token, TooManyTokens
from crm.database import Database
from crm.names import same_name_key

NAME_CHARS_MAX = 100
EXAMPLES = """examples:
  kolbridge token add --business "Dana's Salon" --name "Our website"
  kolbridge token add --business "Dana's Salon" --name Reports --read-only
  kolbridge token feed --business "Dana's Salon"
  kolbridge token list --business "Dana's Salon"
  kolbridge token revoke --business "Dana's Salon" 0b1f3c5e
"""


def add_parser(subparsers: Any) -> None:
    """Add `token` to the command line."""
    parser = subparsers.add_parser(
        "token",
        description="Give programs access to one business: a token of the HTTP API, or "
        "the secret URL of a calendar. Each is shown once.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = _add_verb(verbs, "add", _add, "make a token of the API")
    add.add_argument("--name", required=True, help="what it is for")
    add.add_argument("--read-only", action="store_true", help="it changes nothing")
    feed = _add_verb(verbs, "feed", _feed, "make the secret URL of a calendar")
    feed.add_argument("--name", default="Appointments", help="the calendar's name")
    feed.add_argument("--person", help="only the appointments with this person")
    listing = _add_verb(verbs, "list", _list, "list tokens and calendars")
    listing.add_argument("--json", action="store_true", help="print JSON lines")
    revoke = _add_verb(verbs, "revoke", _revoke, "revoke a token or a calendar")
    revoke.add_argument("id", help="its id, or the beginning of it")


def _add_verb(verbs: Any, name: str, steps: Any, text: str) -> Any:
    parser = verbs.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.add_argument("--business", required=True, help="name or id of a business")
    parser.set_defaults(run=partial(_run, steps))
    return parser


def _run(steps: Any, args: argparse.Namespace) -> int:
    return run_with_database("token", partial(_in_business, steps, args))


async def _in_business(
    steps: Any, args: argparse.Namespace, db: Database, settings: Settings
) -> None:
    business_id = await find_business(db, args.business)
    try:
        await steps(args, db, settings, business_id)
    except TooManyTokens as error:
        raise TenantError(f"the business has {error} already") from None


async def _add(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    scopes = (READ,) if args.read_only else SCOPES
    name = _name(args.name)
    made = await access_tokens.make(db, business_id, API, name, scopes)
    print(made.token.id)
    print(f"token, shown this once: {made.secret}")


async def _feed(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    number = None
    if args.person is not None:
        number = await _number(db, business_id, args.person)
    name = _name(args.name)
    made = await access_tokens.make(db, business_id, FEED, name, (), number)
    local = f"http://{settings.url_host}:{settings.port}"
    base = (settings.public_url or local).rstrip("/")
    print(made.token.id)
    print(f"address, shown this once: {base}/feeds/{made.secret}.ics")


async def _number(db: Database, business_id: UUID, name: str) -> int | None:
    business = await businesses.get(db, business_id)
    people = business.staff if business is not None else ()
    for one in people:
        if same_name_key(one.name) == same_name_key(name):
            return one.number
    have = ", ".join(one.name for one in people) or "no people"
    raise TenantError(f"--person: {name!r}: expected one of {have}")


def _name(text: str) -> str:
    name = one_line(text.strip())
    if not 1 <= len(name) <= NAME_CHARS_MAX:
        raise TenantError(f"--name: expected 1 to {NAME_CHARS_MAX} characters")
    return name


async def _list(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    zone = (await businesses.time_zones(db)).get(business_id, "UTC")
    for one in await access_tokens.listed(db, business_id):
        print(msgspec.json.encode(one).decode() if args.json else _line(one, zone))


def _line(one: Token, zone: str) -> str:
    what = one.kind if one.kind == FEED else ",".join(one.scopes)
    used = local_time(one.last_used_at, zone, otherwise="never")
    return one_line(f"{one.id}  {one.name}  {what}  used={used}")


async def _revoke(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    every = await access_tokens.listed(db, business_id)
    found = [one for one in every if str(one.id).startswith(args.id)]
    if len(found) != 1:
        count = "more than one" if found else "no"
        raise TenantError(f"{args.id}: {count} token has an id like this")
    await access_tokens.revoke(db, business_id, found[0].id)
    print(one_line(f"revoked {found[0].name}"))
