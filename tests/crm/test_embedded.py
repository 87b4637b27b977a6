"""The embedded server's life: warm starts, sharing, and no orphan."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import asyncpg
import pytest

from crm import embedded
from crm.embedded import EmbeddedServer
from crm.postgres_install import EmbeddedError

# The longest that anything here takes on a busy machine.
PATIENCE_S = 20.0
PARENT = """
import sys, time
from pathlib import Path
from crm.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), durable=False)
print(server.start(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("home")
    for folder in [path, *path.parents]:
        if folder.owner() == path.owner() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    return path


def postmaster(home):
    (path,) = home.glob("pg*/postmaster.pid")
    return int(path.read_text().splitlines()[0])


def is_running(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return ") Z " not in status


def test_a_second_process_shares_the_server_and_does_not_stop_it(home):
    first, second = (EmbeddedServer(home, durable=False) for _ in range(2))
    url = first.start()
    try:
        assert second.start() == url
        second.stop()
        assert is_running(postmaster(home))
    finally:
        first.stop()
    assert list(home.glob("pg*/postmaster.pid")) == []


def until(is_true):
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def answers(url):
    """Tell whether a query is answered at an address."""

    async def ask():
        connection = await asyncpg.connect(url, timeout=2.0)
        try:
            return await connection.fetchval("select 1") == 1
        finally:
            await connection.close()

    try:
        return asyncio.run(ask())
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False


def stopping(server):
    """Stop a server in a thread of its own; return the thread."""
    thread = threading.Thread(target=server.stop)
    thread.start()
    return thread


def test_owner_waits_for_the_command_that_uses_its_server(home):
    owner, command = (EmbeddedServer(home, durable=False) for _ in range(2))
    url = owner.start()
    command.start()
    thread = stopping(owner)
    time.sleep(0.2)  # long enough to be wrong
    assert answers(url)

    command.stop()

    thread.join()
    assert not answers(url)


def test_owner_waits_for_nobody_for_ever(home, monkeypatch):
    monkeypatch.setattr(embedded, "USERS_WAIT_S", 0.05)
    owner, command = (EmbeddedServer(home, durable=False) for _ in range(2))
    url = owner.start()
    command.start()
    owner.stop()
    assert not answers(url)
    command.stop()


def test_who_stays_takes_the_server_over_at_the_same_address(home):
    doctor, service = (EmbeddedServer(home, durable=False) for _ in range(2))
    url = doctor.start()
    assert service.start() == url
    assert service.tend() is None
    # Who stays holds up nobody who goes.
    doctor.stop()
    assert not answers(url)

    assert "its owner has ended" in service.tend()
    until(lambda: answers(url))
    assert service.tend() is None

    # It is the owner now, for others to find.
    command = EmbeddedServer(home, durable=False)
    assert command.start() == url
    command.stop()
    assert answers(url)
    service.stop()
    assert not answers(url)
    assert list(home.glob("pg*/postmaster.pid")) == []


def test_killed_server_is_started_again_at_the_same_address(home, monkeypatch):
    monkeypatch.setattr(embedded, "RESTART_S_MIN", 0.01)
    service = EmbeddedServer(home, durable=False)
    url = service.start()
    os.kill(postmaster(home), signal.SIGKILL)
    told = []

    def is_back():
        told.extend(filter(None, [service.tend()]))
        return answers(url)

    until(lambda: told or is_back())
    # What its processes still hold may end the next at once, too.
    until(is_back)
    assert told[0].endswith("it ended by signal 9")
    service.stop()


def test_server_that_ends_at_once_is_not_started_all_the_time(home, monkeypatch):
    service = EmbeddedServer(home, durable=False)
    service.start()
    (conf,) = home.glob("pg*/postgresql.conf")
    conf.write_text("no such setting\n")
    os.kill(postmaster(home), signal.SIGKILL)
    until(lambda: service.tend())
    until(lambda: service._process.poll() is not None)

    assert service.tend() is None
    monkeypatch.setattr(service, "_due_at", 0.0)
    assert service.tend().endswith("it ended by exit code 1")
    until(lambda: service._process.poll() is not None)
    service.stop()


def test_log_of_a_server_that_runs_for_long_has_a_limit(home, monkeypatch):
    monkeypatch.setattr(embedded, "LOG_BYTES_MAX", 20_000)
    monkeypatch.setattr(embedded, "_LOG_END_BYTES", 10_000)
    server = EmbeddedServer(home, durable=False)
    url = server.start()

    def fail(word):
        async def query():
            connection = await asyncpg.connect(url)
            with pytest.raises(asyncpg.UndefinedColumnError):
                await connection.execute(f"select {word} -- {'x' * 10_000}")
            await connection.close()

        asyncio.run(query())

    try:
        (log,) = home.glob("pg*.log")
        fail("first")
        server.tend()
        assert '"first"' in log.read_text()
        fail("second")
        server.tend()
        assert log.stat().st_size == 0
        fail("third")
        assert '"third"' in log.read_text()
        assert "\0" not in log.read_text()
        end = Path(f"{log}.1").stat()
        assert (end.st_size, end.st_mode & 0o077) == (10_000, 0)
    finally:
        server.stop()


def test_server_that_stops_at_once_is_told_with_its_reason(home):
    server = EmbeddedServer(home, durable=False)
    server.start()
    server.stop()
    (conf,) = home.glob("pg*/postgresql.conf")
    conf.write_text("no such setting\n")

    with pytest.raises(EmbeddedError, match=r"at once \(.*contains errors\): see "):
        server.start()


def test_folder_of_somebody_else_is_not_made_the_servers(home):
    doctor, service = (EmbeddedServer(home, durable=False) for _ in range(2))
    doctor.start()
    service.start()
    service.tend()
    doctor.stop()
    folder = service._socket_dir
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)

    with pytest.raises(EmbeddedError, match="expected a folder of our own"):
        service.tend()
    folder.rmdir()
    assert service.tend() is not None
    service.stop()
    assert not folder.exists()


def test_first_start_that_was_killed_is_made_again(home):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(home)])
    until(lambda: list(home.glob("pg*/PG_VERSION")))
    parent.kill()
    parent.wait()

    server = EmbeddedServer(home, durable=False)
    assert answers(server.start())
    server.stop()
    until(lambda: not list(home.glob("pg*.new-*")))


def test_data_of_another_major_version_is_not_passed_over(home):
    (home / "pg14").mkdir()

    with pytest.raises(EmbeddedError, match="pg14 has the data, and only"):
        EmbeddedServer(home, durable=False).start()
    assert not list(home.glob("pg*/PG_VERSION"))


def test_folder_of_other_things_stays_as_it_is(home):
    (data := EmbeddedServer(home, durable=False)._data).mkdir()
    (data / "notes").write_text("mine")

    with pytest.raises(EmbeddedError, match="expected a data folder of PostgreSQL"):
        EmbeddedServer(home, durable=False).start()
    assert (data / "notes").read_text() == "mine"


def test_number_of_a_dead_server_may_be_another_server_s_now(home, tmp_path_factory):
    server = EmbeddedServer(home, durable=False)
    server.start()
    lines = next(home.glob("pg*/postmaster.pid")).read_text().splitlines()
    server.stop()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    elsewhere.chmod(0o711)
    other = EmbeddedServer(elsewhere, durable=False)
    other.start()
    lines[0] = str(postmaster(elsewhere))
    server._data.joinpath("postmaster.pid").write_text("\n".join(lines))

    try:
        assert answers(server.start())
    finally:
        server.stop()
        other.stop()


def test_server_that_recovers_after_a_crash_is_waited_for(home, monkeypatch):
    owner, command = (EmbeddedServer(home, durable=False) for _ in range(2))
    url = owner.start()
    (file,) = home.glob("pg*/postmaster.pid")
    ready = file.rename(home / "ready")
    file.write_text(ready.read_text().replace("ready   ", "starting"))
    monkeypatch.setattr(embedded, "START_S", 0.02)
    recovered = threading.Timer(0.2, ready.rename, [file])
    recovered.start()

    try:
        assert command.start() == url
    finally:
        recovered.join()
        command.stop()
        owner.stop()


def test_forked_child_keeps_no_lock(home):
    parent, child = (EmbeddedServer(home, durable=False) for _ in range(2))
    parent.start()
    child.start()
    child.disown()
    assert is_running(postmaster(home))
    parent.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")
def test_a_killed_parent_leaves_no_orphan(home):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(home)], stdout=subprocess.PIPE
    )
    parent.stdout.readline()
    pid = postmaster(home)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        os.sched_yield()
    assert not is_running(pid)
    server = EmbeddedServer(home, durable=False)
    server.start()
    server.stop()
