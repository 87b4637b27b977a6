"""The WebSocket handshakes of a load run's ends; the messages are compiled elsewhere.

Supports only what a load needs: no proxies, extensions or redirects. A handshake that
violates RFC 6455 raises ConnectionError.
"""

import asyncio
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from typing import Any
from urllib.parse import urlsplit

from bench.fast.wires import Wire, Wires

HEAD_BYTES_MAX = 65_536
BACKLOG = 1_024
# RFC 6455, section 1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Headers = dict[str, str]


class Tls:
    """The server's side of TLS, in memory: bytes in, bytes out."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, True)

    async def shake_hands(self, sock: socket.socket) -> None:
        """Complete the TLS handshake."""
        loop = asyncio.get_running_loop()
        agreed = False
        while not agreed:
            with suppress(ssl.SSLWantReadError):
                self._object.do_handshake()
                agreed = True
            await loop.sock_sendall(sock, self._outgoing.read())
            if not agreed:
                self._incoming.write(await _some(sock))

    def decrypt(self, data: bytes) -> bytes:
        """Return the plain text that these bytes complete; b"" also at the end."""
        self._incoming.write(data)
        pieces = []
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while piece := self._object.read(HEAD_BYTES_MAX):
                pieces.append(piece)
        return b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """Return the bytes that carry `data`."""
        self._object.write(data)
        return self._outgoing.read()


async def dial(wires: Wires, end: Any, url: str) -> None:
    """Open a WebSocket to `url` (ws://); `end` receives its messages."""
    place = urlsplit(url)
    target = place.path + (f"?{place.query}" if place.query else "")
    key = b64encode(os.urandom(16))
    request = (
        f"GET {target or '/'} HTTP/1.1\r\nHost: {place.netloc}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key.decode()}\r\n\r\n"
    )
    sock = _made_ready(socket.socket())
    try:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (place.hostname or "", place.port or 80))
        await loop.sock_sendall(sock, request.encode())
        status, headers, rest = await _head(sock, None)
        if " 101 " not in status or headers.get("sec-websocket-accept") != _accept(key):
            raise ConnectionError(f"no WebSocket: {status}")
        Wire(wires, sock, end, True, rest=rest)
    except BaseException:
        sock.close()
        raise


@asynccontextmanager
async def answering(
    wires: Wires,
    make: Callable[[Headers], Any],
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Accept WebSockets on a local port, and yield the port.

    `make` makes the end of each from its headers.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setblocking(False)
    accepting = asyncio.ensure_future(_accept_all(listener, wires, make, context))
    try:
        yield listener.getsockname()[1]
    finally:
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        listener.close()


async def _accept_all(listener: socket.socket, *how: Any) -> None:
    async with asyncio.TaskGroup() as opening:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            opening.create_task(_answer(_made_ready(sock), *how))


async def _answer(
    sock: socket.socket,
    wires: Wires,
    make: Callable[[Headers], Any],
    context: ssl.SSLContext | None,
) -> None:
    tls = None if context is None else Tls(context)
    try:
        if tls is not None:
            await tls.shake_hands(sock)
        _, headers, rest = await _head(sock, tls)
        answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Accept: "
            f"{_accept(headers['sec-websocket-key'].encode())}\r\n\r\n"
        ).encode()
        whole = answer if tls is None else tls.encrypt(answer)
        await asyncio.get_running_loop().sock_sendall(sock, whole)
        Wire(wires, sock, make(headers), False, tls, rest)
    except (OSError, KeyError):  # the other side closed, or violated the protocol
        sock.close()


async def _head(sock: socket.socket, tls: Tls | None) -> tuple[str, Headers, bytes]:
    """Read the head of a request or response: first line, headers, bytes after it."""
    data = b"" if tls is None else tls.decrypt(b"")
    while b"\r\n\r\n" not in data:
        if len(data) > HEAD_BYTES_MAX:
            raise ConnectionError("the head of a handshake has no end")
        piece = await _some(sock)
        data += piece if tls is None else tls.decrypt(piece)
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return first, {name.lower(): value.strip() for name, value in pairs}, rest


async def _some(sock: socket.socket) -> bytes:
    piece = await asyncio.get_running_loop().sock_recv(sock, HEAD_BYTES_MAX)
    if not piece:
        raise ConnectionError("the other side closed")
    return piece


def _accept(key: bytes) -> str:
    return b64encode(sha1(key + _GUID).digest()).decode()


def _made_ready(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
