"""The tools of a chat: those of the calls, and three that write to the writer.

The calls' tools are the same functions, bound to the business and to the writer's own
number: no argument leads to another lead. `send_times`, `ask_confirmation` and
`ask_for_person` are the model's whole answer: they change nothing, and their result is
what the end of the turn sends, as `reply_of` reads it. So a turn that another process
goes on with sends the same.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from bridge.agent.calendar_tools import (
    CREATE_APPOINTMENT,
    FIND_SLOTS,
    RESCHEDULE_APPOINTMENT,
    BookingLimits,
)
from bridge.agent.crm_tools import crm_tools
from bridge.agent.identity import Worth
from bridge.agent.spoken import language_name, write_time
from bridge.agent.tools import Answer, Tool, ToolError, specify
from bridge.messaging.contents import (
    BODY_CHARS_MAX,
    BUTTON_CHARS_MAX,
    BUTTONS_MAX,
    ROW_CHARS_MAX,
    ROW_MORE_CHARS_MAX,
    ROWS_MAX,
)
from bridge.messaging.sentences import CHOOSE_TIME, in_language
from bridge.settings.options import CallOptions
from crm import message_turns
from crm.authors import By
from crm.businesses import Business
from crm.calendar import Rules
from crm.conversations import Conversation
from crm.database import Database

SEND_TIMES = "send_times"
ASK_CONFIRMATION = "ask_confirmation"
ASK_FOR_PERSON = "ask_for_person"
REPLIES = frozenset((SEND_TIMES, ASK_CONFIRMATION, ASK_FOR_PERSON))
# These answer with free times, as `slots` or as `alternatives`.
_GIVE_TIMES = (FIND_SLOTS, CREATE_APPOINTMENT, RESCHEDULE_APPOINTMENT)

# What "strict" takes of a schema; limits of length are checked by the tool alone.
_STRICT = ("type", "description", "enum", "pattern", "items", "minItems", "maxItems")

_SEND_TIMES_TEXT = (
    "Send a list of free times to choose from. Give `starts_at` as calendar_find_slots "
    "gave them in this chat. This is your whole answer."
)
_CONFIRM_TEXT = (
    "Ask a question with one to three short answers as buttons, such as yes and no. "
    "This is your whole answer."
)
_PERSON_TEXT = (
    "Leave the chat to a person of the business, who is told. This is your last answer "
    "until they hand the chat back."
)
_Words = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=BODY_CHARS_MAX,
        description="What the writer reads, in their language.",
    ),
]


class SendTimes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `send_times`."""

    text: _Words
    starts_at: Annotated[
        list[Annotated[str, Meta(max_length=40)]],
        Meta(
            min_length=1,
            max_length=ROWS_MAX,
            description="Up to ten, as calendar_find_slots gave them.",
        ),
    ]
    language: Annotated[
        str,
        Meta(
            pattern=r"^([a-z]{2})?$",
            description="The writer's language, as two letters; leave out where it is "
            "the business's.",
        ),
    ] = ""


class AskConfirmation(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `ask_confirmation`."""

    text: _Words
    answers: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=BUTTON_CHARS_MAX)]],
        Meta(
            min_length=1,
            max_length=BUTTONS_MAX,
            description="One to three, each of 20 characters at most.",
        ),
    ]


class AskForPerson(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `ask_for_person`."""

    text: _Words
    reason: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=300,
            description="For the business: what the writer wants, in one sentence.",
        ),
    ]


class Reply(NamedTuple):
    """What the writer is sent; with `hold_why` the chat is left to people."""

    text: str
    content: Mapping[str, Any] | None = None
    hold_why: str = ""


class Chat(NamedTuple):
    """Where a writer is served: one business, one conversation."""

    database: Database
    business: Business
    conversation: Conversation

    async def send_times(self, asked: SendTimes, _: str) -> Answer:
        """Make a list of times that a tool has given in this chat."""
        given = await self._given()
        zone = ZoneInfo(self.business.time_zone)
        named = asked.language if language_name(asked.language) else ""
        language = named or self.business.language
        choices: dict[datetime, dict[str, str]] = {}
        for text in asked.starts_at:
            at = _moment(text)
            if at is None or at not in given:
                known = ", ".join(
                    one.astimezone(zone).isoformat() for one in sorted(given)
                )
                raise ToolError(
                    "starts_at: expected times that calendar_find_slots gave in this "
                    f"chat ({known or 'it gave none'}), got {text[:40]!r}"
                )
            local = at.astimezone(zone)
            title, offset = write_time(
                local, language, self.business.country, ROW_CHARS_MAX
            )
            more = ", ".join(filter(None, (offset, given[at])))
            choices[at] = {
                "id": f"time:{local.isoformat()}",
                "title": title,
                "description": more[:ROW_MORE_CHARS_MAX],
                "starts_at": local.isoformat(),
            }
        content = {
            "kind": "list",
            "button": in_language(CHOOSE_TIME, language),
            "choices": list(choices.values()),
        }
        return Answer({"sent": True, "text": asked.text, "content": content})

    async def ask_confirmation(self, asked: AskConfirmation, _: str) -> Answer:
        """Make a question with buttons."""
        titles = dict.fromkeys(one.strip() for one in asked.answers)
        if not all(titles):
            raise ToolError("answers: expected words on each button")
        choices = [
            {"id": f"answer:{one}", "title": one, "description": ""} for one in titles
        ]
        content = {"kind": "buttons", "choices": choices}
        return Answer({"sent": True, "text": asked.text, "content": content})

    async def ask_for_person(self, asked: AskForPerson, _: str) -> Answer:
        """Leave the chat to people, at the end of the turn."""
        return Answer({"sent": True, "text": asked.text, "hold_why": asked.reason})

    async def _given(self) -> dict[datetime, str]:
        """Return the free times that tools gave in this chat, and with whom."""
        found = await message_turns.outputs(
            self.database, self.business.id, self.conversation.id, _GIVE_TIMES
        )
        now = datetime.now(UTC)
        given = {at: staff for text in found for at, staff in _times(text)}
        return {at: staff for at, staff in given.items() if at > now}


def writing_tools(
    database: Database,
    business: Business,
    conversation: Conversation,
    message_sid: str,
    options: CallOptions,
) -> dict[str, Tool]:
    """Return the tools of a turn, by their names; `message_sid` names its author."""
    phone = conversation.phone
    chat = Chat(database, business, conversation)
    return {
        **crm_tools(
            database,
            business,
            phone,
            call_sid=str(conversation.id),
            rules=Rules(
                options.booking_step_minutes,
                options.booking_lead_minutes,
                options.booking_days_max,
            ),
            worth=Worth.VERIFIED if phone else Worth.NONE,
            limits=BookingLimits(
                options.limit_open_bookings_per_caller,
                options.limit_open_bookings_unverified,
                options.limit_open_bookings_withheld,
            ),
            author=By("message", message_sid),
        ),
        SEND_TIMES: Tool(SendTimes, _SEND_TIMES_TEXT, chat.send_times),
        ASK_CONFIRMATION: Tool(AskConfirmation, _CONFIRM_TEXT, chat.ask_confirmation),
        ASK_FOR_PERSON: Tool(AskForPerson, _PERSON_TEXT, chat.ask_for_person),
    }


def reply_of(name: str, output: str) -> Reply | None:
    """Return what a tool's result sends to the writer, if it sends anything."""
    if name not in REPLIES:
        return None
    found = msgspec.json.decode(output)
    if not found.get("sent"):
        return None
    return Reply(found["text"], found.get("content"), found.get("hold_why", ""))


def strict_parameters(name: str, tool: Tool) -> dict[str, Any]:
    """Return the schema of a tool's arguments as "strict" wants it: every field is
    named, and one that may be left out may be null."""
    schema = specify(name, tool.description, tool.arguments).parameters
    required = schema["required"]
    properties = {
        field: _strict(one, field in required)
        for field, one in schema["properties"].items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _strict(schema: Mapping[str, Any], is_required: bool) -> dict[str, Any]:
    kept = {key: schema[key] for key in _STRICT if key in schema}
    kept.setdefault("type", "string")
    if "items" in kept:
        kept["items"] = _strict(kept["items"], True)
    if not is_required:
        kept["type"] = [kept["type"], "null"]
        if "enum" in kept:
            kept["enum"] = [*kept["enum"], None]
    return kept


def without_nulls(arguments: str) -> str:
    """Return arguments without the fields that "strict" makes the model name."""
    try:
        found = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    if not isinstance(found, dict):
        return arguments
    given = {key: value for key, value in found.items() if value is not None}
    return msgspec.json.encode(given).decode()


def _times(output: str) -> Iterator[tuple[datetime, str]]:
    """Yield the free times in a calendar tool's answer, with who is free then."""
    found = msgspec.json.decode(output)
    for one in (*found.get("slots", ()), *found.get("alternatives", ())):
        at = _moment(one["starts_at"])
        if at is not None:
            yield at, ", ".join(one.get("staff", ()))


def _moment(text: str) -> datetime | None:
    """Return a time that names its offset."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return None if found.tzinfo is None else found.astimezone(UTC)
