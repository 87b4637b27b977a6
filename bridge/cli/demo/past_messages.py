"""What was written to the businesses of `kolbridge demo --console` before the demo.

The rows are made up. Nothing of them waits in the messenger's queue, so nothing is
answered and nothing is sent.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

from bridge.cli.demo import past
from crm import leads
from crm.businesses import Business
from crm.database import Database

# Between a message and the next, of one side and of the other.
PAUSE_S = 40.0


class In(NamedTuple):
    """A message of the writer; `choice` is the id of what they took."""

    body: str
    choice: str = ""
    media: tuple[dict[str, str], ...] = ()


class Out(NamedTuple):
    """A message to the writer, with the tools that ran for it."""

    body: str
    author: str = "assistant"
    content: dict[str, Any] | None = None
    tools: tuple[tuple[str, str, str], ...] = ()
    status: str = "read"
    error: tuple[int, str] | None = None
    purpose: str = "reply"
    made_by: str = ""


class Chat(NamedTuple):
    """A conversation: who wrote, when the last message came, and what was said.

    `clock` is of yesterday; `minutes_ago` goes before it. `held_why`: people hold it.
    """

    writer: str
    name: str
    lines: tuple[In | Out, ...]
    clock: str = ""
    minutes_ago: int = 0
    held_why: str = ""


def _list(*titles: str, button: str) -> dict[str, Any]:
    choices = [
        {"id": f"time:{at}", "title": title, "description": ""}
        for at, title in enumerate(titles)
    ]
    return {"kind": "list", "button": button, "choices": choices}


def _buttons(*titles: str) -> dict[str, Any]:
    choices = [
        {"id": f"answer:{title}", "title": title, "description": ""} for title in titles
    ]
    return {"kind": "buttons", "choices": choices}


_VOICE_NOTE = {"content_type": "audio/ogg; codecs=opus"}
_FIND = "calendar_find_slots"
CHATS = {
    "en": (
        Chat(
            "+15550100111",
            "Alice Morgan",
            (
                In("Hi! Can I move my colour to the afternoon?"),
                Out(
                    "Of course, Alice. These times are free on Thursday:",
                    content=_list("14:00", "15:30", "16:00", button="Times"),
                    tools=(
                        (
                            _FIND,
                            '{"service":"Colour","part_of_day":"afternoon"}',
                            '{"slots":["14:00","15:30","16:00"]}',
                        ),
                    ),
                ),
                In("15:30", choice="time:1"),
                Out(
                    "Shall I move it to Thursday at half past three?",
                    content=_buttons("Yes", "No"),
                ),
                In("Yes", choice="answer:Yes"),
                Out(
                    "Done: Thursday at 15:30. See you then!",
                    tools=(
                        (
                            "calendar_reschedule_appointment",
                            '{"to":"15:30"}',
                            '{"moved":true}',
                        ),
                    ),
                ),
            ),
            clock="16:52",
        ),
        Chat(
            "+15550100116",
            "Dev Patel",
            (
                In("I still wait for the owner's call."),
                Out("I am sorry, Dev. I have told her. Somebody will answer you here."),
                In("It is about hair for a wedding of nine people"),
            ),
            minutes_ago=25,
            held_why="Dev wants to speak with the owner about a wedding.",
        ),
        Chat(
            "+15550100119",
            "Grace Kim",
            (
                In("", media=(_VOICE_NOTE,)),
                Out("I cannot listen to voice notes here. Please write it, Grace."),
                In("Do you have parking?"),
                Out("Yes, two places behind the house.", "person", made_by="Maya"),
                Out(
                    "Your haircut is tomorrow at 9:30.",
                    "service",
                    status="failed",
                    error=(63016, "outside the allowed window"),
                    purpose="reminder",
                ),
            ),
            clock="12:15",
        ),
    ),
    "he": (
        Chat(
            "+15550100211",
            "נועה לוי",
            (
                In("היי, אפשר להזיז את ה-color ל-14:30? (במקום 13:00)"),
                Out(
                    "בשמחה, נועה. מחר פנוי:",
                    content=_list("14:30", "15:00", button="שעות"),
                    tools=(
                        (
                            _FIND,
                            '{"service":"צבע"}',
                            '{"slots":["14:30","15:00"]}',
                        ),
                    ),
                ),
                In("14:30", choice="time:0"),
                Out("העברתי את התור ל-14:30. המספר שלנו: +1 555-010-0200, תודה!"),
            ),
            clock="15:20",
        ),
        Chat(
            "+15550100214",
            "Omar | עומר",
            (
                In("Hi, do you speak English? אני רוצה לדבר עם בן אדם"),
                Out("Yes. I leave this chat to a person, who will answer you here."),
            ),
            minutes_ago=40,
            held_why="Wants to talk to a person.",
        ),
    ),
}


async def write(db: Database, business: Business) -> None:
    """Write what was written to a business of the demo before it."""
    zone = ZoneInfo(business.time_zone)
    now = datetime.now(zone)
    for chat in CHATS[business.language]:
        lead = await leads.upsert(db, business.id, chat.writer, {"name": chat.name})
        at = now - timedelta(minutes=chat.minutes_ago)
        if chat.clock:
            at = past.at_clock(now.date() - timedelta(days=1), chat.clock, zone)
        async with db.tenant(business.id) as connection:
            await _write(connection, business, chat, lead.id, at)


async def _write(
    connection: Any, business: Business, chat: Chat, lead_id: Any, last_at: datetime
) -> None:
    conversation_id = uuid4()
    times = [
        last_at - timedelta(seconds=PAUSE_S * back)
        for back in range(len(chat.lines) - 1, -1, -1)
    ]
    inbound = [at for at, line in zip(times, chat.lines, strict=True) if _is_in(line)]
    await connection.execute(
        "insert into conversations (business_id, id, channel, writer, own_number, "
        "profile_name, lead_id, created_at, last_inbound_at, held_since, held_why) "
        "values ($1, $2, 'whatsapp', $3, $4, $5, $6, $7, $8, $9, $10)",
        *(business.id, conversation_id, chat.writer, business.numbers[0], chat.name),
        *(lead_id, times[0], inbound[-1]),
        *(last_at if chat.held_why else None, chat.held_why),
    )
    await connection.execute(
        "update leads set last_message_at = $3 where business_id = $1 and id = $2",
        *(business.id, lead_id, last_at),
    )
    own = (connection, business, conversation_id)
    asked: list[Any] = []
    for at, line in zip(times, chat.lines, strict=True):
        if isinstance(line, In):
            asked.append(await _write_in(*own, line, at))
        else:
            await _write_out(*own, line, at, asked)
            asked = []


def _is_in(line: In | Out) -> bool:
    return isinstance(line, In)


async def _write_in(
    connection: Any, business: Business, conversation_id: Any, line: In, at: datetime
) -> Any:
    return await connection.fetchval(
        "insert into messages (business_id, conversation_id, position, direction, "
        "author, sid, body, media, choice, status, created_at) "
        "values ($1, $2, $3, 'in', 'writer', $4, $5, $6, $7, 'received', $8) "
        "returning id",
        *(business.id, conversation_id, _position(at), f"SM{uuid4().hex}", line.body),
        *([dict(one) for one in line.media], line.choice, at),
    )


async def _write_out(
    connection: Any,
    business: Business,
    conversation_id: Any,
    line: Out,
    at: datetime,
    asked: Sequence[Any],
) -> None:
    turn_id = None
    if line.author == "assistant":
        turn_id = uuid4()
        await connection.execute(
            "insert into message_turns (business_id, id, conversation_id, state, "
            "begun_at, ended_at, model, cost) "
            "values ($1, $2, $3, 'answered', $4, $5, $6, 0.0008)",
            *(business.id, turn_id, conversation_id, at - timedelta(seconds=2), at),
            past.MODEL,
        )
        await connection.execute(
            "update messages set turn_id = $2 where business_id = $1 and id = any ($3)",
            *(business.id, turn_id, list(asked)),
        )
    for name, arguments, output in line.tools:
        await connection.execute(
            "insert into message_tools (business_id, key, turn_id, name, arguments, "
            "output, ok, duration_ms, at) "
            "values ($1, $2, $3, $4, $5, $6, true, 6, $7)",
            *(business.id, uuid4().hex, turn_id, name, arguments, output),
            at - timedelta(seconds=1),
        )
    code, text = line.error or (None, "")
    await connection.execute(
        "insert into messages (business_id, conversation_id, position, direction, "
        "author, made_by, purpose, sid, body, content, status, error_code, "
        "error_text, turn_id, created_at, sent_at, status_at) values ($1, $2, $3, "
        "'out', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $14)",
        *(business.id, conversation_id, _position(at), line.author, line.made_by),
        *(line.purpose, f"SM{uuid4().hex}", line.body, line.content, line.status),
        *(code, text, turn_id, at),
    )


def _position(at: datetime) -> int:
    return round(at.timestamp() * 1e6)
