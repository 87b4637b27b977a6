"""`kolbridge calls`: what was said and done in calls, from the database."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from bridge.agent.prompt import CALL_FACTS
from bridge.business.opening_hours import TenantError
from bridge.cli import calls_live, calls_summary
from bridge.cli.database import find_business, run_with_database
from bridge.cli.listing import local_time, money
from bridge.cli.refused import listed, retry
from bridge.records.journal import CALLS_FOLDER
from bridge.records.refused import RefusedRecords
from bridge.settings.prices import PRICES_DATE
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from crm import businesses, calls
from crm.database import Database

LIMIT_MAX = 10_000
DESCRIPTION = f"""\
List calls, newest first, or show one call with its transcript. The last column
is the cost by OPENAI_PRICES, or by the vendor's prices of {PRICES_DATE} in US
dollars; '-' if a model has no price."""
EXAMPLES = """examples:
  kolbridge calls
  kolbridge calls --business "Dana's Salon" --limit 100
  kolbridge calls CA0123456789abcdef0123456789abcdef
  kolbridge calls --summary --since 7d
  kolbridge calls --live               calls that run now, on any node
  kolbridge calls --json | jq -r 'select(.outcome == "failed") | .call_sid'
  kolbridge calls --refused            records that the database refused, and why
  kolbridge calls --retry-refused      write them again, each exactly once
"""


def add_parser(subparsers: Any) -> None:
    """Add `calls` to the command line."""
    parser = subparsers.add_parser(
        "calls",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("call_sid", nargs="?", help="CallSid of the call to show")
    refused = parser.add_mutually_exclusive_group()
    refused.add_argument(
        "--refused", action="store_true", help="list records that the database refused"
    )
    refused.add_argument(
        "--retry-refused", action="store_true", help="write refused records again"
    )
    add_listing_arguments(parser)
    calls_summary.add_arguments(parser)
    calls_live.add_arguments(parser)


def add_listing_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that lists of calls and of leads share."""
    parser.add_argument("--business", help="name or id of a business (all)")
    parser.add_argument(
        "--limit", type=int, default=20, help="maximum per business (20)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per line"
    )


def run(args: argparse.Namespace) -> int:
    """List calls, or show one; return 0, or print one line that says what is wrong."""
    return run_with_database("calls", partial(_calls, args))


async def chosen_businesses(
    args: argparse.Namespace, db: Database
) -> list[tuple[UUID, str]]:
    """Return the businesses to list."""
    if not 1 <= args.limit <= LIMIT_MAX:
        raise TenantError(f"--limit {args.limit}: expected 1 to {LIMIT_MAX}")
    every = await businesses.list_all(db)
    if args.business is None:
        return every
    wanted = await find_business(db, args.business)
    return [one for one in every if one[0] == wanted]


async def _calls(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    found = await chosen_businesses(args, db)
    if args.summary:
        await calls_summary.show(args, db, found, settings.openai_prices_currency)
        return
    if args.since is not None or args.until is not None:
        raise TenantError("--since and --until: expected with --summary")
    if args.live:
        await calls_live.show(args, db, dict(found))
        return
    if args.refused or args.retry_refused:
        records = RefusedRecords(Path(settings.kolbridge_home) / CALLS_FOLDER)
        if args.retry_refused:
            print(await retry(records, db))
        for line in listed(records, dict(found), is_json=args.json):
            print(line)
        return
    if args.call_sid is not None:
        await _show(args, db, found, settings.openai_prices_currency)
        return
    rows = [
        {"business": name, **dict(row)}
        for business_id, name in found
        for row in await calls.recent(db, business_id, args.limit)
    ]
    rows.sort(key=lambda row: row["started_at"], reverse=True)
    zones = await businesses.time_zones(db)
    for row in rows:
        print(
            msgspec.json.encode(row).decode()
            if args.json
            else _line(
                row,
                zones.get(row["business_id"], "UTC"),
                settings.openai_prices_currency,
            )
        )


async def _show(
    args: argparse.Namespace,
    db: Database,
    found: list[tuple[UUID, str]],
    currency: str,
) -> None:
    rows = [
        (business_id, {"business": name, **dict(row)})
        for business_id, name in found
        if (row := await calls.find(db, business_id, args.call_sid)) is not None
    ]
    if not rows:
        raise TenantError(f"{args.call_sid!r}: there is no such call")
    business_id, call = rows[0]
    turns = await calls.turns(db, business_id, args.call_sid)
    tools = await calls.tools(db, business_id, args.call_sid)
    if args.json:
        whole = {**call, "turns": turns, "tools": tools}
        print(msgspec.json.encode(whole).decode())
        return
    zones = await businesses.time_zones(db)
    print(_line(call, zones.get(business_id, "UTC"), currency))
    if call["missing_fields"]:
        print(f"missing: {', '.join(call['missing_fields'])}")
    print()
    for turn, tool in calls.in_order(turns, tools):
        if turn is not None:
            print(f"{turn.at_s:7.1f} s  {_turn(turn)}")
        elif tool is not None:
            print(f"{tool.at_s:7.1f} s  {_tool(tool)}")
    prompt = call["prompt"].replace(CALL_FACTS, call["prompt_facts"], 1)
    print(f"\n--- prompt {call['prompt_sha256'][:12]} ---\n{prompt}")


def _line(row: dict[str, Any], zone: str, currency: str) -> str:
    lasted_s = (row["ended_at"] - row["started_at"]).total_seconds()
    return one_line(
        f"{local_time(row['started_at'], zone)}  {row['call_sid']}  "
        f"{row['business']}  {row['from_number'] or '-'}  {lasted_s:.0f} s  "
        f"{row['outcome']}  {row['end_reason']}  {money(row['cost'], currency)}"
    )


def _turn(turn: calls.Turn) -> str:
    said = turn.text or ("" if turn.interrupted else "(spoken, without words)")
    cut = " (interrupted)" if turn.interrupted else ""
    return one_line(f"{turn.role}: {said}{cut}")


def _tool(tool: calls.ToolCall) -> str:
    return one_line(f"[{tool.name}] {tool.arguments} -> {tool.result}")
