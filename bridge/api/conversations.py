"""Conversations in writing: a list, one with its messages, and what people do in it."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import msgspec

from bridge.api.calls import Limit
from bridge.api.cursors import LIMIT_DEFAULT, Page, read_place, write_place
from bridge.api.problems import Problem, not_found, wrong_field
from bridge.api.routes import Asked, Route, id_of
from bridge.messaging import by_hand
from bridge.messaging.by_hand import NotSent
from crm import conversation_pages, conversations, messages as message_rows
from crm.conversation_pages import Listed, Place, State, ToolRow, TurnRow, Wish
from crm.conversations import BODY_CHARS_MAX, Conversation
from crm.messages import Message


class ConversationsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which conversations: those of a state, a lead, a number or with words."""

    limit: Limit = LIMIT_DEFAULT
    cursor: str | None = None
    state: State = ""
    words: Annotated[str, msgspec.Meta(max_length=200)] = ""
    number: Annotated[str, msgspec.Meta(max_length=30)] = ""
    lead_id: UUID | None = None


class ConversationQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which messages: the last ones, or those before a position."""

    limit: Limit = LIMIT_DEFAULT
    before: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class WholeConversation(Conversation, frozen=True, kw_only=True):
    """A conversation with its last messages in order, the turns that answered them, and
    the tools of those turns.

    `writable`: text may be sent now; `cost` is that of all its answers.
    """

    writable: bool
    cost: float | None
    messages: list[Message]
    turns: list[TurnRow]
    tools: list[ToolRow]


class NewMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message of the business's own people."""

    body: Annotated[str, msgspec.Meta(min_length=1, max_length=BODY_CHARS_MAX)]


async def every(asked: Asked) -> Page[Listed]:
    query: ConversationsQuery = asked.query
    place = read_place(query.cursor)
    rows = await conversation_pages.listed(
        asked.database,
        asked.business.id,
        Wish(
            words=query.words,
            number=query.number,
            state=query.state,
            lead_id=query.lead_id,
        ),
        query.limit + 1,
        Place(*place) if place else None,
    )
    items = rows[: query.limit]
    if len(rows) <= query.limit:
        return Page(items, None)
    return Page(items, write_place(items[-1].position, items[-1].id))


async def one(asked: Asked) -> WholeConversation:
    query: ConversationQuery = asked.query
    found = await _found(asked)
    own = (asked.database, asked.business.id, found.id)
    shown = await conversation_pages.messages_of(*own, query.limit, query.before)
    turns, tools = await conversation_pages.turns_of(*own, shown)
    return WholeConversation(
        **msgspec.structs.asdict(found),
        writable=not by_hand.closed_why(found, datetime.now(UTC)),
        cost=await conversation_pages.cost_of(*own),
        messages=shown,
        turns=turns,
        tools=tools,
    )


async def write(asked: Asked) -> Message:
    body: NewMessage = asked.body
    found = await _found(asked)
    own = (asked.database, asked.business.id)
    try:
        message_id = await by_hand.write(
            *own, found.id, asked.by.who, body.body, datetime.now(UTC)
        )
    except NotSent as error:
        if error.reason in (by_hand.STOPPED, by_hand.WINDOW):
            raise Problem(HTTPStatus.CONFLICT, str(error)) from None
        raise wrong_field("body", str(error)) from None
    written = await message_rows.get(*own, message_id)
    if written is None:
        raise not_found("conversation")
    return written


async def hold(asked: Asked) -> Conversation:
    found = await _found(asked)
    async with asked.database.tenant(asked.business.id) as connection:
        await conversations.hold(connection, asked.business.id, found.id, "")
    return await _found(asked)


async def hand_back(asked: Asked) -> Conversation:
    found = await _found(asked)
    await conversations.hand_back(asked.database, asked.business.id, found.id)
    return await _found(asked)


async def _found(asked: Asked) -> Conversation:
    conversation_id, found = id_of(asked), None
    if conversation_id is not None:
        found = await conversations.get(
            asked.database, asked.business.id, conversation_id
        )
    if found is None:
        raise not_found("conversation")
    return found


_ONE = "/conversations/{id}"
ROUTES = (
    Route(
        "GET",
        "/conversations",
        "List conversations in writing, those written in last first",
        every,
        Page[Listed],
        ConversationsQuery,
    ),
    Route(
        "GET",
        _ONE,
        "Read a conversation with its messages",
        one,
        WholeConversation,
        ConversationQuery,
    ),
    Route(
        "POST",
        f"{_ONE}/messages",
        "Write a message as a person; within 24 hours of the writer's last one",
        write,
        Message,
        body=NewMessage,
        status=HTTPStatus.CREATED,
    ),
    Route(
        "POST",
        f"{_ONE}/hold",
        "Leave a conversation to people: the assistant is silent",
        hold,
        Conversation,
    ),
    Route(
        "POST",
        f"{_ONE}/hand-back",
        "Let the assistant answer a conversation again",
        hand_back,
        Conversation,
    ),
)
