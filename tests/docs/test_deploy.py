"""The files of deploy/: times that fit the service's, roles that may do their work."""

import asyncio
import configparser
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec
import pytest
import yaml

from bridge.settings.options import CallOptions
from crm.database import Database
from crm.embedded import EmbeddedServer
from crm.migrate import migrate
from crm.postgres_install import find_binaries, process_options

from .pages import ROOT

DEPLOY = ROOT / "deploy"
# What a stop needs after its drain.
AFTER_DRAIN_S = 20
PROXIES = {
    "proxy/nginx.conf": r"proxy_(?:read|send)_timeout (\w+);",
    "proxy/haproxy.cfg": r"(?:timeout tunnel|hard-stop-after) +(\w+)$",
    "proxy/Caddyfile": r"stream_close_delay (\w+)$",
    "balancer/nginx.conf": r"proxy_(?:read|send)_timeout (\d+h);",
    "balancer/haproxy.cfg": r"(?:timeout tunnel|hard-stop-after) +(\w+)$",
    "balancer/envoy.yaml": r" idle_timeout: (\w+)$",
}


def call_seconds_max():
    """Return how long a call may be set to last."""
    fields = msgspec.inspect.type_info(CallOptions).fields
    found = next(one.type for one in fields if one.name == "max_call_seconds")
    return getattr(found, "type", found).le


@pytest.mark.parametrize(("name", "wanted"), PROXIES.items())
def test_a_proxy_lets_a_stream_last_as_long_as_any_call(name, wanted):
    text = (DEPLOY / name).read_text()
    times = re.findall(wanted, text, re.MULTILINE)

    assert times
    for time in times:
        assert time.endswith("h")
        assert int(time[:-1]) * 3600 >= call_seconds_max()


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_lets_only_twilio_s_paths_in(name):
    text = (DEPLOY / name).read_text()

    assert "/twilio/" in text
    assert "404" in text


def test_the_unit_waits_for_the_drain():
    text = (DEPLOY / "systemd" / "kolbridge@.service").read_text()
    drain_s = int(re.search(r"DRAIN_SECONDS=(\d+)", text)[1])

    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) == drain_s + AFTER_DRAIN_S
    assert drain_s >= CallOptions().max_call_seconds


def test_compose_with_postgres_waits_for_the_drain_and_logs_in_as_two_roles():
    text = (DEPLOY / "compose.postgres.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    bridge = services["kolbridge"]
    drain_s = int(bridge["environment"]["DRAIN_SECONDS"])

    assert bridge["stop_grace_period"] == f"{drain_s + AFTER_DRAIN_S}s"
    assert "kolbridge_owner" in bridge["environment"]["DATABASE_ADMIN_URL"]
    assert "kolbridge_service" in bridge["environment"]["DATABASE_URL"]
    assert "DATABASE_URL" not in services["migrate"]["environment"]
    for volume in services["postgres"]["volumes"]:
        if volume.startswith("./"):
            assert (DEPLOY / volume.split(":")[0]).exists(), volume


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("compose*.yaml")), ids=str)
def test_compose_publishes_to_others_nothing_but_tls(path):
    services = yaml.safe_load(path.read_text())["services"].values()
    published = [port for one in services for port in one.get("ports", ())]

    assert published
    for port in published:
        assert port.startswith("127.0.0.1:") or port == "443:443"


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("compose*.yaml")), ids=str)
def test_no_container_that_stays_logs_without_end(path):
    """Docker's default driver turns no file over."""
    services = yaml.safe_load(path.read_text())["services"]
    staying = {name for name, one in services.items() if "restart" in one}

    assert staying == services.keys() - {"migrate"}
    for name in staying:
        assert services[name]["logging"] == {"driver": "local"}, name


def test_containers_of_the_pages_log_with_an_end_too():
    for page in ("README.md", "docs/deploy.md"):
        runs = (ROOT / page).read_text().split("docker run ")[1:]
        assert runs
        for run in runs:
            assert "--log-driver local" in run[: run.index(" kolbridge\n")], page


def test_container_is_published_to_the_proxy_of_its_machine_alone():
    for page in ("README.md", "docs/deploy.md"):
        published = re.findall(r"(?:--publish|-p) (\S+:\S+)", (ROOT / page).read_text())
        assert published == ["127.0.0.1:8080:8080"], page


def test_compose_with_nodes_fits_its_balancer_and_waits_for_the_drain():
    given = yaml.safe_load((DEPLOY / "compose.nodes.yaml").read_text())
    services = given["services"]
    balancer = (DEPLOY / "balancer" / "haproxy.cfg").read_text()
    homes = set()

    for name in ("node-1", "node-2"):
        node = services[name]
        environment = node["environment"]
        drain_s = int(environment["DRAIN_SECONDS"])
        assert node["stop_grace_period"] == f"{drain_s + AFTER_DRAIN_S}s"
        assert drain_s >= CallOptions().max_call_seconds
        # Compose stops what a service depends on after it.
        assert "balancer" in node["depends_on"]
        assert environment["NODE_NAME"] == name
        assert environment["NODE_URL"] == f"{environment['PUBLIC_URL']}/n/{name}"
        assert f"path_beg /n/{name}/" in balancer
        address = node["networks"]["default"]["ipv4_address"]
        # For webhooks, for pages, and for what names this node.
        assert balancer.count(f"server {name} {address}:8080") == 3
        assert "kolbridge_service" in environment["DATABASE_URL"]
        homes.add(node["volumes"][0].split(":")[0])
    assert homes < given["volumes"].keys()
    assert len(homes) == 2
    # The nodes ask each other by the public name.
    (alias,) = services["balancer"]["networks"]["default"]["aliases"]
    assert services["node-1"]["environment"]["PUBLIC_URL"] == f"https://{alias}"
    for service in services.values():
        for volume in service.get("volumes", ()):
            if volume.startswith("./"):
                assert (DEPLOY / volume.split(":")[0]).exists(), volume


def test_compose_with_nodes_has_the_database_of_the_one_with_postgres():
    one, nodes = (
        yaml.safe_load((DEPLOY / f"compose.{name}.yaml").read_text())["services"]
        for name in ("postgres", "nodes")
    )

    for name in ("postgres", "migrate"):
        assert nodes[name] == one[name]


def test_the_pooler_keeps_a_connection_for_one_transaction():
    pooler = configparser.ConfigParser()
    pooler.read(DEPLOY / "postgres" / "pgbouncer.ini")

    assert pooler["pgbouncer"]["pool_mode"] == "transaction"


def test_the_owner_makes_the_schema_and_the_service_is_bound_by_it(unmigrated_url):
    run_psql(unmigrated_url, DEPLOY / "postgres" / "roles.sql")

    assert asyncio.run(migrate(as_role(unmigrated_url, "kolbridge_owner")))
    asyncio.run(check_service(as_role(unmigrated_url, "kolbridge_service")))


@pytest.fixture
def unmigrated_url():
    with tempfile.TemporaryDirectory(prefix="kolbridge-roles-") as home:
        Path(home).chmod(0o755)
        server = EmbeddedServer(Path(home) / "home", durable=False)
        try:
            yield server.start()
        finally:
            server.stop()


def as_role(url, role):
    """Return the URL of the database that roles.sql makes."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}@{where}", path="/kolbridge").geturl()


def run_psql(url, file):
    host = parse_qs(urlsplit(url).query)["host"][0]
    variables = ("owner_password=one", "service_password=two")
    done = subprocess.run(
        [
            find_binaries() / "psql",
            *("--host", host, "--username", "postgres", "--set", "ON_ERROR_STOP=1"),
            *(word for one in variables for word in ("--variable", one)),
        ],
        input=file.read_text(),
        text=True,
        capture_output=True,
        **process_options(),
    )
    assert done.returncode == 0, done.stderr


async def check_service(url):
    database = await Database.open(url)
    try:
        await database.check_isolation()
        async with database.routing():
            pass
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.owner() as connection:
                await connection.execute("create table a (b int)")
    finally:
        await database.close()
