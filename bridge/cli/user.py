"""`kolbridge user`: who may log in to the console."""

import argparse
import getpass
import secrets
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from bridge.business.opening_hours import TenantError
from bridge.cli.asking import ask
from bridge.cli.database import find_business, run_with_database
from bridge.settings.options import nearest
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from crm import accounts, businesses
from crm.accounts import ROLES, AccountError, User
from crm.database import Database

EXAMPLES = """examples:
  kolbridge user add dana@example.com --business "Dana's Salon" --role owner
  kolbridge user add admin --role operator --link
  kolbridge user link dana@example.com
  kolbridge user password dana@example.com < file
  kolbridge user code-off dana@example.com
  kolbridge user list
"""
# Long enough to be read in a mail, short enough to be worth little later.
LINK_MINUTES = 60
LINK_MINUTES_MAX = 7 * 24 * 60
# The pages' languages; `bridge.console.language` has the words.
LANGUAGES = ("en", "he", "ar")
NO_CONSOLE = "the extra is not installed: pip install kolbridge[console]"


def add_parser(subparsers: Any) -> None:
    """Add `user` and its verbs to the command line."""
    parser = subparsers.add_parser(
        "user",
        description="Manage the accounts of the console.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", help="make an account")
    add.add_argument("login", help="e-mail address or login name")
    add.add_argument("--role", choices=ROLES, default="owner", help="(owner)")
    add.add_argument("--business", help="name or id; not for an operator")
    add.add_argument("--name", help="how the console calls the person")
    add.add_argument("--language", choices=LANGUAGES, help="of the pages")
    how = add.add_mutually_exclusive_group()
    how.add_argument(
        "--link", action="store_true", help="print a login link; set no password"
    )
    how.add_argument("--no-login", action="store_true", help="set no password")
    verbs.add_parser("list", help="list accounts").add_argument(
        "--json", action="store_true", help="print JSON"
    )
    for verb, text in (
        ("disable", "close an account and end its sessions"),
        ("enable", "open a closed account again"),
        ("remove", "delete an account with its sessions"),
        ("password", "set a password, read from the terminal or standard input"),
        ("link", "print a link that logs in once"),
        ("code-off", "turn off the second factor of a user who has lost it"),
    ):
        sub = verbs.add_parser(verb, help=text)
        sub.add_argument("login", help="e-mail address or login name")
        if verb == "link":
            sub.add_argument(
                "--minutes", type=int, default=LINK_MINUTES, help=f"({LINK_MINUTES})"
            )


def run(args: argparse.Namespace) -> int:
    """Carry out one verb; return 0, or print one line that says what is wrong."""
    return run_with_database("user", partial(_VERBS[args.verb], args))


async def _add(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    business_id = await _business_of(args, db)
    hashed = None if args.link or args.no_login else hash_password(_read_password())
    try:
        user_id = await accounts.add(
            db,
            args.login,
            args.name or args.login,
            args.role,
            business_id=business_id,
            password_hash=hashed,
            language=args.language,
        )
    except AccountError as error:
        raise TenantError(str(error)) from None
    if args.link:
        print(await make_link(db, settings, user_id, LINK_MINUTES))
    else:
        print(user_id)


async def _business_of(args: argparse.Namespace, db: Database) -> UUID | None:
    if args.role == "operator":
        if args.business is not None:
            raise TenantError("--business: an operator belongs to no business")
        return None
    if args.business is None:
        raise TenantError(f"--business: expected the business of the {args.role}")
    return await find_business(db, args.business)


async def _list(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    names = dict(await businesses.list_all(db))
    for user in await accounts.list_all(db):
        whose = names.get(user.business_id, "-") if user.business_id else "-"
        if args.json:
            print(msgspec.json.encode(_shown(user, whose)).decode())
            continue
        state = "disabled" if user.disabled_at else "active"
        print(one_line(f"{user.login}  {user.role}  {whose}  {state}  {user.name}"))


def _shown(user: User, business: str) -> dict[str, Any]:
    return {
        "id": user.id,
        "login": user.login,
        "name": user.name,
        "role": user.role,
        "business": business,
        "language": user.language,
        "has_password": user.password_hash is not None,
        "has_second_factor": user.totp_secret is not None,
        "disabled_at": user.disabled_at,
    }


async def _disable(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    user = await _find(db, args.login)
    await accounts.disable(db, user.id, is_disabled=args.verb == "disable")


async def _remove(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    await accounts.remove(db, (await _find(db, args.login)).id)


async def _password(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    user = await _find(db, args.login)
    await accounts.set_password(db, user.id, hash_password(_read_password()))


async def _code_off(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    user = await _find(db, args.login)
    if user.totp_secret is None:
        raise TenantError(f"{args.login}: this account has no second factor")
    await accounts.set_totp(db, user.id, None)
    await accounts.note(db, user.id, "second factor off")


async def _link(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    if not 1 <= args.minutes <= LINK_MINUTES_MAX:
        raise TenantError(f"--minutes: expected 1 to {LINK_MINUTES_MAX}")
    user = await _find(db, args.login)
    if user.disabled_at is not None:
        raise TenantError(f"{args.login}: this account is disabled")
    print(await make_link(db, settings, user.id, args.minutes))


async def make_link(
    db: Database, settings: Settings, user_id: UUID, minutes: int
) -> str:
    """Store a link that logs a user in once; return its address."""
    token = secrets.token_urlsafe(32)
    await accounts.add_link(db, user_id, token, minutes)
    local = f"http://{settings.url_host}:{settings.port}"
    return f"{(settings.public_url or local).rstrip('/')}/console/login/{token}"


async def _find(db: Database, login: str) -> User:
    user = await accounts.find(db, login)
    if user is None:
        logins = [one.login for one in await accounts.list_all(db)]
        raise TenantError(
            f"{login!r}: no account has this name{nearest(login, logins)}"
        )
    return user


def _read_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = ask(getpass.getpass, "Password: ")
    if first != ask(getpass.getpass, "Again: "):
        raise TenantError("the two passwords differ")
    return first


def hash_password(password: str) -> str:
    """Return the hash of a password; raises TenantError if it cannot be used."""
    try:
        from bridge.console import passwords
    except ModuleNotFoundError:
        raise TenantError(NO_CONSOLE) from None
    if passwords.fault_of(password) is not None:
        raise TenantError(
            f"password: expected {passwords.CHARS_MIN} to {passwords.CHARS_MAX} "
            "characters"
        )
    return passwords.hash_password(password)


_VERBS: dict[
    str, Callable[[argparse.Namespace, Database, Settings], Awaitable[None]]
] = {
    "add": _add,
    "list": _list,
    "disable": _disable,
    "enable": _disable,
    "remove": _remove,
    "password": _password,
    "link": _link,
    "code-off": _code_off,
}
