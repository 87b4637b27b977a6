"""`kolbridge nodes`: the nodes that share the database, and how full each is."""

import argparse
from functools import partial
from typing import Any

import msgspec

from bridge.cli.database import run_with_database
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from crm import nodes
from crm.database import Database
from crm.nodes import STALE_S, Node

DESCRIPTION = f"""\
List the nodes that share the database: name, version, running calls of its
capacity, state, URL, and the age of its last heartbeat. A node is up, draining,
or stale: without a heartbeat for {STALE_S:.0f} s."""
EXAMPLES = """examples:
  kolbridge nodes
  kolbridge nodes --json | jq -r 'select(.state == "stale") | .name'
"""


def add_parser(subparsers: Any) -> None:
    """Add `nodes` to the command line."""
    parser = subparsers.add_parser(
        "nodes",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per line"
    )


def run(args: argparse.Namespace) -> int:
    """List nodes; return 0, or print one line that says what is wrong."""
    return run_with_database("nodes", partial(_nodes, args))


async def _nodes(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    for node in await nodes.every(db):
        row = {**msgspec.structs.asdict(node), "state": _state(node)}
        print(msgspec.json.encode(row).decode() if args.json else _line(node))


def _line(node: Node) -> str:
    return one_line(
        f"{node.name}  {node.version}  {node.active}/{node.capacity}  {_state(node)}  "
        f"{node.url or '-'}  {node.age_s:.1f} s"
    )


def _state(node: Node) -> str:
    if node.is_stale:
        return "stale"
    return "draining" if node.is_draining or node.drain_asked else "up"
