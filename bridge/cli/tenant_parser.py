"""The arguments of `kolbridge tenant`."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from bridge.cli.tenant import VERBS, run

# The singular form is accepted, too.
_ALIASES = {"numbers": ["number"], "services": ["service"]}


def add_parser(subparsers: Any) -> None:
    """Add `tenant` and its verbs to the command line."""
    every = "\n".join(one.examples for one in VERBS.values())
    parser = subparsers.add_parser(
        "tenant",
        description="Manage businesses: numbers, hours, services, prompt and settings.",
        epilog=f"examples:\n{every}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        sub = verbs.add_parser(
            name,
            aliases=_ALIASES.get(name, []),
            help=verb.help,
            description=f"{verb.help[0].upper()}{verb.help[1:]}.",
            epilog=f"examples:\n{verb.examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(verb=name)
        if name not in ("create", "list", "import"):
            sub.add_argument("business", help="name or id of the business")
        if name in _ARGUMENTS:
            _ARGUMENTS[name](sub)
        if name in ("list", "show", "export"):
            sub.add_argument("--json", action="store_true", help="print JSON")


def _repeated(sub: argparse.ArgumentParser, flag: str, metavar: str, text: str) -> None:
    sub.add_argument(flag, action="append", default=[], metavar=metavar, help=text)


def _create(sub: argparse.ArgumentParser) -> None:
    repeated = partial(_repeated, sub)
    sub.add_argument("name", help="name of the business")
    repeated("--number", "E164", "phone number; may be repeated")
    sub.add_argument("--language", default="en", help="ISO 639-1 code (en)")
    sub.add_argument("--country", default="US", help="ISO 3166-1 code (US)")
    sub.add_argument("--time-zone", default="UTC", help="such as Asia/Jerusalem (UTC)")
    sub.add_argument("--greeting", default="", help="the AI's first words")
    sub.add_argument(
        "--fallback", default="", help="spoken while the AI is unavailable"
    )
    sub.add_argument("--prompt", type=Path, help="file with the instructions")
    repeated("--required", "FIELD", "field to ask each caller for; may be repeated")


def _set(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("values", nargs="+", metavar="NAME=VALUE", help="field or setting")


def _numbers(sub: argparse.ArgumentParser) -> None:
    _repeated(sub, "--add", "E164", "number to add; may be repeated")
    _repeated(sub, "--remove", "E164", "number to remove; may be repeated")


def _hours(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("day", nargs="?", help="monday, mon, mon-fri or mon,wed,fri")
    sub.add_argument(
        "spans", nargs="*", metavar="HH:MM-HH:MM", help="opening hours, or: closed"
    )


def _closures(sub: argparse.ArgumentParser) -> None:
    _repeated(sub, "--add", "DAY[..DAY]", "days to close; may be repeated")
    _repeated(sub, "--remove", "DAY", "day to open again; may be repeated")
    sub.add_argument("--reason", default="", help="what callers are told")


def _services(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", nargs="?", help="name of the service")
    sub.add_argument("minutes", type=int, nargs="?", help="its duration")
    sub.add_argument(
        "--buffer", type=int, default=0, metavar="MINUTES", help="pause after it (0)"
    )
    sub.add_argument("--price", metavar="TEXT", help="its price, as callers are told")
    sub.add_argument("--remove", action="store_true", help="remove the service")


def _file(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", type=Path, help="file to read")


def _to_file(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "file", type=Path, nargs="?", help="file to write (standard output)"
    )


def _delete(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--yes", action="store_true", help="do not ask for confirmation")


_ARGUMENTS = {
    "create": _create,
    "set": _set,
    "numbers": _numbers,
    "hours": _hours,
    "closures": _closures,
    "services": _services,
    "prompt": _file,
    "import": _file,
    "export": _to_file,
    "delete": _delete,
}
