"""A shell that runs a page's commands as its reader would."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from crm.embedded import EmbeddedServer
from crm.migrate import migrate

from .pages import ROOT, Step

# The files of the checkout that a page's commands may name.
LINKED = (".env.example", "deploy", "docs", "tests", "bench", "scripts", "Makefile")
PAGE_WAIT_S = 60.0
# What the pages say, and on a machine with other services each is replaced.
PORTS = ("8080", "9464")


@pytest.fixture(scope="session")
def migrated_home() -> Iterator[Path]:
    """A KOLBRIDGE_HOME whose embedded database has the schema already."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-docs-") as folder:
        # PostgreSQL does not run as root: its user must reach the folder.
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        server = EmbeddedServer(home, durable=False)
        try:
            asyncio.run(migrate(server.start()))
        finally:
            server.stop()
        yield home


class Shell:
    """One shell in a folder of its own, with the embedded database."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        shutil.copytree(home, folder / ".data")
        _give_to_owner_of(home, folder / ".data")
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        self._ports = {port: _free_port() for port in PORTS}

    def run(self, steps: list[Step]) -> list[tuple[int, str]]:
        """Return each command's exit code and output."""
        mark = f"--{uuid4().hex}--"
        text = "\n".join(
            f"{{ {self.translated(step.command)}\n}}; printf '\\n{mark}%d\\n' $?"
            for step in steps
        )
        # While the server runs, a command need not start one and stop it again.
        server = EmbeddedServer(self._folder / ".data", durable=False)
        try:
            if "kolbridge" in text:
                server.start()
            *pieces, rest = self._output_of(text).split(f"\n{mark}")
        finally:
            server.stop()
        return _ended(pieces, rest)

    def _output_of(self, text: str) -> str:
        written = self._folder / ".out"
        with written.open("w") as out:
            process = subprocess.Popen(
                ["bash", "-c", text],
                cwd=self._folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(PAGE_WAIT_S)
            finally:
                _end(process)
        return written.read_text()

    def translated(self, text: str) -> str:
        """Return a text with the ports that are free here."""
        for port, free in self._ports.items():
            text = text.replace(port, free)
        return text

    def _environment(self) -> dict[str, str]:
        beside = Path(sys.executable).parent
        return {
            "PATH": f"{beside}:{os.environ['PATH']}",
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "PORT": self._ports["8080"],
            "ADMIN_PORT": self._ports["9464"],
        }


@pytest.fixture
def shell(migrated_home: Path) -> Iterator[Shell]:
    """A shell for one page."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-page-") as folder:
        Path(folder).chmod(0o755)
        yield Shell(Path(folder), migrated_home)


def _ended(pieces: list[str], rest: str) -> list[tuple[int, str]]:
    """Take apart "output MARK code NEWLINE output MARK code"."""
    found, output = [], pieces[0] if pieces else ""
    for piece in (*pieces[1:], rest):
        code, _, after = piece.partition("\n")
        found.append((int(code), output))
        output = after
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """End all processes that the page left running."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def _free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def _give_to_owner_of(source: Path, copy: Path) -> None:
    """Give each file of a copy the owner that its original has."""
    for path in (source, *source.rglob("*")):
        owner = path.lstat()
        os.chown(
            copy / path.relative_to(source),
            owner.st_uid,
            owner.st_gid,
            follow_symlinks=False,
        )
