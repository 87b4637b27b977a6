"""The nodes of a chaos run: processes of the service behind one balancer.

HAProxy is used where it is installed. Else a forwarder of this module takes its place:
it forwards whole connections to a node that is ready, and a stream goes to the node's
own port.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import aiohttp

from bench.machine import free_port

LOG = "log.jsonl"
READY_S = 60.0
# How often the balancer asks a node whether it is ready.
CHECK_MS = 250
_HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_HEAD = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 20s
    timeout tunnel 1h
    # A node that is slow for a moment is not away.
    timeout check 1s
    # A kept connection to a node that has died would cost the request it is used for.
    option http-server-close
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response
"""


class Node:
    """One node: a process under a name, which may be killed and started again."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.home = home / name
        self.port, self.admin_port = free_port(), free_port()
        self.process: asyncio.subprocess.Process | None = None
        self.exit_codes: list[int] = []

    async def start(self, env: dict[str, str], node_url: str) -> None:
        """Run `kolbridge serve`, until it is ready."""
        self.home.mkdir(exist_ok=True)
        whole = {
            **{
                name: os.environ[name]
                for name in ("PATH", "TMPDIR", "HOME")
                if name in os.environ
            },
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **env,
            "PORT": str(self.port),
            "ADMIN_PORT": str(self.admin_port),
            "KOLBRIDGE_HOME": str(self.home),
            "NODE_NAME": self.name,
            "NODE_URL": node_url,
        }
        with (self.home / LOG).open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bridge.cli.main", "serve"),
                cwd=self.home,
                env=whole,
                stderr=log,
            )
        async with asyncio.timeout(READY_S):
            while not await is_ready(_url_of(self)):
                if self.process.returncode is not None:
                    raise RuntimeError(f"node {self.name} did not start: {self.log}")
                await asyncio.sleep(0.05)

    def send(self, number: int) -> None:
        """Send the process a signal."""
        assert self.process is not None, "the node was started"
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def ended(self) -> None:
        """Wait until the process has ended."""
        assert self.process is not None, "the node was started"
        self.exit_codes.append(await self.process.wait())

    @property
    def log(self) -> str:
        """What the process has logged last."""
        return (self.home / LOG).read_text()[-2000:]


async def until_ready(url: str) -> None:
    """Wait until somebody takes calls at a URL."""
    async with asyncio.timeout(READY_S):
        while not await is_ready(url):  # noqa: ASYNC110 another process
            await asyncio.sleep(0.05)


async def is_ready(url: str) -> bool:
    """Tell whether somebody takes calls at a URL."""
    timeout = aiohttp.ClientTimeout(total=2 * CHECK_MS / 1000)
    with suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{url}/readyz") as answer,
        ):
            return answer.status == 200
    return False


def _url_of(node: Node) -> str:
    return f"http://127.0.0.1:{node.port}"


class Balancer(Protocol):
    """What carries the callers' requests to the nodes."""

    name: str
    public_url: str
    # For each node, where requests reach that node first, and another if it is away.
    first: dict[str, str]

    def url_of(self, node: Node) -> str:
        """Return NODE_URL."""

    async def start(self) -> None:
        """Begin to listen."""

    async def reload(self) -> None:
        """Read the configuration anew; streams stay open."""

    async def close(self) -> None:
        """Stop."""


def balancer_of(nodes: Sequence[Node], home: Path) -> Balancer:
    """Return HAProxy where it is installed."""
    return HaProxy(nodes, home) if _HAPROXY else Forwarder(nodes)


class HaProxy:
    """HAProxy: webhooks go to any node that is ready, a stream to the node it names."""

    def __init__(self, nodes: Sequence[Node], home: Path) -> None:
        self.name = "HAProxy"
        self._nodes = nodes
        self._path = home / "haproxy.cfg"
        self._port = free_port()
        self._ports = {node.name: free_port() for node in nodes}
        self._processes: list[asyncio.subprocess.Process] = []
        self.public_url = f"http://127.0.0.1:{self._port}"
        self.first = {
            name: f"http://127.0.0.1:{port}" for name, port in self._ports.items()
        }

    def url_of(self, node: Node) -> str:
        """Return NODE_URL: a path of the public URL."""
        return f"{self.public_url}/n/{node.name}"

    async def start(self) -> None:
        """Write the configuration, and run HAProxy."""
        assert _HAPROXY is not None, "it is installed"
        self._path.write_text(_HEAD + "\n".join(self._lines()) + "\n")
        await self._run()

    async def reload(self) -> None:
        """Start another HAProxy, which tells the last to end with its last stream."""
        await self._run("-sf", str(self._processes[-1].pid))

    async def _run(self, *options: str) -> None:
        command = (str(_HAPROXY), "-db", "-q", "-f", str(self._path), *options)
        self._processes.append(await asyncio.create_subprocess_exec(*command))

    async def close(self) -> None:
        """Stop HAProxy."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.wait()

    def _lines(self) -> Iterator[str]:
        yield from self._frontend("any", self._port)
        for name, port in self._ports.items():
            yield from self._frontend(f"first_{name}", port)
        yield from self._backend("any", None)
        for node in self._nodes:
            yield from self._backend(f"first_{node.name}", node)
            yield f"backend only_{node.name}"
            yield "    retries 0"
            yield rf"    http-request replace-path /n/{node.name}(/.*) \1"
            yield f"    server {node.name} 127.0.0.1:{node.port}"

    def _frontend(self, name: str, port: int) -> Iterator[str]:
        yield f"frontend {name}"
        yield f"    bind 127.0.0.1:{port}"
        for node in self._nodes:
            rule = f"if {{ path_beg /n/{node.name}/ }}"
            yield f"    use_backend only_{node.name} {rule}"
        yield f"    default_backend {name}"

    def _backend(self, name: str, first: Node | None) -> Iterator[str]:
        yield f"backend {name}"
        yield "    option httpchk GET /readyz"
        yield "    option allbackups"
        for node in self._nodes:
            role = "" if first in (None, node) else " backup"
            check = f"check inter {CHECK_MS} fall 1 rise 1"
            yield f"    server {node.name} 127.0.0.1:{node.port} {check}{role}"


class Forwarder:
    """Forwards connections; it stands in for HAProxy where that is not installed."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.name = "a forwarder of the bench (HAProxy is not installed)"
        self._nodes = nodes
        self._ready: set[str] = set()
        self._servers: list[asyncio.Server] = []
        self._checking: asyncio.Task[None] | None = None
        self._port = free_port()
        self._ports = {node.name: free_port() for node in nodes}
        self.public_url = f"http://127.0.0.1:{self._port}"
        self.first = {
            name: f"http://127.0.0.1:{port}" for name, port in self._ports.items()
        }

    def url_of(self, node: Node) -> str:
        """Return NODE_URL: the node's own port."""
        return _url_of(node)

    async def start(self) -> None:
        """Listen, and look which nodes are ready."""
        for name, port in (("", self._port), *self._ports.items()):
            self._servers.append(await self._listen(name, port))
        self._checking = asyncio.ensure_future(self._check())

    async def reload(self) -> None:
        """Do nothing: there is no configuration."""

    async def close(self) -> None:
        """Stop listening."""
        if self._checking is not None:
            self._checking.cancel()
        for server in self._servers:
            server.close()

    async def _listen(self, first: str, port: int) -> asyncio.Server:
        async def forward(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            order = sorted(self._nodes, key=lambda node: node.name != first)
            for node in order:
                if node.name not in self._ready:
                    continue
                with suppress(OSError):
                    there = await asyncio.open_connection("127.0.0.1", node.port)
                    await asyncio.gather(
                        _pipe(reader, there[1]), _pipe(there[0], writer)
                    )
                    return
            writer.close()

        return await asyncio.start_server(forward, "127.0.0.1", port)

    async def _check(self) -> None:
        while True:
            found = await asyncio.gather(
                *(is_ready(_url_of(one)) for one in self._nodes)
            )
            names = [node.name for node in self._nodes]
            self._ready = {
                name for name, is_up in zip(names, found, strict=True) if is_up
            }
            await asyncio.sleep(CHECK_MS / 1000)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
