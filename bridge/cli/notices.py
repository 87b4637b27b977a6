"""`kolbridge notices`: who is told of what happens in a business, and what was sent."""

import argparse
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from bridge.business.opening_hours import TenantError
from bridge.cli.database import find_business, run_with_database
from bridge.cli.listing import local_time
from bridge.notices.dispatcher import Dispatcher
from bridge.notices.targets import TargetError, allowed_hosts, check_target
from bridge.notices.webhook import WebhookSender
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from bridge.telemetry.metrics import Metrics
from crm import businesses, notice_deliveries, notices
from crm.database import Database
from crm.notices import Endpoint, Entry

LIMIT_MAX = 1_000
DESCRIPTION = f"""\
Tell other systems and people what happens in a business: by webhooks, which
are signed by Standard Webhooks, and by e-mail. The service delivers at least
once, in no promised order.

types: {", ".join(notices.TYPES[:4])},
       {", ".join(notices.TYPES[4:])}"""
EXAMPLES = """examples:
  kolbridge notices add --business "Dana's Salon" --url https://example.com/hook
  kolbridge notices add --business "Dana's Salon" --email dana@example.com \\
    --types appointment.booked,appointment.cancelled
  kolbridge notices list --business "Dana's Salon"
  kolbridge notices test --business "Dana's Salon" 0b1f3c5e
  kolbridge notices log --business "Dana's Salon" --json
  kolbridge notices replay --business "Dana's Salon" 7d0c9a11
"""


def add_parser(subparsers: Any) -> None:
    """Add `notices` to the command line."""
    parser = subparsers.add_parser(
        "notices",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="step")
    add = _add_step(steps, "add", _add, "add an endpoint, or change its types")
    target = add.add_mutually_exclusive_group(required=True)
    target.add_argument("--url", help="where a webhook goes, https://...")
    target.add_argument("--email", help="an e-mail address")
    add.add_argument("--types", help="types of notices, with commas between (all)")
    listing = _add_step(steps, "list", _list, "list endpoints")
    log = _add_step(steps, "log", _log, "list deliveries, newest first")
    log.add_argument("--limit", type=int, default=20, help="maximum (20)")
    for one in (listing, log):
        one.add_argument("--json", action="store_true", help="print JSON lines")
    for name, run_step, text in (
        ("remove", _remove, "remove an endpoint and its log"),
        ("enable", _enable, "enable an endpoint that was disabled"),
        ("test", _test, "send a test to an endpoint now"),
        ("replay", _replay, "deliver a notice again"),
    ):
        what = "notice" if name == "replay" else "endpoint"
        step = _add_step(steps, name, run_step, text)
        step.add_argument("id", help=f"id of the {what}, or its beginning")


def _add_step(steps: Any, name: str, run_step: Any, text: str) -> Any:
    parser = steps.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.add_argument("--business", required=True, help="name or id of a business")
    parser.set_defaults(run=partial(_run, run_step))
    return parser


def _run(run_step: Any, args: argparse.Namespace) -> int:
    return run_with_database("notices", partial(_in_business, run_step, args))


async def _in_business(
    run_step: Any, args: argparse.Namespace, db: Database, settings: Settings
) -> None:
    business_id = await find_business(db, args.business)
    await run_step(args, db, settings, business_id)


async def _add(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    kind = notices.EMAIL if args.email else notices.WEBHOOK
    allowed = allowed_hosts(settings.notice_allow_hosts)
    try:
        target = check_target(kind, args.email or args.url, allowed)
        made = await notices.add(db, business_id, kind, target, _types(args.types))
    except TargetError as error:
        name = "--email" if args.email else "--url"
        raise TenantError(f"{name}: {error}") from None
    except notices.TooManyEndpoints as error:
        raise TenantError(f"the business has {error} already") from None
    print(made.endpoint.id)
    if made.secret:
        print(f"secret, shown this once: {made.secret}")


def _types(given: str | None) -> tuple[str, ...]:
    if given is None:
        return notices.TYPES
    wanted = tuple(name.strip() for name in given.split(",") if name.strip())
    for name in wanted:
        if name not in notices.TYPES:
            known = ", ".join(notices.TYPES)
            raise TenantError(f"--types: {name!r}: expected some of {known}")
    if not wanted:
        raise TenantError("--types: expected at least one type")
    return wanted


async def _list(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    for one in await notices.endpoints(db, business_id):
        print(msgspec.json.encode(one).decode() if args.json else _line(one))


def _line(one: Endpoint) -> str:
    state = f"disabled: {one.disabled_why}" if one.disabled_at else "enabled"
    return one_line(f"{one.id}  {one.target}  {','.join(one.types)}  {state}")


async def _log(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    if not 1 <= args.limit <= LIMIT_MAX:
        raise TenantError(f"--limit {args.limit}: expected 1 to {LIMIT_MAX}")
    zone = (await businesses.time_zones(db)).get(business_id, "UTC")
    for entry in await notices.log(db, business_id, args.limit):
        row = msgspec.json.encode(entry).decode() if args.json else ""
        print(row or _entry_line(entry, zone))


def _entry_line(one: Entry, zone: str) -> str:
    answer = f"{one.status or '-'} {one.answer or ''}".strip()
    return one_line(
        f"{local_time(one.created_at, zone)}  {one.notice_id}  {one.type}  "
        f"{one.target}  {one.state}  tries={one.tries}  {answer[:80]}"
    )


async def _remove(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    endpoint = await _endpoint(args, db, business_id)
    await notices.remove(db, business_id, endpoint.id)
    print(one_line(f"removed {endpoint.target}"))


async def _enable(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    endpoint = await _endpoint(args, db, business_id)
    await notices.enable(db, business_id, endpoint.id)
    print(one_line(f"enabled {endpoint.target}"))


async def _test(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    endpoint = await _endpoint(args, db, business_id)
    notice_id = await notices.add_test(db, business_id, endpoint.id)
    assert notice_id is not None, "the endpoint was found"
    claimed = await notice_deliveries.claim_one(db, business_id, notice_id, endpoint.id)
    sender = WebhookSender(allowed_hosts(settings.notice_allow_hosts))
    try:
        if claimed is not None:
            await Dispatcher(settings, db, Metrics()).deliver(claimed, sender)
    finally:
        await sender.close()
    tried = await notices.attempts(db, business_id, notice_id, endpoint.id)
    if not tried:
        print("the service delivers it: see kolbridge notices log")
        return
    last = tried[-1]
    print(one_line(f"{last.status or 'no answer'}  {last.answer}".strip()))


async def _replay(
    args: argparse.Namespace, db: Database, settings: Settings, business_id: UUID
) -> None:
    entries = await notices.log(db, business_id, LIMIT_MAX)
    found = {one.notice_id for one in entries if str(one.notice_id).startswith(args.id)}
    if len(found) != 1:
        raise TenantError(f"{args.id}: {_count(found)} notice has an id like this")
    count = await notices.replay(db, business_id, found.pop())
    print(f"delivered again to {count} endpoints, as soon as the service looks")


async def _endpoint(
    args: argparse.Namespace, db: Database, business_id: UUID
) -> Endpoint:
    every = await notices.endpoints(db, business_id)
    found = [one for one in every if str(one.id).startswith(args.id)]
    if len(found) != 1:
        raise TenantError(f"{args.id}: {_count(found)} endpoint has an id like this")
    return found[0]


def _count(found: Any) -> str:
    return "more than one" if found else "no"
