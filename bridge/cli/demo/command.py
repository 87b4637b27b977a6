"""The command line of `kolbridge demo`."""

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """Starts the database, the bridge and the sandbox, places a call to an
English and to a Hebrew business at once, and writes the sound, a picture and a report.
Exit code 1 if a check of the list fails."""
EXAMPLES = """examples:
  kolbridge demo
  kolbridge demo --out first-call
  OPENAI_API_KEY=sk-… kolbridge demo --live
"""


def add_parser(subparsers: Any) -> None:
    """Add `demo` to the command line."""
    parser = subparsers.add_parser(
        "demo",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder (demo)")
    parser.add_argument(
        "--live",
        action="store_true",
        help="talk to the real OpenAI with OPENAI_API_KEY",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from bridge.cli.demo import run

    return run.run(args)
