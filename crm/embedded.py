"""The embedded PostgreSQL: a server of our own, on a socket only we can reach.

`crm.postgres_install` says which binaries, and as whom. Only that user and root reach
the server: its socket lies in a folder of theirs, and peer authentication asks the
kernel who connects. The server is a direct child that the kernel stops when we die, so
that a killed service leaves no orphan. PDEATHSIG follows the *thread*: start it on the
main thread, before the event loop. A second process finds the running server by its
postmaster.pid and shares it.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

from crm import postgres_install
from crm.postgres_install import EmbeddedError

START_S = 30.0
STOP_S = 20.0
_PR_SET_PDEATHSIG = 1
_TEST_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class EmbeddedServer:
    """One server for one data folder below `home`."""

    def __init__(
        self, home: Path, *, durable: bool = True, bin_dir: Path | None = None
    ) -> None:
        self._bin = bin_dir or postgres_install.find_binaries()
        self._home = home.absolute()
        self._data = self._home / f"pg{postgres_install.major(self._bin)}"
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._socket_dir: Path | None = None

    def start(self) -> str:
        """Start the server, or find the one that runs; return its URL."""
        postgres_install.make_home(self._home)
        self._lock = _open_private(self._home / f"{self._data.name}.lock")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            return self._wait_for_other()
        try:
            self._data = postgres_install.data_folder(self._home, self._data.name)
            home = self._data.parent
            self._bin = postgres_install.runnable_binaries(self._bin, home)
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            return self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, if it is ours."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _initialise(self) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)
        postgres_install.give(self._data)
        command = [str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres"]
        command += ["-A", "peer", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
        if not self._durable:
            command.append("--no-sync")
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            **postgres_install.process_options(),
        )
        if done.returncode:
            shutil.rmtree(self._data, ignore_errors=True)
            raise EmbeddedError(f"initdb failed: {done.stderr.strip()[-400:]}")

    def _launch(self) -> str:
        _wait_for_dying(self._data)
        self._socket_dir = Path(tempfile.mkdtemp(prefix="kolbridge-"))
        postgres_install.give(self._data)  # root's, of an earlier user
        postgres_install.give(self._socket_dir)
        options = ["listen_addresses=", f"unix_socket_directories={self._socket_dir}"]
        options += postgres_install.write_access(self._data, self._bin)
        options += ["max_connections=60", "timezone=UTC"]
        options += [] if self._durable else _TEST_SETTINGS
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        for option in options:
            command += ["-c", option]
        parent = os.getpid()
        log = _open_private(self._home / f"{self._data.name}.log")
        with log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),
                **postgres_install.process_options(),
            )
        return self._wait_until_ready()

    def _wait_until_ready(self) -> str:
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                log = self._home / f"{self._data.name}.log"
                raise EmbeddedError(f"postgres stopped at once: see {log}")
            lines = _pid_lines(self._data)
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return _url(lines[4])
            time.sleep(0.005)
        self.stop()
        raise EmbeddedError(f"postgres was not ready within {START_S:g} s")

    def _wait_for_other(self) -> str:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            lines = _pid_lines(self._data)
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return _url(lines[4])
            time.sleep(0.01)
        raise EmbeddedError(f"another process holds {self._data} but no server runs")


def _pid_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _url(socket_dir: str) -> str:
    return f"postgresql://postgres@/postgres?host={quote(socket_dir.strip(), safe='')}"


def _wait_for_dying(data: Path) -> None:
    """Wait while a former server is still stopping; a zombie counts as gone."""
    deadline = time.monotonic() + STOP_S
    while (lines := _pid_lines(data)) and time.monotonic() < deadline:
        try:
            status = Path(f"/proc/{int(lines[0])}/stat").read_text()
        except (OSError, ValueError):
            status = ""
        if "postgres" not in status or ") Z " in status:
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
        time.sleep(0.02)


def _open_private(path: Path) -> IO[bytes]:
    """Open a file of ours to append to, for nobody else to read."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)
