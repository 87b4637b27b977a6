"""How far a turn has come, by what the model has said in it and what tools answered.

`Progress` is pure: stored items and results in, what is to be done next out. So a turn
that another process goes on with is read as one that never stopped. A response of the
model begins where something other than a call follows a call.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from bridge.messaging.writing_tools import REPLIES, Reply, reply_of
from crm.message_turns import ASKED, ToolRun, Turn

Item = Mapping[str, Any]


class ToolCall(NamedTuple):
    """A call of a tool; `key` names it, whoever runs it and however often."""

    key: str
    call_id: str
    name: str
    arguments: str


class Progress:
    """A turn's items and results so far."""

    def __init__(self, turn: Turn, runs: Sequence[ToolRun]) -> None:
        self._key = turn.key
        self.items: list[Item] = []
        self.usage = dict(turn.usage)
        self._outputs: dict[str, str] = {
            run.key: run.output for run in runs if run.output is not None
        }
        self._failed = {run.key for run in runs if run.ok is False}
        self.calls: dict[str, ToolCall] = {}
        self.add(turn.items)

    def add(
        self, items: Iterable[Item], usage: Mapping[str, float] | None = None
    ) -> None:
        """Add what the model has said, and what that used."""
        for item in items:
            self.items.append(item)
            if item.get("type") == "function_call":
                call_id = item["call_id"]
                self.calls[call_id] = ToolCall(
                    f"{self._key}:{len(self.calls)}",
                    call_id,
                    item["name"],
                    item["arguments"],
                )
        for name, count in (usage or {}).items():
            self.usage[name] = self.usage.get(name, 0) + count

    def note(self, call: ToolCall, output: str, *, ok: bool = True) -> None:
        """Add a tool's result."""
        self._outputs[call.key] = output
        if not ok:
            self._failed.add(call.key)

    def before(self, call: ToolCall) -> list[ToolCall]:
        """Return the calls of a call's response that are run before it: what writes to
        the writer is run last, all else in the order in which it was asked for."""
        for made in chain.from_iterable(_responses(self.items)):
            calls = [self.calls[one["call_id"]] for one in made if "call_id" in one]
            if call in calls:
                till = len(calls) if call.name in REPLIES else calls.index(call)
                return [one for one in calls[:till] if one.name not in REPLIES]
        raise AssertionError(f"{call.call_id} is no call of this turn")

    def has_failed(self, call: ToolCall) -> bool:
        """Tell whether a tool has ended, and did not do what it was asked."""
        return call.key in self._failed

    @property
    def outputs(self) -> dict[str, str]:
        """The results of tools, by `call_id`."""
        return {
            call_id: self._outputs[call.key]
            for call_id, call in self.calls.items()
            if call.key in self._outputs
        }

    @property
    def open_calls(self) -> list[ToolCall]:
        """The calls without a result."""
        return [one for one in self.calls.values() if one.key not in self._outputs]

    @property
    def answers(self) -> int:
        """How often the model has answered in this turn."""
        return sum(map(len, _responses(self.items)))

    def replies(self) -> list[Reply]:
        """Return what the writer is to be sent; [] where the model is to go on."""
        made = _responses(self.items)[-1]
        if not made or self.open_calls:
            return []
        calls = [one["call_id"] for one in made[-1] if "call_id" in one]
        sent = [self._reply(self.calls[one]) for one in calls]
        replies = [one for one in sent if one is not None]
        if calls and not replies:
            return []
        said = "\n\n".join(filter(None, map(_words, made[-1])))
        if said and said not in {one.text for one in replies}:
            replies.insert(0, Reply(said))
        return replies

    def _reply(self, call: ToolCall) -> Reply | None:
        return reply_of(call.name, self._outputs[call.key])


def _responses(items: Sequence[Item]) -> list[list[list[Item]]]:
    """Return what the model has said, response by response, for each time that the turn
    took up messages; the last is since then."""
    parts: list[list[list[Item]]] = [[]]
    is_after_call = True
    for item in items:
        if ASKED in item:
            parts.append([])
            is_after_call = True
            continue
        is_call = item.get("type") == "function_call"
        if is_after_call and not (is_call and parts[-1]):
            parts[-1].append([])
        parts[-1][-1].append(item)
        is_after_call = is_call
    return parts


def _words(item: Item) -> str:
    """Return the words of a message of the model, "" of anything else."""
    if item.get("type") != "message":
        return ""
    parts = item.get("content") or ()
    texts = (part.get("text") or part.get("refusal") or "" for part in parts)
    return "".join(texts).strip()
