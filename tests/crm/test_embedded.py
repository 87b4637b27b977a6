"""The embedded server's life: warm starts, sharing, and no orphan."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crm.embedded import EmbeddedServer

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
