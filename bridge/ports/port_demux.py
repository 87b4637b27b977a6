"""The one port: reads the head of a connection's request and hands the connection on.

A request that opens a media stream goes to picows, everything else to aiohttp. The port
demux is then out of the stream's path. It stays in front of aiohttp, because a proxy
keeps connections alive and may ask for the stream in a later request: aiohttp is then
told that its connection is gone, and picows gets the connection.

Before the upgrade, the port demux refuses heads over HEAD_BYTES_MAX or slower than
HEAD_WAIT_S, and every stream that `Endpoint` does not admit. Until a connection is a
stream it belongs to `Connections`, which cuts connections that are idle for too long.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from picows import WSAutoPingStrategy, WSListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not in its stub

from bridge.ports.connections import Connections

MEDIA_PATH = "/twilio/media"
HEAD_BYTES_MAX = 16_384
HEAD_WAIT_S = 5.0
# The largest WebSocket frame that is read; a larger one closes the socket. A message
# over `twilio.MESSAGE_BYTES_MAX`, a far lower limit, is dropped and counted.
WS_FRAME_BYTES_MAX = 262_144
# A stream that is silent for this long is sent a ping, and is cut if it does not answer
# within the same time: Twilio's streams are never idle.
STREAM_PING_S = 10.0
# Room for a burst of 20 ms messages; the buffer grows when a message does not fit.
READ_BUFFER_BYTES = 4_096
_STREAM_BEGINS = f"GET {MEDIA_PATH}".encode()
_HEAD_END = b"\r\n\r\n"


class Head(NamedTuple):
    """The head of a request; header names in lower case, the last of each counts."""

    method: str
    target: str
    headers: dict[str, str]
    lines: list[str]

    @property
    def path(self) -> str:
        """The target without its query, and without a slash at its end."""
        return self.target.partition("?")[0].rstrip("/")

    @property
    def is_stream(self) -> bool:
        """Whether this asks to open a media stream."""
        is_media = self.path == MEDIA_PATH or self.path.startswith(MEDIA_PATH + "/")
        upgrade = self.headers.get("upgrade", "").lower()
        return self.method == "GET" and is_media and upgrade == "websocket"


class Endpoint(Protocol):
    """Decides about a stream before its upgrade."""

    def pass_on(self, head: Head, transport: Any, data: bytes) -> bool:
        """Give the connection to its stream's worker; False if this one serves it."""

    def admit_stream(self, head: Head) -> WSListener | HTTPStatus:
        """Return the stream's listener, or the status with which it is refused."""


def parse_head(data: bytes) -> Head | None:
    """Parse a request's head, without its last empty line; None if it is not one."""
    first, *lines = data.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3:
        return None
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    return Head(parts[0], parts[1], headers, lines)


class PortDemux(asyncio.Protocol):
    """One accepted connection, until its first head says where it goes."""

    def __init__(
        self,
        endpoint: Endpoint,
        http_factory: Callable[[], asyncio.Protocol],
        connections: Connections,
    ) -> None:
        self._endpoint = endpoint
        self._http_factory = http_factory
        self._connections = connections
        self._metrics = connections.metrics
        self._head = bytearray()
        self._transport: Any = None
        self._http: asyncio.Protocol | None = None
        self._guest: _GuestTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the head, for a limited time."""
        self._transport = transport
        if self._connections.admit(self):
            self._wait_for_head()
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Collect a head, or pass on the data that follows a head aiohttp has."""
        self._connections.touch(self)
        if self._guest is not None and not self._may_open_stream(data):
            self._give_http(data)
            return
        self._head += data
        end = self._head.find(_HEAD_END)
        if end > HEAD_BYTES_MAX or (end < 0 and len(self._head) > HEAD_BYTES_MAX):
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large")
        elif end >= 0:
            self._dispatch(bytes(self._head), end)
        elif self._timer is None:
            self._wait_for_head()

    def eof_received(self) -> bool | None:
        """Let aiohttp finish its answer; without aiohttp, let the connection close."""
        return self._http.eof_received() if self._http is not None else False

    def pause_writing(self) -> None:
        """Tell aiohttp that the client reads slowly."""
        if self._http is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        """Tell aiohttp that the client has read."""
        if self._http is not None:
            self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.leave(self)
        self._stop_timer()
        if self._http is not None:
            self._http.connection_lost(exc)
            self._http = self._guest = None

    @property
    def is_served(self) -> bool:
        """Whether a request has come whole, and nothing of its answer is made yet."""
        is_open = self._guest is not None and not self._guest.is_answered
        return is_open and getattr(self._http, "is_serving", False)

    @property
    def _has_rest(self) -> bool:
        """Whether a request was answered whose body is still to come."""
        return bool(getattr(self._http, "has_rest", False))

    def cut(self) -> None:
        """Close the connection, even if data waits to be sent."""
        self._transport.abort()

    def _wait_for_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(HEAD_WAIT_S, self._on_head_late)

    def _may_open_stream(self, data: bytes) -> bool:
        """Tell whether a later request begins here that asks for a stream."""
        assert self._guest is not None
        if self._head:
            return True
        begins = data.startswith(_STREAM_BEGINS) or _STREAM_BEGINS.startswith(data)
        return begins and self._guest.is_answered and not self._has_rest

    def _dispatch(self, data: bytes, head_end: int) -> None:
        self._stop_timer()
        self._head.clear()
        head = parse_head(data[:head_end])
        if head is None or not head.is_stream:
            self._give_http(data)
            return
        if self._endpoint.pass_on(head, self._transport, data):
            self._leave_http()
            return
        admitted = self._endpoint.admit_stream(head)
        if isinstance(admitted, HTTPStatus):
            self._refuse(admitted, "stream_refused")
            return
        self._leave_http()
        self._connections.leave(self)
        rest = data[head_end + len(_HEAD_END) :]
        start_stream(self._transport, admitted, head, rest)

    def _give_http(self, data: bytes) -> None:
        if self._http is None:
            touch = partial(self._connections.touch, self)
            self._guest = _GuestTransport(self._transport, touch)
            self._http = self._http_factory()
            self._http.connection_made(self._guest)
        assert self._guest is not None
        # The rest of a body is no request: nothing will be answered.
        self._guest.is_answered &= self._has_rest
        self._http.data_received(data)

    def _leave_http(self) -> None:
        if self._http is not None and self._guest is not None:
            self._guest.is_gone = True
            self._http.connection_lost(None)
            self._http = self._guest = None

    def _on_head_late(self) -> None:
        self._metrics.count("connections_refused", reason="head_late")
        self._transport.close()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._metrics.count("connections_refused", reason=reason)
        self._stop_timer()
        self._head.clear()
        self._transport.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def start_stream(transport: Any, listener: WSListener, head: Head, rest: bytes) -> None:
    """Make `transport` a WebSocket; `rest` is the data that came after the head.

    The head goes to picows as it came from the wire, except for `Connection`: some
    clients send "keep-alive, Upgrade", which picows refuses.
    """
    kept = [line for line in head.lines if not line.lower().startswith("connection:")]
    lines = [f"GET {head.target} HTTP/1.1", *kept, "Connection: Upgrade", "", ""]
    protocol = _web_socket(listener)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    data = "\r\n".join(lines).encode("latin-1") + rest
    while data:
        room = protocol.get_buffer(len(data))
        size = min(len(room), len(data))
        room[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


def _web_socket(listener: WSListener) -> Any:
    """Return picows' server protocol.

    The class and its fifteen positional arguments are not public; the version is pinned
    and `tests/bridge/ports/test_port_demux.py` is the contract.
    """
    return WSProtocol(
        None,  # host and port: a client's
        None,  # path: a client's
        False,  # is a client
        lambda request: listener,
        logging.getLogger("picows.server"),
        True,  # disconnect when the listener raises
        HEAD_WAIT_S,
        True,  # ping
        STREAM_PING_S,
        STREAM_PING_S,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        True,  # answer pings
        WS_FRAME_BYTES_MAX,
        None,  # further headers: a client's
        READ_BUFFER_BYTES,
    )


class _GuestTransport(asyncio.Transport):
    """The connection as aiohttp sees it; it can be taken from aiohttp while open."""

    def __init__(self, transport: Any, on_write: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self._on_write = on_write
        self.is_gone = False
        self.is_answered = False

    def write(self, data: Any) -> None:
        """Write, unless the connection has become a stream."""
        self.is_answered = True
        if not self.is_gone:
            self._on_write()
            self._transport.write(data)

    def writelines(self, list_of_data: Any) -> None:
        """Write several pieces at once."""
        self.is_answered = True
        if not self.is_gone:
            self._on_write()
            self._transport.writelines(list_of_data)

    def close(self) -> None:
        """Close, unless the connection has become a stream."""
        if not self.is_gone:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, unless the connection has become a stream."""
        if not self.is_gone:
            self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""
        return self.is_gone or bool(self._transport.is_closing())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the connection knows about its peer."""
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for the client."""
        return int(self._transport.get_write_buffer_size())

    def pause_reading(self) -> None:
        """Stop reading from the client."""
        if not self.is_gone:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the client again."""
        if not self.is_gone:
            self._transport.resume_reading()
