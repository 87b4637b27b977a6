"""aiohttp's side of a connection, on a port where any client may send anything.

Input that is not HTTP is answered, counted and logged in one line, without the
traceback that aiohttp would write. Bodies stay as they came, and no connection lingers.
"""

import asyncio
import select
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic

from aiohttp import StreamReader, web

from bridge.ports.connections import IDLE_S
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics

# How long the rest of a refused body is read, so that its sender can read the answer.
LINGER_S = 1.0
# How often a connection with an unread request is looked at again.
LOOK_S = 0.02


class HttpProtocol(web.RequestHandler):
    """One connection; made by `protocol_factory`."""

    __slots__ = ("_body", "_metrics")

    _metrics: Metrics
    # That of the last request, if it was answered before all of its body had come. It
    # refers to its protocol: a cycle, which the end of the connection breaks.
    _body: StreamReader | None

    @property
    def has_rest(self) -> bool:
        """Whether a request was answered whose body is still to come."""
        return self._body is not None and not self._body.is_eof()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the request, too."""
        self._body = None
        super().connection_lost(exc)

    @property
    def is_serving(self) -> bool:
        """Whether a request has come whole and is being answered."""
        request = self._current_request
        return request is not None and request.content.is_eof()

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Answer; the rest of the body that comes afterwards is not a request."""
        has_rest = self.transport is not None and not request.content.is_eof()
        self._body = request.content if has_rest else None
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer input that is not HTTP; aiohttp logs the bridge's own faults."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        if exc is not None:
            # The traceback keeps the frames that keep the exception.
            exc.__traceback__ = None
        self._metrics.count("requests_refused", reason="malformed")
        server_logger().warning("a request was refused: %d malformed", status)
        response = web.Response(status=status, text=f"{status} malformed")
        response.force_close()
        return response


def protocol_factory(
    server: web.Server, metrics: Metrics
) -> Callable[[], HttpProtocol]:
    """Return what makes the protocol of each connection to `server`."""
    loop = asyncio.get_running_loop()

    def make() -> HttpProtocol:
        protocol = HttpProtocol(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner passes it
            keepalive_timeout=IDLE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        protocol._metrics, protocol._body = metrics, None
        return protocol

    return make


def runner_of(application: web.Application, patience_s: float) -> web.AppRunner:
    """Return what runs an application whose connections this module's protocol has."""
    return web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=patience_s,
        auto_decompress=False,
    )


async def close_connections(server: web.Server, patience_s: float) -> None:
    """Close every connection, but none with a request that has yet to be read.

    Its client would not send such a request again: a webhook would be lost. Requests
    have `patience_s` to be answered.
    """
    latest = monotonic() + patience_s
    while server.connections and (left_s := latest - monotonic()) > 0:
        read = [one for one in server.connections if not _has_unread(one)]
        for connection in read:
            connection.close()
        await asyncio.gather(*(one.shutdown(left_s) for one in read))
        await asyncio.sleep(LOOK_S)
    await server.shutdown(LOOK_S)


def _has_unread(connection: web.RequestHandler) -> bool:
    """Tell whether the client has sent data that the event loop has yet to read."""
    transport = connection.transport
    peer = None if transport is None else transport.get_extra_info("socket")
    if peer is None:
        return False
    poll = select.poll()
    poll.register(peer.fileno(), select.POLLIN)
    return bool(poll.poll(0))
