"""Answers what fails with a page that says so, and adds the headers of every answer."""

from http import HTTPStatus

from aiohttp import web

from bridge.console.console import CONSOLE
from bridge.console.gatekeeper import Handler
from bridge.console.language import N_
from bridge.console.rendering import render
from bridge.telemetry.log import server_logger
from crm.transient import DATABASE_ERRORS, is_about_the_row

# `img-src data:` is for the arrows and ticks of Pico's form elements. Audio is played
# from memory (blob:). Nothing comes from another host but the softphone's stream, where
# each node has a host. No script or style is inline.
_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "media-src 'self' blob:",
    "worker-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
POLICY = "Content-Security-Policy"


def policy(*connects: str) -> str:
    """Return the policy of a page that may also connect to these origins."""
    return "; ".join((*_POLICY, " ".join(("connect-src 'self'", *connects))))


HEADERS = {
    POLICY: policy(),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The softphone and the takeover of a call use the microphone.
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
}
_TEXTS = {
    HTTPStatus.FORBIDDEN: (
        N_("Not allowed"),
        N_("This page is not yours, or its form is too old. Open it again and retry."),
    ),
    HTTPStatus.NOT_FOUND: (N_("Not found"), N_("There is no such page.")),
    HTTPStatus.TOO_MANY_REQUESTS: (
        N_("Too many tries"),
        N_("Wait some minutes, then try again."),
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        N_("The database does not answer"),
        N_("Calls go on. Try again in a minute."),
    ),
    HTTPStatus.BAD_GATEWAY: (
        N_("Another machine does not answer"),
        N_("It has the recording of this call. Try again in a minute."),
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        N_("Something went wrong"),
        N_("The error is in the service's log."),
    ),
    HTTPStatus.BAD_REQUEST: (N_("Not understood"), N_("The request is not valid.")),
}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every answer has."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.config_dict[CONSOLE].is_https:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")


@web.middleware
async def answer_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return a page for what was refused or has failed; a failure is logged."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        # The traceback keeps the frames that keep the exception.
        error.__traceback__ = None
        if error.status < HTTPStatus.BAD_REQUEST:
            return web.Response(status=error.status, headers=error.headers)
        status, allowed = error.status, error.headers.get("Allow")
    except (TimeoutError, *DATABASE_ERRORS) as error:
        server_logger().error(
            "console: %s: the database: %s", request.path, type(error).__name__
        )
        status, allowed = HTTPStatus.SERVICE_UNAVAILABLE, None
        # Such as a null character in a query.
        if is_about_the_row(error):
            status = HTTPStatus.BAD_REQUEST
    except Exception as error:
        server_logger().error("console: %s failed", request.path, exc_info=error)
        status, allowed = HTTPStatus.INTERNAL_SERVER_ERROR, None
    request.config_dict[CONSOLE].metrics.count(
        "console_faults", status=str(int(status))
    )
    response = await _page(request, HTTPStatus(status))
    if allowed:
        response.headers["Allow"] = allowed
    return response


async def _page(request: web.Request, status: HTTPStatus) -> web.Response:
    title, text = _TEXTS.get(status, _TEXTS[HTTPStatus.BAD_REQUEST])
    response = await render(
        request, "fault.html", status=status, title=title, text=text
    )
    if not request.content.is_eof():
        # The rest of an unread body is not a request.
        response.force_close()
    return response
