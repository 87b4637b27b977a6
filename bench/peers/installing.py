"""The peers, and how each is installed: `pins.toml` and `.venvs/`."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
VENVS = HERE / ".venvs"
INSTALL_S = 900.0


class PeerUnavailable(Exception):
    """A peer cannot be run on this machine; the text says why, in one line."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A program under the load.

    One of three fields gives its kind. `module` is a module of this repository.
    `source` is compiled: C, or Cython for this interpreter. `needs` are packages for a
    script, which has the peer's name unless `script` names it.
    """

    name: str
    about: str
    module: str | None = None
    source: str | None = None
    needs: tuple[str, ...] = ()
    script: str | None = None
    args: tuple[str, ...] = ()
    # The most calls that the peer can carry, if it is less than the load.
    calls_max: int | None = None

    def command(self) -> list[str]:
        """Install or compile the peer if necessary; return the command that starts it.

        Raises PeerUnavailable.
        """
        if self.module is not None:
            return [sys.executable, "-m", self.module, "serve"]
        if self.source is not None and self.source.endswith(".pyx"):
            return [sys.executable, "-c", _cythonized(HERE / self.source), *self.args]
        if self.source is not None:
            return [str(_compiled(self.name, HERE / self.source))]
        script = HERE / (self.script or f"{self.name}.py")
        return [str(_installed(self.name, self.needs)), str(script), *self.args]


def peers() -> list[Peer]:
    """Return all peers, cheapest first."""
    pinned = tomllib.loads((HERE / "pins.toml").read_text(encoding="utf-8"))
    return [msgspec.convert({"name": n, **one}, Peer) for n, one in pinned.items()]


def _compiled(name: str, source: Path) -> Path:
    """Return the program of a C file; compile it when any C file is newer."""
    program = VENVS / name
    changed_at = max(one.stat().st_mtime for one in HERE.glob("*.[ch]"))
    if program.exists() and program.stat().st_mtime > changed_at:
        return program
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise PeerUnavailable("there is no C compiler")
    VENVS.mkdir(exist_ok=True)
    _run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)])
    return program


def _cythonized(source: Path) -> str:
    """Return code that starts a Cython source; compile the source when it is newer."""
    home = VENVS / source.stem
    copy = home / source.name
    if not copy.exists() or copy.stat().st_mtime < source.stat().st_mtime:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        shutil.copy(source, copy)
        try:
            _run([sys.executable, "-m", "Cython.Build.Cythonize", "-i", str(copy)])
        except PeerUnavailable:
            shutil.rmtree(home)
            raise
    return (
        f"import sys; sys.path[:0] = [{str(home)!r}, {str(HERE)!r}]; "
        f"from {source.stem} import main; main()"
    )


def _installed(name: str, needs: tuple[str, ...]) -> Path:
    """Return a peer's interpreter; reinstall its environment when the pins change."""
    home = VENVS / name
    python, noted, wanted = home / "bin/python", home / "pins", "\n".join(needs)
    if noted.exists() and noted.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(home)])
    _run([str(python), "-m", "pip", "install", "--quiet", *needs])
    noted.write_text(wanted, encoding="utf-8")
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerUnavailable(str(error)) from None
    if done.returncode:
        lines = [one for one in done.stderr.splitlines() if one.strip()]
        raise PeerUnavailable(lines[-1] if lines else f"{command[0]} failed")
