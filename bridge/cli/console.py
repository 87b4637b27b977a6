"""`kolbridge console`: the first login, on the machine of the service."""

import argparse
import webbrowser
from functools import partial
from typing import Any

from bridge.business.opening_hours import TenantError
from bridge.cli.database import run_with_database
from bridge.cli.user import make_link
from bridge.settings.process import Settings
from crm import accounts
from crm.accounts import AccountError
from crm.database import Database

EXAMPLES = """examples:
  kolbridge console          print a link that logs in once as the operator
  kolbridge console --open   open it in the browser of this machine
"""
LOCAL_OPERATOR = "operator"
LINK_MINUTES = 10


def add_parser(subparsers: Any) -> None:
    """Add `console` to the command line."""
    parser = subparsers.add_parser(
        "console",
        description="Make a link that logs in once as an operator. The first time it "
        "makes the operator, too. The service must be running. An operator with a "
        "second factor is asked for the code.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--open", action="store_true", help="open the browser")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the link, or open it; return 0, or print what is wrong."""
    return run_with_database("console", partial(_console, args))


async def _console(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    if not settings.console:
        raise TenantError("CONSOLE='0': expected 1: the service has no console")
    operators = [
        user
        for user in await accounts.list_all(db)
        if user.role == "operator" and user.disabled_at is None
    ]
    if operators:
        named = [user.id for user in operators if user.login == LOCAL_OPERATOR]
        user_id = named[0] if named else operators[0].id
    else:
        try:
            user_id = await accounts.add(db, LOCAL_OPERATOR, "Operator", "operator")
        except AccountError:
            raise TenantError(
                f"the account {LOCAL_OPERATOR!r} is disabled: kolbridge user enable "
                f"{LOCAL_OPERATOR}"
            ) from None
    link = await make_link(db, settings, user_id, LINK_MINUTES)
    if not (args.open and webbrowser.open(link)):
        print(link)
