"""The thread of a conversation as its pages show it: messages and tools in order."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from crm import conversation_pages
from crm.conversation_pages import ToolRow, TurnRow
from crm.database import Database
from crm.messages import Message

MESSAGES_SHOWN = 100


class Choice(NamedTuple):
    """A row of a list or a button that was offered, and whether it was taken."""

    id: str
    title: str
    description: str
    is_taken: bool


class Entry(NamedTuple):
    """A line of the thread: a message, or a tool.

    `cost` stands at the last message of a turn; `choices` are what a message offers.
    """

    at: datetime
    message: Message | None = None
    tool: ToolRow | None = None
    choices: tuple[Choice, ...] = ()
    cost: float | None = None


class Thread(NamedTuple):
    """The newest part of a conversation, or what stands before a position.

    `earlier` is the position before which there is more. `is_running`: the assistant
    answers now. `failed` turns ended without an answer.
    """

    entries: tuple[Entry, ...]
    earlier: int | None
    is_running: bool
    failed: int

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What the last message offers, if something can still be chosen."""
        last = next((one for one in reversed(self.entries) if one.message), None)
        return last.choices if last is not None else ()


async def read(
    db: Database, business_id: UUID, conversation_id: UUID, before: int | None = None
) -> Thread:
    """Return the thread of a conversation."""
    found = await conversation_pages.messages_of(
        db, business_id, conversation_id, MESSAGES_SHOWN + 1, before
    )
    shown = found[-MESSAGES_SHOWN:]
    turns, tools = await conversation_pages.turns_of(
        db, business_id, conversation_id, shown
    )
    return Thread(
        entries=tuple(_entries(shown, turns, tools)),
        earlier=shown[0].position if len(found) > len(shown) else None,
        is_running=any(turn.state == "running" for turn in turns),
        failed=sum(turn.state == "failed" for turn in turns),
    )


def offered(message: Message) -> list[dict[str, str]]:
    """Return the choices that a message offers, as they are stored."""
    found: list[dict[str, str]] = (message.content or {}).get("choices", [])
    return found


def _entries(
    shown: Sequence[Message], turns: Sequence[TurnRow], tools: Sequence[ToolRow]
) -> list[Entry]:
    costs = {turn.id: turn.cost for turn in turns}
    # The last message of each turn has its cost.
    last = {one.turn_id: one.id for one in shown if one.direction == "out"}
    entries = []
    for at, one in enumerate(shown):
        is_last = one.turn_id is not None and last.get(one.turn_id) == one.id
        entries.append(
            Entry(
                one.created_at,
                one,
                choices=_choices(one, shown[at + 1 :]),
                cost=costs.get(one.turn_id) if is_last and one.turn_id else None,
            )
        )
    entries += [Entry(tool.at, tool=tool) for tool in tools]
    return sorted(entries, key=lambda entry: entry.at)


def _choices(message: Message, later: Sequence[Message]) -> tuple[Choice, ...]:
    taken = {one.choice for one in later if one.choice}
    return tuple(
        Choice(
            one.get("id", ""),
            one.get("title", ""),
            one.get("description", ""),
            one.get("id", "") in taken,
        )
        for one in offered(message)
    )
