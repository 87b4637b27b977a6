"""The embedded PostgreSQL: a server of the service's own, on a private socket.

`crm.postgres_install` chooses the binaries and the user. Only that user and root reach
the server: the socket lies in a folder that only they can enter, and peer
authentication asks the kernel who connects. The server is a direct child, which the
kernel stops when its parent dies, so a killed service leaves no orphan. PDEATHSIG
follows the *thread*: start the server on the main thread. A second process finds the
running server by its postmaster.pid and shares it.

One process at a time owns the server, by a lock. Every user of the server holds a
second, shared lock, and the owner waits for the users before it stops the server. A
long-running service calls `tend`. It delays no owner, but starts the server again, at
the same address, when the server or its owner has ended.
"""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

from crm import postgres_install
from crm.postgres_install import EmbeddedError

START_S = 30.0
# A server that was killed first replays up to a gigabyte of its log, however slow the
# disk: who stops it meanwhile makes it begin again.
RECOVERY_S = 1_800.0
STOP_S = 20.0
# How long an owner waits for other commands that use its server.
USERS_WAIT_S = 20.0
# A server that keeps ending is restarted after pauses of up to RESTART_S_MAX.
RESTART_S_MIN = 0.25
RESTART_S_MAX = 10.0
# The server's log is emptied beyond this; its end is kept beside it.
LOG_BYTES_MAX = 16_000_000
_LOG_END_BYTES = 1_000_000
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: loading a library may wait for another thread's lock.
_LIBC = ctypes.CDLL(None)
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
        self._name = self._data.name
        self._lock: IO[bytes] | None = None
        self._users: IO[bytes] | None = None
        self._socket_dir: Path | None = None
        self._restart_s = RESTART_S_MIN
        self._started_at = self._due_at = 0.0

    def start(self) -> str:
        """Start the server, or find the one that runs; return its URL."""
        postgres_install.make_home(self._home)
        self._users = _open_private(self._home / f"{self._name}.users")
        try:
            # An owner that stops the server holds this lock until it has stopped.
            if not _lock_within(self._users, fcntl.LOCK_SH, START_S):
                raise EmbeddedError(f"the server of {self._data} does not stop")
            return self._own_or_find()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Release the server; its owner stops it, when no command uses it."""
        if self._process is not None and self._process.poll() is None:
            users = self._users or _open_private(self._home / f"{self._name}.users")
            self._users = users
            _lock_within(users, fcntl.LOCK_EX, USERS_WAIT_S)
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None
        if self._socket_dir is not None and self._lock is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        self.disown()

    def disown(self) -> None:
        """Close the locks and nothing else: in a forked child they are the parent's.

        A lock lasts as long as any process has its file open.
        """
        self._process = None
        for lock in (self._lock, self._users):
            if lock is not None:
                lock.close()
        self._lock = self._users = None

    def tend(self) -> str | None:
        """Start the server again if it has ended, or has lost its owner; return what
        was done.

        A long-running process calls it a few times a second, on the main thread. It
        waits for nothing but the fork.
        """
        how = "its owner has ended"
        if self._process is not None:
            _bound(self._log())
            code = self._process.poll()
            now = time.monotonic()
            if code is None or now < self._due_at:
                return None
            how = f"it ended by {_cause(code)}"
            if now - self._started_at > RESTART_S_MAX:
                self._restart_s = RESTART_S_MIN
        elif not self._inherit():
            return None
        if _is_running(self._data):
            return None
        self._spawn()
        self._due_at = time.monotonic() + self._restart_s
        self._restart_s = min(self._restart_s * 2, RESTART_S_MAX)
        return f"the embedded database is started again: {how}"

    def _own_or_find(self) -> str:
        begun_at = time.monotonic()
        while True:
            if self._own():
                return self._launch()
            lines = _pid_lines(self._data)
            is_running = _is_running(self._data)
            if _is(lines, "ready") and is_running:
                # Keeps the address, in case this process becomes the owner.
                self._socket_dir = Path(lines[4].strip())
                return _url(lines[4])
            if time.monotonic() > begun_at + _patience_s(lines if is_running else []):
                raise EmbeddedError(
                    f"another process holds {self._data} but no server runs"
                )
            time.sleep(0.01)

    def _own(self) -> bool:
        """Take the owner's lock, if no process has it."""
        lock = _open_private(self._home / f"{self._name}.lock")
        if not _lock_within(lock, fcntl.LOCK_EX, 0.0):
            lock.close()
            return False
        self._lock = lock
        return True

    def _inherit(self) -> bool:
        """Own the server if no process does; never delay its owner."""
        if self._users is not None:
            self._users.close()
            self._users = None
        if self._lock is None and self._own():
            self._prepare()
        return self._lock is not None

    def _initialise(self) -> None:
        """Make the data folder, whole or not at all: this process may be killed."""
        folder, prefix, parent = self._data.parent, f"{self._name}.new-", os.getpid()
        new = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
        postgres_install.give(new)
        command = [str(self._bin / "initdb"), "-D", str(new), "-U", "postgres"]
        command += ["-A", "peer", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
        if not self._durable:
            command.append("--no-sync")
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: _die_with(parent),
            **postgres_install.process_options(),
        )
        if done.returncode:
            shutil.rmtree(new, ignore_errors=True)
            raise EmbeddedError(f"initdb failed: {done.stderr.strip()[-400:]}")
        try:
            new.rename(self._data)
        except OSError as error:
            raise EmbeddedError(
                f"{self._data}: expected a data folder of PostgreSQL, or none "
                f"({error.strerror})"
            ) from None
        # Last, when also the initdb of a killed process has stopped writing there.
        for left in folder.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)

    def _prepare(self) -> None:
        """Provide a data folder and binaries that the server's user can reach."""
        self._data = postgres_install.data_folder(self._home, self._name)
        home = self._data.parent
        self._bin = postgres_install.runnable_binaries(self._bin, home)
        if not (self._data / "PG_VERSION").exists():
            self._refuse_older_data()
            self._initialise()

    def _refuse_older_data(self) -> None:
        """Raise rather than start empty beside the data of another major version."""
        for other in sorted(self._home.glob("pg[0-9][0-9]")):
            if other.name != self._name:
                raise EmbeddedError(
                    f"{other} has the data, and only PostgreSQL {other.name[2:]} can "
                    f"read it; the programs here are {self._name[2:]}'s. With "
                    f"CRM_PG_BIN naming the folder of {other.name[2:]}'s programs, "
                    f"run `kolbridge backup FILE`; then move {other.name} away and, "
                    "without CRM_PG_BIN, run `kolbridge restore FILE`"
                )

    def _launch(self) -> str:
        self._prepare()
        deadline = time.monotonic() + STOP_S
        while _is_running(self._data) and time.monotonic() < deadline:
            time.sleep(0.02)
        if _is_running(self._data):
            raise EmbeddedError(f"a server of nobody's runs on {self._data}: stop it")
        self._spawn()
        return self._wait_until_ready()

    def _spawn(self) -> None:
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        if self._socket_dir is None:
            self._socket_dir = Path(tempfile.mkdtemp(prefix="kolbridge-"))
        else:
            _make_again(self._socket_dir, self._data.stat().st_uid)
        postgres_install.give(self._data)  # under root, it may be an earlier user's
        postgres_install.give(self._socket_dir)
        options = ["listen_addresses=", f"unix_socket_directories={self._socket_dir}"]
        options += postgres_install.write_access(self._data, self._bin)
        options += ["max_connections=60", "timezone=UTC"]
        options += [] if self._durable else _TEST_SETTINGS
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        for option in options:
            command += ["-c", option]
        parent = os.getpid()
        _bound(self._log())
        with _open_private(self._log()) as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),
                **postgres_install.process_options(),
            )
        self._started_at = time.monotonic()

    def _log(self) -> Path:
        return self._home / f"{self._name}.log"

    def _wait_until_ready(self) -> str:
        assert self._process is not None
        begun_at = time.monotonic()
        log = self._log()
        while True:
            if self._process.poll() is not None:
                raise EmbeddedError(f"postgres stopped at once{_why(log)}: see {log}")
            lines = _pid_lines(self._data)
            if _is(lines, "ready"):
                return _url(lines[4])
            if time.monotonic() > begun_at + _patience_s(lines):
                raise EmbeddedError(f"postgres does not become ready: see {log}")
            time.sleep(0.005)


def _why(log: Path) -> str:
    """Return the last reason for an end in the server's log."""
    with log.open("rb") as file:
        file.seek(-min(4_096, log.stat().st_size), os.SEEK_END)
        said = file.read().decode("utf-8", "replace")
    found = re.findall(r"(?:FATAL|PANIC):  (.*)", said)
    return f" ({found[-1]})" if found else ""


def _pid_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _url(socket_dir: str) -> str:
    return f"postgresql://postgres@/postgres?host={quote(socket_dir.strip(), safe='')}"


def _is(lines: list[str], status: str) -> bool:
    return len(lines) >= 8 and lines[7].strip() == status


def _patience_s(lines: list[str]) -> float:
    """Return how long to wait for a server: one that recovers says that it starts."""
    return RECOVERY_S if _is(lines, "starting") else START_S


def _is_running(data: Path) -> bool:
    """Tell whether the server that wrote the file is alive; a zombie counts as dead.

    After a crash or a restart of the machine its number may be another server's.
    """
    lines = _pid_lines(data)
    try:
        pid = int(lines[0])
    except (IndexError, ValueError):
        return False
    if sys.platform != "linux":
        return _has_process(pid)
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(data.resolve()) in words and ") Z " not in status


def _has_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _make_again(folder: Path, user: int) -> None:
    """Make a folder at its known address; one that exists must be the service's own."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        is_ours = found.st_uid in (os.geteuid(), user)
        if not is_ours or found.st_mode != stat.S_IFDIR | 0o700:
            raise EmbeddedError(f"{folder}: expected a folder of our own") from None


def _cause(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _lock_within(file: IO[bytes], kind: int, patience_s: float) -> bool:
    """Lock a file, at once or within `patience_s`; return False if others have it."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def _open_private(path: Path) -> IO[bytes]:
    """Open a file to append to, which only its owner can read."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _bound(log: Path) -> None:
    """Empty a log that is too long; its server appends to it from the beginning."""
    with suppress(OSError):
        size = log.stat().st_size
        if size <= LOG_BYTES_MAX:
            return
        # On a full disk the end is lost, and the log is emptied.
        with suppress(OSError), log.open("rb") as file:
            file.seek(max(size - _LOG_END_BYTES, 0))
            kept = log.with_suffix(".log.1")
            kept.unlink(missing_ok=True)
            with _open_private(kept) as end:
                end.write(file.read(_LOG_END_BYTES))
        os.truncate(log, 0)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)
