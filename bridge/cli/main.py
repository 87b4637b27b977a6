"""`kolbridge`: finds the module of a command and imports only that one."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from bridge.telemetry.masking import VisibleStream

# A command's module adds its own parser, whose default `run` takes the arguments and
# returns the exit code.
COMMANDS = {
    "demo": (
        "bridge.cli.demo.command",
        "place two calls on this machine, without any account",
    ),
    "serve": ("bridge.service.serve", "run the service"),
    "call": ("bridge.cli.call", "place a call with recorded audio to a running bridge"),
    "migrate": ("bridge.cli.migrate", "bring the database schema to this version"),
    "backup": ("bridge.cli.backup", "write all businesses to one file"),
    "restore": ("bridge.cli.restore", "restore a backup into an empty database"),
    "tenant": ("bridge.cli.tenant_parser", "manage businesses"),
    "calls": ("bridge.cli.calls", "list calls, or show one with its transcript"),
    "messages": (
        "bridge.cli.messages",
        "list conversations in writing, show one, write in it",
    ),
    "leads": ("bridge.cli.leads", "list leads: the callers of each business"),
    "user": ("bridge.cli.user", "manage the accounts of the console"),
    "console": ("bridge.cli.console", "log in to the console on this machine"),
    "notices": ("bridge.cli.notices", "tell other systems what happens"),
    "token": ("bridge.cli.token", "give other programs access to a business"),
    "nodes": ("bridge.cli.nodes", "list the nodes that share the database"),
    "drain": ("bridge.cli.drain", "ask a node to take no more calls"),
    "gate": ("bridge.cli.gate", "run recordings through the noise gate"),
    "replay": (
        "bridge.cli.replay",
        "replay recorded calls and explain their decisions",
    ),
    "bench": (
        "bridge.cli.bench",
        "show benchmark results and their trend, or measure the capacity",
    ),
    "doctor": ("bridge.cli.doctor.checklist", "check everything before going live"),
}
EXIT_INTERRUPTED = 130
EXIT_CUT_OFF = 1


class OutputError(RuntimeError):
    """What a command prints cannot be written: a full disk is not the database's."""


class Output(VisibleStream):
    """The standard output of a command; raises OutputError."""

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return super().write(text)
        except OSError as error:
            raise _unwritten(error) from None

    def flush(self) -> None:
        """Flush the underlying stream."""
        try:
            super().flush()
        except OSError as error:
            raise _unwritten(error) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    given = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(
        prog="kolbridge",
        description="AI that answers a business's calls and WhatsApp messages.",
    )
    parser.add_argument("--version", action="version", version=_version())
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module, text) in COMMANDS.items():
        if given[:1] == [name]:
            import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text)
    args = parser.parse_args(given)
    # Control characters in the words of callers and models must not reach a terminal.
    _open_what_is_closed()
    out, errors = Output(sys.stdout), VisibleStream(sys.stderr)
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            code: int = args.run(args)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader, such as `head`, has closed the output: flush nothing more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return EXIT_CUT_OFF
        except OutputError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            print(f"kolbridge: the output cannot be written: {error}", file=errors)
            return EXIT_CUT_OFF
    return code


def _unwritten(error: OSError) -> Exception:
    return (
        error
        if isinstance(error, BrokenPipeError)
        else OutputError(error.strerror or str(error))
    )


def _open_what_is_closed() -> None:
    """Let standard streams that the parent has closed lead nowhere.

    Their descriptors would else be the next files' that the command opens.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _version() -> str:
    try:
        return f"kolbridge {version('kolbridge')}"
    except PackageNotFoundError:
        return "kolbridge, not installed"


if __name__ == "__main__":
    sys.exit(main())
