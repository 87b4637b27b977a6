"""The event stream of a page of messages: what has changed is told, not sent.

A page holds the revision that it shows, and asks for the rest when another is named.
"""

import asyncio
from time import monotonic

import msgspec
from aiohttp import web

from bridge.console.console import Console
from bridge.console.event_stream import (
    COMMENT,
    COMMENT_S,
    begin,
    event,
    is_still,
    watching,
)
from bridge.console.message_hub import MessageHub, Watched
from bridge.console.session_watch import Unknown

HUB = web.AppKey("message_hub", MessageHub)


def add_hub(app: web.Application, console: Console) -> None:
    """Give the application its hub; the pages of messages and of tries share it."""
    if HUB not in app:
        app[HUB] = MessageHub(console.database, console.metrics)


async def send_events(request: web.Request, watched: Watched) -> web.StreamResponse:
    """Tell of what changes, until the page is closed or its user is logged out."""
    hub = request.config_dict[HUB]
    if hub.is_full:
        raise web.HTTPServiceUnavailable
    response = await begin(request)
    try:
        with hub.watching(watched), watching(request):
            await _tell(request, response, hub, watched)
    except (ConnectionError, asyncio.CancelledError, Unknown):
        pass  # the page is closed, or comes back
    return response


async def _tell(
    request: web.Request,
    response: web.StreamResponse,
    hub: MessageHub,
    watched: Watched,
) -> None:
    told: str | None = None
    sent_at = monotonic()
    while True:
        await hub.next_look()
        revision, now = hub.revisions.get(watched), monotonic()
        if revision is not None and revision != told:
            await response.write(event("revision", msgspec.json.encode(revision)))
            told, sent_at = revision, now
        elif now - sent_at >= COMMENT_S:
            await response.write(COMMENT)
            sent_at = now
        if not is_still(request):
            await response.write(event("over", b"0"))
            return
