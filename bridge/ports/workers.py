"""The other workers of one service, and how a call reaches its own worker.

Every call belongs to one worker. The CallSid alone determines that worker, so that any
worker can tell the owner of a call. The kernel gives a connection to any worker. A
webhook for another worker is forwarded whole to that worker over a Unix socket. A media
stream's URL names its worker: the open socket is handed over together with the data
already read from it. After that nothing stands between the stream and its call.

The sockets are in a folder that only the service's user may enter. The folder is named
after the service, because a stream may reach either service while one takes over from
another on the same port.
"""

import array
import asyncio
import contextlib
import re
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from zlib import crc32

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web
from yarl import URL

from bridge.ports.authentication import BODY, FORM, MESSAGE_PATHS, Handler
from bridge.ports.port_demux import HEAD_BYTES_MAX, MEDIA_PATH
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics_merge import MetricsMerge
from bridge.telephony import signature

# Twilio gives a webhook up after 15 s, and the worker whose call it is may take 5.
FORWARD_WAIT_S = 8.0
METRICS_WAIT_S = 1.0
# How many sockets may be handed over that the other worker has not yet taken.
HANDED_OVER_MAX = 256
# The head, and the data that may have come in the same read.
HANDED_BYTES_MAX = HEAD_BYTES_MAX + 65_536

# The headers by which a webhook is checked and read.
IDEMPOTENCY_HEADER = "I-Twilio-Idempotency-Token"
# Marks a webhook that another node has passed on: it is passed on once only.
PASSED_ON = "X-Kolbridge-Passed-On"
# Marks a webhook that a worker has passed on to its call's owner: once only, too.
PASSED_INSIDE = "X-Kolbridge-Passed-Inside"
FORWARDED_HEADERS = (
    "Content-Type",
    PASSED_ON,
    PASSED_INSIDE,
    IDEMPOTENCY_HEADER,
    signature.HEADER,
    signature.SETTINGS_HEADER,
)

# What follows the media path: a service's name, and the number of its worker.
_STREAM = re.compile(r"([\w-]{1,64})/(\d{1,3})")


Adopt = Callable[[socket.socket, bytes], None]


def forwarded_headers(request: web.Request) -> dict[str, str]:
    """Return the headers by which another process checks and reads a webhook."""
    return {
        name: request.headers[name]
        for name in FORWARDED_HEADERS
        if name in request.headers
    }


class Workers:
    """The workers as worker `index` of `count` sees them."""

    def __init__(self, folder: Path, index: int, count: int) -> None:
        self.index = index
        self.count = count
        self.metrics_merge = MetricsMerge(folder, index)
        self._folder = folder
        self._drain_mark = folder / "drain"
        self._listening: socket.socket | None = None

    def owner_of(self, call_sid: str) -> int:
        """Return the worker that owns a call."""
        return crc32(call_sid.encode("utf-8", "surrogateescape")) % self.count

    @property
    def media_path(self) -> str:
        """The path of this worker's streams."""
        return f"{MEDIA_PATH}/{self._folder.name}/{self.index}"

    def socket_of_stream(self, path: str) -> Path | None:
        """Return the socket for a stream that names another worker, of this service or
        of one beside it; None if this worker serves the stream."""
        named = _STREAM.fullmatch(path.removeprefix(MEDIA_PATH).strip("/"))
        if named is None:
            return None
        owners = self._folder.parent / named[1] / f"{int(named[2])}.streams"
        is_own = owners == self._streams_socket(self.index)
        return owners if owners.exists() and not is_own else None

    def http_socket(self, index: int) -> str:
        """Return the socket where a worker answers the requests of other workers."""
        return str(self._folder / f"{index}.http")

    # --- the drain ---

    @property
    def are_draining(self) -> bool:
        """Whether the service was asked to drain, before this worker began or since."""
        return self._drain_mark.exists()

    def note_drain(self) -> None:
        """Have a worker that is started again drain from its start."""
        with contextlib.suppress(OSError):
            self._drain_mark.touch()

    # --- streams ---

    def listen(self, adopt: Adopt) -> None:
        """Take streams from other workers; `adopt` gets each socket and its data."""
        path = self._streams_socket(self.index)
        # A worker that was killed leaves its socket behind.
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(str(path))
        listener.listen(HANDED_OVER_MAX)
        self._listening = listener
        loop = asyncio.get_running_loop()
        loop.add_reader(listener, self._on_handed, listener, adopt)

    def hand_over(self, path: Path, file_descriptor: int, data: bytes) -> bool:
        """Give an open connection to another worker; False if that is impossible."""
        if len(data) > HANDED_BYTES_MAX:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
            way.setblocking(False)
            try:
                way.connect(str(path))
                rights = array.array("i", [file_descriptor])
                ancillary = (socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)
                # A fresh Unix socket's buffer takes all of it at once.
                return way.sendmsg([data], [ancillary]) == len(data)
            except OSError as error:
                server_logger().error(
                    "worker %s does not take a stream: %s", path.stem, error
                )
                return False

    def close(self) -> None:
        """Stop taking handed-over streams."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    def _streams_socket(self, index: int) -> Path:
        return self._folder / f"{index}.streams"

    def _on_handed(self, listener: socket.socket, adopt: Adopt) -> None:
        try:
            way, _ = listener.accept()
        except OSError:
            return
        # The sender sends at once, but may be descheduled after it connects.
        way.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(way, self._on_sent, way, adopt)

    def _on_sent(self, way: socket.socket, adopt: Adopt) -> None:
        asyncio.get_running_loop().remove_reader(way)
        with way:
            try:
                data, descriptors, _, _ = socket.recv_fds(way, HANDED_BYTES_MAX, 1)
            except OSError as error:
                server_logger().error("a stream was lost on its way: %s", error)
                return
            for descriptor in descriptors:
                connection = socket.socket(fileno=descriptor)
                connection.setblocking(False)
                adopt(connection, data)

    # --- webhooks ---

    @web.middleware
    async def to_owner(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Forward a webhook to the worker that owns its call, if it is about one."""
        form = request.get(FORM)
        is_of_call = form is not None and request.path not in MESSAGE_PATHS
        owner = self.owner_of(form["CallSid"]) if form and is_of_call else self.index
        if owner == self.index:
            return await handler(request)
        headers = forwarded_headers(request)
        try:
            status, kind, body = await self._forward(
                owner, request.raw_path, request[BODY], headers
            )
        except (ClientError, TimeoutError, OSError) as error:
            # The call is lost with its worker. This worker does not know the call, and
            # Twilio gets the same answer as for any unknown call.
            server_logger().error("worker %d does not answer: %s", owner, error)
            return await handler(request)
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    async def ask_inside(
        self, owner: int, path: str, body: bytes, headers: Mapping[str, str]
    ) -> bytes | None:
        """Return the document of the worker that owns a call although its id names
        another one; None if that worker has none."""
        marked = {**headers, PASSED_INSIDE: "1"}
        try:
            status, _, document = await self._forward(owner, path, body, marked)
        except (ClientError, TimeoutError, OSError) as error:
            server_logger().error("worker %d does not answer: %s", owner, error)
            return None
        return document if status == HTTPStatus.OK else None

    async def _forward(
        self, owner: int, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        """Return a worker's answer: its status, its type and its body."""
        async with (
            self._session(owner, FORWARD_WAIT_S) as session,
            session.post(
                URL(f"http://worker{path}", encoded=True), data=body, headers=headers
            ) as answer,
        ):
            kind = answer.headers.get("Content-Type", "")
            return answer.status, kind, await answer.read()

    def _session(self, index: int, wait_s: float) -> ClientSession:
        connector = UnixConnector(self.http_socket(index))
        return ClientSession(connector=connector, timeout=ClientTimeout(total=wait_s))

    # --- metrics ---

    async def other_pages(self) -> list[str]:
        """Return the metrics of the other workers; for a worker that is late or gone,
        its last known page."""
        others = [index for index in range(self.count) if index != self.index]
        return await asyncio.gather(*(self._page(index) for index in others))

    async def _page(self, index: int) -> str:
        with contextlib.suppress(ClientError, TimeoutError, OSError):
            async with (
                self._session(index, METRICS_WAIT_S) as session,
                session.get("http://worker/metrics") as answer,
            ):
                return await answer.text()
        return self.metrics_merge.left_by(index)
