"""A node runs with the environment of the Helm chart's pod and no other. Its preStop
drains it."""

import asyncio
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from crm.connect import service_url

from .chart import MINIMAL, environment_of, only, pod_of

WAIT_S = 30.0
PAUSE_S = 0.1
POD = "voice-kolbridge-0"
WATCHED = {**MINIMAL, "monitoring": {"enabled": True}}
SECRETS = {
    "OPENAI_API_KEY": "sk-of-nobody",
    "TWILIO_AUTH_TOKEN": "a-long-random-word",
    "ADMIN_TOKEN": "another-long-random-word",
}


class Pod:
    """What Kubernetes makes of a pod, as far as processes notice it."""

    def __init__(self, database_url, folder):
        (self.container,) = pod_of(WATCHED)["containers"]
        self.ports = {name: free_port() for name in ("PORT", "ADMIN_PORT")}
        self._folder = folder
        given = {**SECRETS, "DATABASE_URL": database_url}
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        }
        for name, one in environment_of(WATCHED).items():
            if "fieldRef" in one.get("valueFrom", {}):
                self.environment[name] = POD
            elif "value" in one:
                self.environment[name] = one["value"].replace("$(NODE_NAME)", POD)
            elif name in given:
                self.environment[name] = given[name]
            else:
                assert one["valueFrom"]["secretKeyRef"]["optional"], name
        # A test has no volume there, and not the port to itself.
        self.environment |= {**self.ports, "KOLBRIDGE_HOME": str(folder / "home")}

    @contextmanager
    def running(self, *before):
        """The node's process, as `before` starts it."""
        with (self._folder / "log").open("w") as log:
            process = subprocess.Popen(
                [*before, *self.container["command"]],
                env=self.environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        try:
            self.until("PORT", "/readyz", 200)
            yield process
        finally:
            process.kill()
            process.wait()

    def run(self, command):
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )

    def status(self, port, path, **headers):
        request = Request(f"http://127.0.0.1:{self.ports[port]}{path}", headers=headers)
        try:
            return urlopen(request, timeout=WAIT_S).status
        except HTTPError as error:
            return error.code
        except OSError:
            # It does not listen yet.
            return 0

    def until(self, port, path, status):
        latest = time.monotonic() + WAIT_S
        while self.status(port, path) != status:
            assert time.monotonic() < latest, (self._folder / "log").read_text()
            time.sleep(PAUSE_S)


# The root of a mount namespace of its own is read-only, but for the pod's volumes.
READ_ONLY = (
    *("unshare", "--mount", "sh", "-ec"),
    'for one in "$KOLBRIDGE_HOME" "$TMPDIR"; do mount --bind "$one" "$one"; done\n'
    'mount -o remount,bind,ro / && exec "$@"',
    "sh",
)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


@pytest.fixture
def pod(embedded_url, tmp_path):
    return Pod(asyncio.run(service_url(embedded_url)), tmp_path)


def test_node_serves_as_its_pod_and_drains_before_it_is_stopped(pod):
    with pod.running() as process:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = pod.container[probe]["httpGet"]["path"]
            assert pod.status("PORT", asked) == 200
        hook = pod.container["lifecycle"]["preStop"]["exec"]["command"]
        *shell, text = hook
        drained = pod.run([*shell, text.partition(";")[0]])
        lines = drained.stdout.splitlines()

        assert drained.returncode == 0, drained.stderr
        assert lines[0] == f"{POD}: asked to drain"
        assert lines[-1] == f"{POD}: drained"
        assert process.poll() is None
        assert pod.status("PORT", "/readyz") == 503
        # The node drains; it is not to be killed for it.
        assert pod.status("PORT", "/healthz") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0


@pytest.fixture
def volumes():
    # A Unix socket's path is short.
    with tempfile.TemporaryDirectory(prefix="pod-", dir="/tmp") as folder:
        yield {name: Path(folder) / name[:3] for name in ("KOLBRIDGE_HOME", "TMPDIR")}


def test_node_writes_to_its_volumes_alone(pod, volumes, tmp_path):
    for name, path in volumes.items():
        path.mkdir()
        pod.environment[name] = str(path)
    written = pod.run(
        [*READ_ONLY, "sh", "-c", "touch /written 2>&1; touch $TMPDIR/one"]
    )
    if "Read-only file system" not in written.stdout + written.stderr:
        pytest.skip(f"no read-only root can be made here: {written.stderr}")

    with pod.running(*READ_ONLY) as process:
        assert written.returncode == 0, written.stderr
        assert any(volumes["KOLBRIDGE_HOME"].iterdir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    log = (tmp_path / "log").read_text()
    assert "Read-only" not in log
    assert '"level":"error"' not in log


def test_prometheus_reads_the_admin_port_with_the_token(pod):
    with pod.running():
        token = f"Bearer {SECRETS['ADMIN_TOKEN']}"
        assert pod.status("ADMIN_PORT", "/metrics", Authorization=token) == 200
        assert pod.status("ADMIN_PORT", "/metrics") == 401


def test_schema_is_moved_with_nothing_but_the_owners_url(pod, embedded_url):
    job = only(WATCHED, "Job")["spec"]["template"]["spec"]
    (container,) = job["containers"]
    (variable,) = container["env"]
    pod.environment = {
        "PATH": pod.environment["PATH"],
        variable["name"]: embedded_url,
    }
    done = pod.run(container["command"])

    assert done.returncode == 0, done.stderr
    assert shlex.join(container["command"]) == "kolbridge migrate"
