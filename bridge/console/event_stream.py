"""Server-sent events: how a stream begins, an event's form, and when it must end."""

from contextlib import AbstractContextManager
from http import HTTPStatus

from aiohttp import web

from bridge.console.console import TOKEN, VIEWER
from bridge.console.session_watch import LOOK_S, WATCH

# How often a stream looks whether its user is still logged in.
SESSION_LOOK_S = LOOK_S
# A connection without data is cut after 15 s.
COMMENT_S = 10.0
COMMENT = b":\n\n"


def event(name: str, data: bytes) -> bytes:
    """Return a server-sent event; JSON has no line breaks."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


async def begin(request: web.Request) -> web.StreamResponse:
    """Return the answer that events are written to."""
    response = web.StreamResponse(
        status=HTTPStatus.OK,
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        },
    )
    await response.prepare(request)
    return response


def watching(request: web.Request) -> AbstractContextManager[None]:
    """Have it asked, from here on, whether the viewer is still logged in."""
    return request.config_dict[WATCH].watched(request[TOKEN])


def is_still(request: web.Request) -> bool:
    """Tell whether the viewer is logged in, and still who they were.

    Raises Unknown where the database does not say.
    """
    watch = request.config_dict[WATCH]
    return watch.is_still(request[TOKEN], request[VIEWER])
