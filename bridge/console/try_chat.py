"""Try it in writing: a chat with the assistant through the queue of all messages.

The chat is a conversation of the channel `console`: it has no number, and nothing of it
is sent to anybody. The messenger answers it as it answers people.
"""

from datetime import timedelta
from http import HTTPStatus
from time import monotonic
from typing import NamedTuple
from uuid import UUID, uuid4

from aiohttp import web

from bridge.console import conversation_page, thread
from bridge.console.auditing import audit
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    FORM,
    VIEWER,
    Console,
    business_path,
)
from bridge.console.language import N_, gettext as _
from bridge.console.message_events import add_hub
from bridge.console.rate_limit import RateLimit
from bridge.console.rendering import render
from crm import conversations
from crm.conversations import BODY_CHARS_MAX, CONSOLE as CHANNEL, Arrived, Conversation

# An answer costs money; nobody tries more by hand.
MESSAGES_MAX = 60
MESSAGES_S = 600.0
LIMIT = web.AppKey("try_chat_limit", RateLimit)
# What people type in pieces is answered together; whoever tries waits for one message.
PAUSE = timedelta(seconds=0.5)
_FAULTS = {
    "empty": N_("Write something."),
    "too_long": N_("Write at most 4,096 characters."),
    "too_many": N_("Those were many messages. Wait some minutes."),
    "gone": N_("This choice is no longer offered."),
}


class _Said(NamedTuple):
    """What was typed, or chosen: then `body` is the choice's title."""

    body: str
    choice: str = ""


class _Refused(Exception):
    """Nothing was written; the text is a key of _FAULTS."""


async def write(request: web.Request) -> web.StreamResponse:
    """Write a message of somebody who tries; begin a chat with the first one."""
    business, viewer = request[BUSINESS], request[VIEWER]
    database = request.config_dict[CONSOLE].database
    limit, now = request.config_dict[LIMIT], monotonic()
    found = await _own(request, request[FORM].get("conversation", ""))
    try:
        said = await _said(request, found)
        if limit.is_over(viewer.login, now):
            raise _Refused("too_many")
    except _Refused as refused:
        fault = {"faults": {"text": _(_FAULTS[str(refused)])}}
        return web.json_response(fault, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    limit.fail(viewer.login, now)
    writer = found.writer if found else f"{_prefix(viewer.user_id)}{uuid4().hex[:12]}"
    arrived = Arrived(
        f"try-{uuid4().hex}",
        said.body,
        writer=writer,
        channel=CHANNEL,
        profile_name=viewer.name,
        choice=said.choice,
    )
    received = await conversations.receive(database, business.id, arrived, pause=PAUSE)
    own = received.conversation_id
    if found is None:
        await audit(request, "conversation.tried", own)
    answer = {
        "conversation": str(own),
        "part": business_path(business.id, "try", "chat", own),
        "events": business_path(business.id, "messages", own, "events"),
        "record": business_path(business.id, "messages", own),
    }
    return web.json_response(answer, status=HTTPStatus.CREATED)


async def part(request: web.Request) -> web.StreamResponse:
    """Answer with the thread of a chat, in which what is offered can be chosen."""
    found = await _own(request, request.match_info["conversation"])
    if found is None:
        raise web.HTTPNotFound
    values = await conversation_page.shown(request, found)
    return await render(request, "messages/part.html", **{**values, "is_try": True})


def _prefix(user_id: UUID) -> str:
    return f"try:{user_id}:"


async def _own(request: web.Request, text: str) -> Conversation | None:
    """Return a chat of this viewer, None where none is named; else HTTPNotFound."""
    if not text:
        return None
    try:
        conversation_id = UUID(text)
    except ValueError:
        raise web.HTTPNotFound from None
    found = await conversations.get(
        request.config_dict[CONSOLE].database, request[BUSINESS].id, conversation_id
    )
    prefix = _prefix(request[VIEWER].user_id)
    if found is None or found.channel != CHANNEL or not found.writer.startswith(prefix):
        raise web.HTTPNotFound
    return found


async def _said(request: web.Request, found: Conversation | None) -> _Said:
    """Return what the form says; raises _Refused."""
    choice = request[FORM].get("choice", "")
    if choice:
        return _Said(await _title_of(request, found, choice), choice)
    body = request[FORM].get("text", "").strip()
    if not body:
        raise _Refused("empty")
    if len(body) > BODY_CHARS_MAX:
        raise _Refused("too_long")
    return _Said(body)


async def _title_of(
    request: web.Request, found: Conversation | None, choice: str
) -> str:
    """Return the words of a choice that the chat's last message offers."""
    if found is not None:
        now = await thread.read(
            request.config_dict[CONSOLE].database, request[BUSINESS].id, found.id
        )
        for one in now.choices:
            if one.id == choice:
                return one.title
    raise _Refused("gone")


def add_routes(app: web.Application, console: Console) -> None:
    """Add the chat."""
    add_hub(app, console)
    app[LIMIT] = RateLimit(MESSAGES_MAX, MESSAGES_S)
    app.router.add_post("/b/{business}/try/chat", write)
    app.router.add_get("/b/{business}/try/chat/{conversation}", part)
