"""deploy/balancer/: each file is one of its program's, and two nodes behind it work.

HAProxy and nginx run here with other ports and without TLS. Of Envoy's file only the
keys are read.
"""

import asyncio
import os
import random
import re
import shutil
import subprocess
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import msgspec
import pytest
import yaml

from bridge.line import websocket
from bridge.nodes.membership import Identity
from bridge.ports.acceptor import listen
from bridge.service.server import Server
from bridge.telephony import signature
from tests.bridge import loopback, running_service, ws_peer
from tests.bridge.nodes.test_resumed_calls import SAID
from tests.bridge.running_service import AUTH_TOKEN, Service
from tests.bridge.ws_peer import Peer

from .pages import ROOT

FOLDER = ROOT / "deploy" / "balancer"
SERVERS = ("10.0.0.11:8080", "10.0.0.12:8080")
SBIN = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
# What the distribution's file around ours says.
NGINX = """
pid {home}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    {folders}
    include {ours};
}}
"""
NGINX_FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def program(name):
    found = shutil.which(name, path=SBIN)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def haproxy(home, text):
    (home / "haproxy.cfg").write_text(text)
    return [program("haproxy"), "-f", str(home / "haproxy.cfg")]


def nginx(home, text):
    ours, whole = home / "kolbridge.conf", home / "nginx.conf"
    ours.write_text(text)
    folders = " ".join(f"{one}_temp_path {home}/{one};" for one in NGINX_FOLDERS)
    whole.write_text(NGINX.format(home=home, folders=folders, ours=ours))
    return [program("nginx"), "-c", str(whole), "-e", "stderr"]


# The command with a text as its file, its words for "test", and for "do not fork".
PROGRAMS = {
    "haproxy.cfg": (haproxy, ["-c"], ["-db"]),
    "nginx.conf": (nginx, ["-t"], ["-g", "daemon off; master_process off;"]),
}


@pytest.fixture
def certificate(tmp_path):
    openssl = program("openssl")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=voice.example.com"
    command = [openssl, *words.split(), "-keyout", key, "-out", chain]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "both.pem").write_text(key.read_text() + chain.read_text())
    return tmp_path


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_program_takes_the_file(name, certificate, tmp_path):
    text = (FOLDER / name).read_text()
    text = text.replace("/etc/haproxy/example.com.pem", f"{certificate}/both.pem")
    text = re.sub(r"/etc/letsencrypt/.*fullchain.pem", f"{certificate}/chain.pem", text)
    text = re.sub(r"/etc/letsencrypt/.*privkey.pem", f"{certificate}/key.pem", text)
    command, check, _ = PROGRAMS[name]
    done = subprocess.run(
        [*command(tmp_path, text), *check], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower(), done.stderr


def local(name, port, ports, inter):
    """Return the file for these ports of loopback, without TLS."""
    text = (FOLDER / name).read_text()
    for server, at in zip(SERVERS, ports, strict=True):
        assert server in text
        text = text.replace(server, f"127.0.0.1:{at}")
    text = re.sub(r":443 ssl crt .*", f"127.0.0.1:{port}", text)
    text = re.sub(r"listen 443 ssl http2;", f"listen 127.0.0.1:{port};", text)
    text = re.sub(r"listen \[::\].*|ssl_\w+ .*", "", text)
    # A check has as long as its interval by default: a busy machine is no fault.
    text = text.replace(
        "    timeout connect", "    timeout check 5s\n    timeout connect"
    )
    return text.replace("check inter 1s", f"check inter {inter}")


def free_port():
    """Return a port that the kernel gives to nobody: below its ephemeral ones."""
    while True:
        with (
            suppress(OSError),
            listen("127.0.0.1", random.randint(20_000, 32_000)) as at,
        ):
            return at.getsockname()[1]


@asynccontextmanager
async def balanced(name, home, port, ports, inter):
    command, _, here = PROGRAMS[name]
    home.mkdir()
    words = [*command(home, local(name, port, ports, inter)), *here]
    running = await asyncio.create_subprocess_exec(*words, stderr=subprocess.PIPE)
    try:
        while running.returncode is None:
            try:
                await (await Peer.connect(port)).close()
                break
            except OSError:
                await asyncio.sleep(0.01)
        assert running.returncode is None, (await running.stderr.read()).decode()
        yield
    finally:
        if running.returncode is None:
            running.terminate()
        await running.communicate()


class Public(Service):
    """Two nodes as Twilio sees them: at the balancer's port."""

    def __init__(self, first, second, port):
        super().__init__(
            first.settings,
            first.server,
            first.model,
            first.database,
            first.business_id,
            first.number,
        )
        self.nodes = {"node-1": first.server, "node-2": second}
        self.port = port

    async def request(self, data, port=None):
        return await super().request(data, port or self.port)

    async def node_of(self, sid):
        """Let a call ring; return the name of the node that took it."""
        return named((await self.ring(sid)).find("Connect/Stream").get("url"))

    async def handshake(self, url, signed_url):
        """Ask for a stream at a URL; return the caller's end, and what came back."""
        peer = await Peer.connect(self.port)
        sign = signature.sign(AUTH_TOKEN, signed_url)
        path = url.partition(f":{self.port}")[2]
        peer.send(ws_peer.upgrade(path, X_Twilio_Signature=sign))
        return peer, int((await peer.head()).split()[1])


def named(url):
    return re.search(r"/n/([\w-]+)/twilio/media$", url)[1]


def identity(name, url):
    return Identity(name, 0, url, "1.0", uuid4())


@asynccontextmanager
async def two_nodes(embedded_url, home, name, inter="50ms"):
    """Two nodes behind a balancer."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    urls = {node: f"{base}/n/{node}" for node in ("node-1", "node-2")}
    async with running_service.served(
        embedded_url,
        home / "node-1",
        identity=identity("node-1", urls["node-1"]),
        public_url=base,
        node_url=urls["node-1"],
    ) as first:
        changed = {"kolbridge_home": str(home / "2"), "node_url": urls["node-2"]}
        server = Server(
            msgspec.structs.replace(first.settings, **changed),
            first.database,
            identity=identity("node-2", urls["node-2"]),
        )
        await server.start()
        ports = (first.server.port, server.port)
        try:
            async with balanced(name, home / "balancer", port, ports, inter):
                yield Public(first, server, port)
        finally:
            await server.close()


def told(name, story, **given):
    def run(embedded_url, home, monkeypatch):
        monkeypatch.setattr(websocket, "CLOSE_WAIT_S", 0.02)

        async def main():
            async with two_nodes(embedded_url, home, name, **given) as public:
                await story(public)

        ws_peer.run(main)

    return run


@pytest.mark.parametrize("name", PROGRAMS)
def test_webhook_and_stream_by_path_arrive(name, embedded_url, tmp_path, monkeypatch):
    async def story(public):
        sid = running_service.new_sid()
        document = await public.ring(sid)
        url = document.find("Connect/Stream").get("url")
        token = running_service.parameters_of(document)["token"]
        line = public.nodes[named(url)].switchboard.find_driver(sid)
        assert line is not None

        peer, status = await public.handshake(url, url)
        assert status == 101
        peer.send_text(loopback.CONNECTED)
        peer.send_text(loopback.start_message(sid, token))
        model, _ = await public.configured_model()
        await ws_peer.until(lambda: line.call.call_record.is_answered)
        for event in SAID[:2]:
            model.send_text(event)
        _, message = await peer.recv()
        assert b'"event":"media"' in message
        await peer.close()
        await model.close()

    told(name, story)(embedded_url, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PROGRAMS)
def test_signature_covers_the_prefix(name, embedded_url, tmp_path, monkeypatch):
    async def story(public):
        document = await public.ring(running_service.new_sid())
        url = document.find("Connect/Stream").get("url")
        without = re.sub("/n/[^/]+", "", url)
        peer, status = await public.handshake(url, without)
        assert status == 403
        await peer.close()

    told(name, story)(embedded_url, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_else_is_let_in(name, embedded_url, tmp_path, monkeypatch):
    async def story(public):
        for path in (
            *("/", "/healthz", "/readyz", "/metrics", "/n/node-1/readyz"),
            *("/n/node-3/twilio/media", "/n/node-1", "/n/node-1/n/node-2/twilio/media"),
        ):
            status, _ = await public.get(path)
            assert status == 404, path
        for path, expected in (
            *(
                ("/twilio/voice", 405),
                ("/console/login", 200),
                ("/api/v1/business", 401),
            ),
            ("/n/node-1/console/login", 404),
            *(("/twilio/nodes/live", 403), ("/n/node-2/twilio/nodes/live", 403)),
        ):
            status, _ = await public.get(path)
            assert status == expected, path

    told(name, story)(embedded_url, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_nodes_get_calls_and_a_draining_one_none(
    name, embedded_url, tmp_path, monkeypatch
):
    async def taken(public):
        sids = [running_service.new_sid() for _ in range(8)]
        return {await public.node_of(sid) for sid in sids}

    async def story(public):
        found = set()
        while len(found) < 2:
            found |= await taken(public)
        public.nodes["node-1"].switchboard.is_draining = True
        assert await taken(public) == {"node-2"}

    told(name, story)(embedded_url, tmp_path, monkeypatch)


def passed_on(server):
    return server.metrics.value("webhooks_passed_on", outcome="answered")


def test_haproxy_sends_a_draining_node_no_webhook(embedded_url, tmp_path, monkeypatch):
    async def story(public):
        first = public.nodes["node-1"]
        first.switchboard.is_draining = True
        passed = -1
        while passed != (now := passed_on(first)):
            passed = now
            for _ in range(6):
                await public.node_of(running_service.new_sid())

    told("haproxy.cfg", story)(embedded_url, tmp_path, monkeypatch)


def test_haproxy_sends_a_repeated_webhook_to_the_same_node(
    embedded_url, tmp_path, monkeypatch
):
    async def story(public):
        for _ in range(6):
            sid = running_service.new_sid()
            assert await public.node_of(sid) == await public.node_of(sid)

    told("haproxy.cfg", story)(embedded_url, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PROGRAMS)
def test_webhook_for_a_dead_node_reaches_the_other(
    name, embedded_url, tmp_path, monkeypatch
):
    async def story(public):
        await public.node_of(running_service.new_sid())
        await public.nodes["node-1"].close()
        for _ in range(6):
            assert await public.node_of(running_service.new_sid()) == "node-2"

    # The balancer does not learn of the death by its checks.
    told(name, story, inter="60s")(embedded_url, tmp_path, monkeypatch)


# --- Envoy ---


def test_envoy_s_routes_lead_to_clusters_of_the_same_node():
    resources = yaml.safe_load((FOLDER / "envoy.yaml").read_text())["static_resources"]
    (listener,) = resources["listeners"]
    (chain,) = listener["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    clusters = {one["name"]: one for one in resources["clusters"]}

    assert manager["upgrade_configs"] == [{"upgrade_type": "websocket"}]
    assert manager["use_remote_address"] is True
    *named_nodes, webhooks, console, api, feeds, rest = host["routes"]
    for route in named_nodes:
        node = route["match"]["prefix"].split("/")[2]
        assert route["match"]["prefix"] == f"/n/{node}/twilio/"
        assert route["route"]["prefix_rewrite"] == "/twilio/"
        assert route["route"]["cluster"] == node
        assert route["route"]["timeout"] == "0s"
        assert len(addresses(clusters[node])) == 1
    assert webhooks["match"] == {"prefix": "/twilio/"}
    pages = {one["match"]["prefix"]: one["route"] for one in (console, api, feeds)}
    assert pages.keys() == {"/console/", "/api/v1/", "/feeds/"}
    for route in pages.values():
        assert route["cluster"] == webhooks["route"]["cluster"]
        # An event stream has no end.
        assert route["timeout"] == "0s"
    assert "retry_policy" not in yaml.safe_dump(host)
    assert rest["direct_response"] == {"status": 404}
    (check,) = clusters["webhooks"]["health_checks"]
    assert check["http_health_check"] == {"path": "/readyz"}
    every = [one for name in ("node-1", "node-2") for one in addresses(clusters[name])]
    assert addresses(clusters["webhooks"]) == every == [*SERVERS]


def addresses(cluster):
    assert cluster["load_assignment"]["cluster_name"] == cluster["name"]
    (group,) = cluster["load_assignment"]["endpoints"]
    found = [one["endpoint"]["address"] for one in group["lb_endpoints"]]
    return [
        f"{one['socket_address']['address']}:{one['socket_address']['port_value']}"
        for one in found
    ]
