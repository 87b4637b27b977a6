"""A conversation in writing: its messages and tools, live, and what people do in it.

A person writes in the same queue as the assistant. While people hold a conversation,
the assistant is silent in it. Who looks, writes, holds and hands back is written down.
"""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from aiohttp import web

from bridge.console import thread
from bridge.console.auditing import audit
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    FORM,
    VIEWER,
    Console,
    business_path,
)
from bridge.console.message_events import add_hub, send_events
from bridge.console.message_hub import Watched
from bridge.console.message_words import (
    author_words,
    is_lost,
    media_words,
    not_sent_words,
    purpose_words,
    status_words,
    why_words,
)
from bridge.console.paging import position_of
from bridge.console.rendering import render
from bridge.messaging import by_hand
from bridge.messaging.by_hand import NotSent
from bridge.messaging.window import WINDOW
from crm import conversation_pages, conversations, lead_care
from crm.conversations import WHATSAPP, Conversation

KEY_CHARS_MAX = 64


async def show(request: web.Request) -> web.StreamResponse:
    """Show a conversation with its writer's number masked."""
    found = await conversation_of(request)
    await audit(request, "conversation.seen", found.id)
    return await _page(request, found)


async def part(request: web.Request) -> web.StreamResponse:
    """Answer with the thread and the state alone: something has changed."""
    found = await conversation_of(request)
    return await render(request, "messages/part.html", **await shown(request, found))


async def events(request: web.Request) -> web.StreamResponse:
    """Tell when the conversation is no longer what the page shows."""
    found = await conversation_of(request)
    return await send_events(request, Watched(request[BUSINESS].id, found.id))


async def show_phone(request: web.Request) -> web.StreamResponse:
    """Show the whole number; the look is written down."""
    found = await conversation_of(request)
    await audit(request, "conversation.phone_seen", found.id)
    if "HX-Request" in request.headers:
        return await render(request, "messages/phone.html", conversation=found)
    return await _page(request, found, is_phone_shown=True)


async def write(request: web.Request) -> web.StreamResponse:
    """Write a message as a person of the business."""
    found, business = await conversation_of(request), request[BUSINESS]
    database = request.config_dict[CONSOLE].database
    text = request[FORM].get("text", "")
    key = request[FORM].get("key", "")[:KEY_CHARS_MAX]
    try:
        message_id = await by_hand.write(
            database,
            business.id,
            found.id,
            request[VIEWER].name,
            text,
            datetime.now(UTC),
            key,
        )
    except NotSent as error:
        fault = not_sent_words(error.reason)
        if _is_script(request):
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            return web.json_response({"faults": {"text": fault}}, status=status)
        return await _page(request, found, typed=text, faults={"text": fault})
    await audit(request, "conversation.written", found.id, message=str(message_id))
    return _done(request, found)


async def hold(request: web.Request) -> web.StreamResponse:
    """Take the conversation over: the assistant says nothing in it."""
    found, business = await conversation_of(request), request[BUSINESS]
    async with request.config_dict[CONSOLE].database.tenant(business.id) as connection:
        is_news = await conversations.hold(connection, business.id, found.id, "")
    if is_news:
        await audit(request, "conversation.held", found.id)
    return _done(request, found)


async def hand_back(request: web.Request) -> web.StreamResponse:
    """Let the assistant answer again."""
    found, business = await conversation_of(request), request[BUSINESS]
    database = request.config_dict[CONSOLE].database
    if await conversations.hand_back(database, business.id, found.id):
        await audit(request, "conversation.handed_back", found.id)
    return _done(request, found)


async def conversation_of(request: web.Request) -> Conversation:
    """Return the conversation of the path; raise HTTPNotFound if there is none."""
    try:
        conversation_id = UUID(request.match_info["conversation"])
    except ValueError:
        raise web.HTTPNotFound from None
    found = await conversations.get(
        request.config_dict[CONSOLE].database, request[BUSINESS].id, conversation_id
    )
    if found is None:
        raise web.HTTPNotFound
    return found


async def shown(request: web.Request, found: Conversation) -> dict[str, Any]:
    """Return what the part of a page names that changes with the conversation."""
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    own = (database, business.id, found.id)
    # Before the messages: what is written in between is news.
    revisions = await conversation_pages.revisions(database, business.id, [found.id])
    before = position_of(request.query.get("before", ""))
    is_open = found.channel == WHATSAPP and found.last_inbound_at is not None
    why = by_hand.closed_why(found, datetime.now(UTC))
    return {
        "conversation": found,
        "thread": await thread.read(*own, before),
        "revision": revisions.get(found.id, ""),
        "is_newest": before is None,
        "is_try": False,
        "cost": await conversation_pages.cost_of(*own),
        "closed": why,
        "closed_words": not_sent_words(why),
        "open_until": found.last_inbound_at + WINDOW
        if is_open and found.last_inbound_at and not why
        else None,
        "author_words": author_words,
        "status_words": status_words,
        "purpose_words": purpose_words,
        "media_words": media_words,
        "is_lost": is_lost,
        "why_words": why_words,
    }


async def _page(
    request: web.Request,
    found: Conversation,
    *,
    is_phone_shown: bool = False,
    typed: str = "",
    faults: dict[str, str] | None = None,
) -> web.StreamResponse:
    lead = None
    if found.lead_id is not None:
        lead = await lead_care.get(
            request.config_dict[CONSOLE].database, request[BUSINESS].id, found.lead_id
        )
    return await render(
        request,
        "messages/conversation.html",
        status=422 if faults else 200,
        lead=lead,
        is_phone_shown=is_phone_shown,
        typed=typed,
        faults=faults or {},
        **await shown(request, found),
    )


def _is_script(request: web.Request) -> bool:
    return "text/html" not in request.headers.get("Accept", "")


def _done(request: web.Request, found: Conversation) -> web.StreamResponse:
    if _is_script(request):
        return web.Response(status=HTTPStatus.NO_CONTENT)
    where = business_path(request[BUSINESS].id, "messages", found.id)
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": where})


def add_routes(app: web.Application, console: Console) -> None:
    """Add the page of a conversation, and what is done in it."""
    add_hub(app, console)
    here = "/b/{business}/messages/{conversation:[0-9a-f-]{36}}"
    app.router.add_get(here, show)
    app.router.add_get(f"{here}/part", part)
    app.router.add_get(f"{here}/events", events)
    app.router.add_post(f"{here}/phone", show_phone)
    app.router.add_post(f"{here}/write", write)
    app.router.add_post(f"{here}/hold", hold)
    app.router.add_post(f"{here}/hand-back", hand_back)
