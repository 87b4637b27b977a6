"""History seed: the conversation so far, as items for a new session.

There is one entry for each turn and each tool, in order; a tool stands where it was
called. A caller's turn that is not transcribed yet is given as audio. An entry is
settled when nothing can change it any more: a turn of the AI that has been heard or
cut, or a turn of the caller that has been transcribed.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from bridge.call import session_config
from bridge.call.plan import ToolRecord
from bridge.call.transcript import Turn
from bridge.realtime import openai

# How many of the newest turns and tools a new session is told.
ENTRIES_MAX = 100


class Entry(NamedTuple):
    """A turn or a tool; `items` is empty for a turn with neither words nor audio."""

    name: str
    at_s: float
    items: tuple[openai.CreateItem, ...]
    is_settled: bool


# Returns the entries as they stand at the time of the call.
HistorySeed = Callable[[], list[Entry]]


def entries(
    turns: Iterable[Turn],
    tools: Iterable[ToolRecord],
    unheard: set[str],
    sound_of: Callable[[str], bytes],
) -> list[Entry]:
    """Return the newest entries of the conversation, oldest first.

    `unheard` holds the items whose audio the caller has yet to hear. `sound_of` returns
    the audio of an item without words.
    """
    found = [
        Entry(
            turn.item_id,
            turn.at_s,
            _items(turn, sound_of),
            turn.is_whole and turn.item_id not in unheard,
        )
        for turn in turns
    ]
    for tool in tools:
        at = sum(entry.at_s <= tool.at_s for entry in found)
        pair = session_config.tool_pair(tool)
        found.insert(at, Entry(tool.tool_call_id, tool.at_s, pair, True))
    return [entry for entry in found if entry.items or not entry.is_settled][
        -ENTRIES_MAX:
    ]


def _items(
    turn: Turn, sound_of: Callable[[str], bytes]
) -> tuple[openai.CreateItem, ...]:
    if turn.text:
        return (session_config.said(turn.role, turn.text),)
    sound = sound_of(turn.item_id)
    return (session_config.sounded(sound),) if sound else ()
