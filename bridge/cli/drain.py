"""`kolbridge drain`: asks a node to take no more calls, and waits for its last one."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from bridge.business.opening_hours import TenantError
from bridge.cli.database import run_with_database
from bridge.settings.options import nearest
from bridge.settings.process import Settings
from crm import nodes
from crm.database import Database
from crm.nodes import Node
from crm.transient import DATABASE_ERRORS, in_words

# A node's heartbeat comes each second.
POLL_S = 1.0
DESCRIPTION = """\
Ask a node to drain: it takes no more calls, and finishes those that it has. The
node learns of it with its next heartbeat. With --wait, print how many calls it
has, until it has none or is gone."""
EXAMPLES = """examples:
  kolbridge drain node-1
  kolbridge drain node-1 --wait        before the node is stopped
"""


def add_parser(subparsers: Any) -> None:
    """Add `drain` to the command line."""
    parser = subparsers.add_parser(
        "drain",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("node", metavar="NODE", help="name of the node")
    parser.add_argument(
        "--wait", action="store_true", help="wait until it has no calls, or is gone"
    )


def run(args: argparse.Namespace) -> int:
    """Ask a node to drain; return 0, or print one line that says what is wrong."""
    return run_with_database("drain", partial(_drain, args))


async def _drain(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    if not await nodes.ask_to_drain(db, args.node):
        meant = nearest(args.node, [node.name for node in await nodes.every(db)])
        raise TenantError(f"{args.node!r}: there is no such node{meant}")
    print(f"{args.node}: asked to drain", flush=True)
    if args.wait:
        await wait(db, args.node, pause=partial(asyncio.sleep, POLL_S))


async def wait(
    db: Database, name: str, *, pause: Callable[[], Awaitable[object]]
) -> None:
    """Print a node's number of calls, as it changes, until it has none or is gone.

    While the database is away, the number is unknown, and the node is waited for.
    """
    shown = None
    while True:
        try:
            parts = await _draining(db, name)
        except DATABASE_ERRORS as error:
            print(f"kolbridge drain: the database: {in_words(error)}", file=sys.stderr)
        else:
            if not parts:
                print(f"{name}: gone")
                return
            active = sum(part.active for part in parts)
            if active != shown:
                shown = active
                places = sum(part.capacity for part in parts)
                print(f"{name}: {shown} of {places} calls", flush=True)
            # Until it says that it drains, it may still take a call.
            if not active and all(part.is_draining for part in parts):
                print(f"{name}: drained")
                return
        await pause()


async def _draining(db: Database, name: str) -> list[Node]:
    """Return the parts of a node that drain or were asked to; none if it is gone, or
    started again under its name."""
    return [
        node
        for node in await nodes.every(db)
        if node.name == name
        and not node.is_stale
        and (node.is_draining or node.drain_asked)
    ]
