"""The command line of `kolbridge demo`."""

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Start the database, the bridge and the sandbox, place a call to an English and
to a Hebrew business at once, and write the audio, a picture and a report. The
exit code is 1 if a check fails. With --console, look at it all in a browser:
two businesses with yesterday's calls and this week's appointments, until Ctrl-C.
With --whatsapp, a person calls and writes to one business; needs the extra
whatsapp."""
EXAMPLES = """examples:
  kolbridge demo
  kolbridge demo --out first-call
  kolbridge demo --console
  kolbridge demo --whatsapp
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
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="output folder (demo)"
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="use the real OpenAI API, with OPENAI_API_KEY",
    )
    parser.add_argument(
        "--console", action="store_true", help="run the console until Ctrl-C"
    )
    parser.add_argument(
        "--whatsapp",
        action="store_true",
        help="a call and a WhatsApp chat of one person",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from bridge.cli.demo import console, run, whatsapp

    if args.whatsapp:
        return whatsapp.run()
    return console.run(args) if args.console else run.run(args)
