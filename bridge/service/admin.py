"""The admin endpoints: liveness, readiness and metrics.

The admin port is not the port that Twilio reaches. ADMIN_HOST is loopback by default;
beyond loopback ADMIN_TOKEN is required ("Authorization: Bearer ..."). If ADMIN_PORT is
unavailable, the service runs without it and logs that: callers matter more.
"""

import hmac
import logging
import socket
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from bridge.ports.acceptor import listen
from bridge.ports.authentication import Handler
from bridge.ports.port_demux import Head
from bridge.ports.workers import Workers
from bridge.service.readiness import Readiness
from bridge.settings.process import Settings
from bridge.telemetry.log import write_line
from bridge.telemetry.metrics_merge import added_up

# Prometheus, probes and people: a further connection takes the place of an idle one.
CONNECTIONS_MAX = 32
_PAGE_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def open_admin(
    settings: Settings, inherited: socket.socket | None
) -> socket.socket | None:
    """Return the listening socket, perhaps the previous service's; None if none."""
    if settings.admin_port == 0:
        return None
    wanted = settings.admin_host.strip("[]"), settings.admin_port
    if inherited is not None:
        if inherited.getsockname()[:2] == wanted:
            return inherited
        inherited.close()
    try:
        return listen(*wanted)
    except OSError as error:
        where = f"ADMIN_HOST={settings.admin_host} ADMIN_PORT={settings.admin_port}"
        text = f"no metrics: cannot listen on {where}: {error.strerror}"
        write_line(logging.ERROR, text, settings.secrets)
        return None


def admin_application(
    settings: Settings,
    exposition: Callable[[], bytes],
    readiness: Readiness,
    workers: Workers | None,
) -> web.Application:
    """Return the endpoints; the metrics page covers all workers together."""
    app = web.Application(middlewares=[_requiring(settings.admin_token)])
    app.add_routes(
        [
            web.get("/healthz", alive),
            web.get("/readyz", readiness.answer),
            web.get("/metrics", partial(whole_page, exposition, workers)),
        ]
    )
    return app


class NoStreams:
    """What a port without media streams answers to who asks for one."""

    def pass_on(self, head: Head, transport: Any, data: bytes) -> bool:
        """Serve the connection here."""
        return False

    def admit_stream(self, head: Head) -> HTTPStatus:
        """Refuse the stream."""
        return HTTPStatus.NOT_FOUND


async def alive(request: web.Request) -> web.Response:
    """Answer that the process is alive."""
    return web.Response(text="ok")


async def own_page(
    exposition: Callable[[], bytes], request: web.Request
) -> web.Response:
    """Return this worker's metrics page, for the other workers."""
    return _page(exposition())


async def whole_page(
    exposition: Callable[[], bytes], workers: Workers | None, request: web.Request
) -> web.Response:
    """Return the page that Prometheus reads."""
    page = exposition()
    if workers is not None:
        page = added_up([page.decode(), *await workers.other_pages()])
    return _page(page)


def _page(page: bytes) -> web.Response:
    return web.Response(body=page, headers={"Content-Type": _PAGE_TYPE})


def _requiring(token: str | None) -> Middleware:
    """Return the middleware that requires the token, or admits all if none is set."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if token is not None:
            given = request.headers.get("Authorization", "").encode("utf-8", "replace")
            if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                challenge = {"WWW-Authenticate": "Bearer"}
                return web.Response(status=401, headers=challenge)
        return await handler(request)

    return check
