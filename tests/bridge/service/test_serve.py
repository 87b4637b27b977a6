"""`kolbridge serve` as a process: what it refuses, and how it starts and stops."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import uuid4

import asyncpg
import orjson
import pytest

from bridge.service.signals import stop_signals
from crm import nodes
from crm.connect import service_url
from crm.database import Database
from crm.nodes import Beat
from tests.crm.test_migrate import empty_database

START_S = 30.0
KEYS = {"TWILIO_AUTH_TOKEN": "12345", "OPENAI_API_KEY": "sk-x"}


def serve(folder, **env):
    """Start the service in a folder of its own, with nothing but these variables."""
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME")
    }
    root = str(pathlib.Path(__file__).parents[3])
    # Whoever runs the tests under nohup ignores it, and a child does as its parent.
    ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "bridge.cli.main", "serve"],
            cwd=folder,
            env={**kept, "PYTHONPATH": root, **env},
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGHUP, ignored)


def refused(folder, **env):
    """Start a service that ends by itself; return its exit code and what it wrote."""
    process = serve(folder, **KEYS, **env)
    _, error = process.communicate(timeout=START_S)
    return process.returncode, error


def lines_until(process, text):
    """Read log lines until one has `text`."""
    found = []
    for line in process.stderr:
        assert line.startswith("{"), f"no line of the log: {line}"
        found.append(orjson.loads(line))
        if text in found[-1]["message"]:
            return found
    raise AssertionError(f"ended without {text!r}: {found}")


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PORT": "x"}, "PORT='x': expected a whole number from 0 to 65535"),
        ({"OPENAI_VOICE": "fable"}, "OPENAI_VOICE='fable': expected one of alloy,"),
        ({}, "TWILIO_AUTH_TOKEN is not set"),
        ({"WORKERS": "65"}, "WORKERS="),
    ],
)
def test_wrong_setting_is_a_line_and_exit_2(tmp_path, env, words):
    process = serve(tmp_path, **env)
    _, error = process.communicate(timeout=START_S)

    assert process.returncode == 2
    assert words in error
    assert all(line.startswith("kolbridge: ") for line in error.splitlines())


def test_database_that_cannot_be_had_is_a_line_and_exit_1(tmp_path):
    process = serve(
        tmp_path,
        **KEYS,
        DATABASE_URL="postgresql://nobody@127.0.0.1:9/none",
    )
    _, error = process.communicate(timeout=START_S)

    assert process.returncode == 1
    assert error.startswith("kolbridge: the database cannot be had")
    assert error.count("\n") == 1


def test_second_service_of_a_node_name_does_not_start(tmp_path, embedded_url):
    name = f"node-{uuid4().hex[:8]}"

    other = Beat(
        name=name,
        worker=0,
        incarnation=uuid4(),
        url="",
        version="1.0",
        format=1,
        capacity=1,
        active=0,
        is_draining=False,
    )

    async def ended_beside_the_other():
        """Return what the service says while the other node beats."""
        db = await Database.open(embedded_url)
        await nodes.beat(db, other)
        process = serve(
            tmp_path,
            PORT="0",
            NODE_NAME=name,
            **KEYS,
            OPENAI_REALTIME_URL="ws://127.0.0.1:9/v1/realtime",
            DATABASE_URL=await service_url(embedded_url),
            DATABASE_ADMIN_URL=embedded_url,
        )
        loop = asyncio.get_running_loop()
        told = loop.run_in_executor(None, process.communicate, None, START_S)
        while not told.done():
            await nodes.beat(db, other)
            await asyncio.wait([told], timeout=0.5)
        await nodes.leave(db, other.incarnation)
        await db.close()
        return process.returncode, (await told)[1]

    code, error = asyncio.run(ended_beside_the_other())

    assert code == 2
    said = error.splitlines()[-1]
    assert said.startswith(f"kolbridge: NODE_NAME='{name}': another node runs")
    assert said.endswith("expected a name of its own")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_service_starts_answers_and_stops(tmp_path, database_url, role_url, sent):
    process = serve(
        tmp_path,
        PORT="0",
        **KEYS,
        OPENAI_REALTIME_URL="ws://127.0.0.1:9/v1/realtime",
        DATABASE_URL=role_url,
        DATABASE_ADMIN_URL=database_url,
    )
    try:
        *_, line = lines_until(process, "listening")
        url = line["message"].rpartition(" ")[2]
        with urlopen(f"{url}/healthz", timeout=START_S) as answer:
            assert answer.read() == b"ok"
        kept = [path for path in tmp_path.rglob("*") if not path.is_socket()]
        assert kept and all(path.stat().st_mode & 0o077 == 0 for path in kept)
        started = time.monotonic()
        process.send_signal(sent)
        lines = lines_until(process, "stopped")
    finally:
        process.stderr.close()
        process.kill()
        process.wait(START_S)

    assert "draining" in lines[0]["message"]
    assert time.monotonic() - started < START_S


def test_terminal_that_closes_does_not_stop_what_nohup_started():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert signal.SIGHUP in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_unknown_names_are_lines_of_the_log(tmp_path, database_url, role_url):
    (tmp_path / ".env").write_text("LOG_LEVELS=debug\n")
    process = serve(
        tmp_path,
        PORT="0",
        **KEYS,
        TWILIO_AUTHTOKEN="x",
        DATABASE_URL=role_url,
        DATABASE_ADMIN_URL=database_url,
    )
    try:
        lines = lines_until(process, "listening")
    finally:
        process.kill()
        process.communicate(timeout=START_S)

    told = [line["message"].split()[0] for line in lines if line["level"] == "warning"]
    assert told[:2] == ["LOG_LEVELS", "TWILIO_AUTHTOKEN"]


def test_taken_port_is_a_line_and_exit_1(tmp_path, database_url, role_url):
    env = {
        **KEYS,
        "DATABASE_URL": role_url,
        "DATABASE_ADMIN_URL": database_url,
    }
    first = serve(tmp_path, PORT="0", **env)
    try:
        *_, line = lines_until(first, "listening")
        port = line["message"].rpartition(":")[2]
        second = serve(tmp_path, PORT=port, **env)
        _, error = second.communicate(timeout=START_S)
    finally:
        first.stderr.close()
        first.kill()
        first.wait(START_S)

    assert second.returncode == 1
    assert f"cannot listen on HOST=127.0.0.1 PORT={port}" in error


@contextmanager
def own_role(owner_url, attributes, *statements):
    """Make a role of these attributes and run statements on it; yield its URL."""
    role, owner = f"role_{uuid4().hex[:12]}", urlsplit(owner_url).username

    async def run(*texts):
        connection = await asyncpg.connect(owner_url)
        try:
            for text in texts:
                await connection.execute(text.format(role=role, owner=owner))
        finally:
            await connection.close()

    make = f"create role {{role}} login password 'x' {attributes}"
    asyncio.run(run(make, *statements))
    parts = urlsplit(owner_url)
    where = parts.netloc.rpartition("@")[2]
    try:
        yield role, parts._replace(netloc=f"{role}:x@{where}").geturl()
    finally:
        asyncio.run(run("reassign owned by {role} to {owner}", "drop role {role}"))


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("attributes", "statements", "why"),
    [
        ("superuser", (), "it is, or may act as, {role}: SUPERUSER or BYPASSRLS"),
        (
            "bypassrls in role kolbridge_app",
            (),
            "it is, or may act as, {role}: SUPERUSER or BYPASSRLS",
        ),
        (
            "in role kolbridge_app, {owner}",
            (),
            "it is, or may act as, {owner}: SUPERUSER or BYPASSRLS",
        ),
        (
            "in role kolbridge_app",
            ("alter table leads owner to {role}",),
            "it owns leads, or may act as its owner",
        ),
    ],
)
def test_role_that_could_read_every_tenant_is_a_line_and_exit_2(
    tmp_path, database_url, attributes, statements, why, workers
):
    with own_role(database_url, attributes, *statements) as (role, url):
        code, error = refused(
            tmp_path,
            WORKERS=workers,
            DATABASE_URL=url,
            DATABASE_ADMIN_URL=database_url,
        )

    assert code == 2
    why = why.format(role=role, owner=urlsplit(database_url).username)
    assert error.startswith(
        f"kolbridge: DATABASE_URL: the role {role} could read every tenant: {why}; "
        "expected one made by: create role"
    )
    assert error.count("\n") == 1


def test_owner_alone_is_refused(tmp_path, database_url):
    code, error = refused(tmp_path, DATABASE_URL=database_url)

    assert code == 2
    assert "could read every tenant" in error


def test_role_without_the_schema_is_told_of_the_owner(tmp_path, database_url, role_url):
    with empty_database(database_url) as url:
        name = urlsplit(url).path
        role = urlsplit(role_url)._replace(path=name).geturl()
        code, error = refused(tmp_path, DATABASE_URL=role)

    assert code == 1
    assert "give the owner's URL as DATABASE_ADMIN_URL" in error
    assert error.count("\n") == 1


def test_embedded_server_is_served_by_a_bound_role(tmp_path):
    os.chmod(tmp_path, 0o711)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    process = serve(
        tmp_path,
        PORT="0",
        **KEYS,
        OPENAI_REALTIME_URL="ws://127.0.0.1:9/v1/realtime",
    )
    try:
        assert lines_until(process, "listening")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=START_S)
    assert process.returncode == 0
