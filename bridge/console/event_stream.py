"""Server-sent events: how a stream begins, an event's form, and when it must end."""

from http import HTTPStatus

from aiohttp import web

from bridge.console.console import VIEWER, Viewer
from bridge.console.gatekeeper import GATEKEEPER

# How often a stream asks whether its user is still logged in.
SESSION_LOOK_S = 1.0
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


async def is_still(request: web.Request) -> bool:
    """Tell whether the viewer is logged in, and still who they were."""
    viewer: Viewer | None = await request.config_dict[GATEKEEPER].viewer_of(request)
    before = request[VIEWER]
    return viewer is not None and (viewer.user_id, viewer.role, viewer.business_id) == (
        before.user_id,
        before.role,
        before.business_id,
    )
