"""The arguments of `kolbridge tenant`."""

import argparse
from pathlib import Path
from typing import Any

from bridge.cli.tenant import VERBS, run

# Names from before the verbs were plural.
_ALIASES = {"numbers": ["number"], "services": ["service"]}


def add_parser(subparsers: Any) -> None:
    """Add `tenant` and its verbs to the command line."""
    every = "\n".join(one.examples for one in VERBS.values())
    parser = subparsers.add_parser(
        "tenant",
        description="Businesses: who answers on which number, when and how.",
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
            description=verb.help.capitalize() + ".",
            epilog=f"examples:\n{verb.examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(verb=name)
        if name not in ("create", "list", "import"):
            sub.add_argument("business", help="its name or id")
        if name in _ARGUMENTS:
            _ARGUMENTS[name](sub)
        if name in ("list", "show", "export"):
            sub.add_argument("--json", action="store_true", help="JSON, for scripts")


def _create(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name")
    sub.add_argument("--number", action="append", default=[], metavar="E164")
    sub.add_argument("--language", default="en", help="two letters (en)")
    sub.add_argument("--country", default="US", help="two letters (US)")
    sub.add_argument("--time-zone", default="UTC", help="as in Asia/Jerusalem")
    sub.add_argument("--greeting", default="")
    sub.add_argument("--fallback", default="", help="said when the AI cannot be had")
    sub.add_argument("--prompt", type=Path, help="a file with the instructions")
    sub.add_argument("--required", action="append", default=[], metavar="FIELD")


def _set(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("values", nargs="+", metavar="NAME=VALUE")


def _numbers(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--add", action="append", default=[], metavar="E164")
    sub.add_argument("--remove", action="append", default=[], metavar="E164")


def _hours(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("day", nargs="?", help="monday, mon, mon-fri or mon,wed,fri")
    sub.add_argument("spans", nargs="*", metavar="HH:MM-HH:MM", help="or: closed")


def _closures(sub: argparse.ArgumentParser) -> None:
    days = "DAY[..DAY]"
    sub.add_argument("--add", action="append", default=[], metavar=days)
    sub.add_argument("--remove", action="append", default=[], metavar="DAY")
    sub.add_argument("--reason", default="")


def _services(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", nargs="?")
    sub.add_argument("minutes", type=int, nargs="?")
    sub.add_argument("--buffer", type=int, default=0, metavar="MINUTES")
    sub.add_argument("--remove", action="store_true")


def _file(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", type=Path)


def _to_file(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", type=Path, nargs="?", help="the screen, if left out")


def _delete(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--yes", action="store_true", help="do not ask")


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
