"""Retelling: the conversation as items, for a session that was not there.

One entry for each turn and each tool, in order, a tool where it was called; for a turn
of the caller's whose words have not come, its sound. An entry is settled when nothing
can change it any more: a turn of the AI that has been heard or cut, one of the caller
whose words have come.
"""

from typing import TYPE_CHECKING, NamedTuple

from bridge.call import session_config
from bridge.call.transcript import Turn
from bridge.realtime import openai

if TYPE_CHECKING:
    from bridge.call.machine import Call

# What a new session is told of the old one: its newest turns and tools.
ENTRIES_MAX = 100


class Entry(NamedTuple):
    """A turn or a tool; `items` is empty where a turn has neither words nor sound."""

    name: str
    at_s: float
    items: tuple[openai.CreateItem, ...]
    is_settled: bool


def entries(call: "Call") -> list[Entry]:
    """Return the newest of the conversation, oldest first."""
    unheard = call.playout.unheard(call.now)
    found = [
        Entry(
            turn.item_id,
            turn.at_s,
            _items(call, turn),
            turn.is_whole and turn.item_id not in unheard,
        )
        for turn in call.notes.transcript.placed()
    ]
    for tool in call.notes.tools:
        at = sum(entry.at_s <= tool.at_s for entry in found)
        pair = session_config.tool_pair(tool)
        found.insert(at, Entry(tool.tool_call_id, tool.at_s, pair, True))
    return [entry for entry in found if entry.items or not entry.is_settled][
        -ENTRIES_MAX:
    ]


def _items(call: "Call", turn: Turn) -> tuple[openai.CreateItem, ...]:
    if turn.text:
        return (session_config.said(turn.role, turn.text),)
    sound = call.unwritten.sound_of(turn.item_id, call.uplink)
    return (session_config.sounded(sound),) if sound else ()
