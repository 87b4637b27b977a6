"""The steps of a turn while the model is asked: each is stored before the next.

Tools run one after the other, in the order in which a response asks for them. What
writes to the writer (`writing_tools.REPLIES`) runs last, and not at all where another
tool of its response has failed: the model did not know of that when it wrote.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from bridge.agent.tools import TOO_MANY_TEXT, ToolRunner
from bridge.call.plan import RunTool
from bridge.messaging.progress import Progress, ToolCall
from bridge.messaging.writing_tools import REPLIES, without_nulls
from crm import message_turns
from crm.database import Database
from crm.message_turns import ToolRun
from crm.message_work import Held

# Tools in one turn; a further one is refused, and the model is told so.
TOOLS_MAX = 40
_UNKNOWN_TEXT = "failed, which this did not know: nothing was sent, answer anew"


class TurnSteps:
    """The steps of one turn; `run` runs a tool once, however often it is asked to."""

    def __init__(
        self,
        database: Database,
        held: Held,
        turn_id: UUID,
        progress: Progress,
        runner: ToolRunner,
    ) -> None:
        self._database = database
        self._held = held
        self._turn_id = turn_id
        self._progress = progress
        self._runner = runner
        self._runs: dict[str, asyncio.Task[str]] = {}

    async def said(
        self, items: Sequence[Mapping[str, Any]], usage: Mapping[str, float]
    ) -> None:
        """Store what the model has said."""
        await message_turns.add_items(
            self._database, self._held, self._turn_id, items, usage
        )
        self._progress.add(items, usage)

    async def run(self, call_id: str) -> str:
        """Run a tool under its key, unless its result is known; return the result."""
        if call_id not in self._runs:
            call = self._progress.calls[call_id]
            self._runs[call_id] = asyncio.create_task(self._run(call))
        return await self._runs[call_id]

    async def _run(self, call: ToolCall) -> str:
        before = self._progress.before(call)
        for one in before:
            await self.run(one.call_id)
        why = self._refusal(call, before)
        run = ToolRun(call.key, call.name, call.arguments)
        known = await message_turns.begin_tool(
            self._database, self._held, self._turn_id, run
        )
        if known.output is None:
            asked = RunTool(call.call_id, call.name, without_nulls(call.arguments))
            runner = self._runner
            found = await (runner.refuse(asked, why) if why else runner.run(asked))
            known = run._replace(
                output=found.output, ok=found.ok, duration_ms=found.duration_ms
            )
            await message_turns.end_tool(self._database, self._held, known)
        output = known.output or ""
        self._progress.note(call, output, ok=known.ok is not False)
        return output

    def _refusal(self, call: ToolCall, before: Sequence[ToolCall]) -> str:
        """Return why a tool is not run, "" where it is."""
        progress = self._progress
        if list(progress.calls).index(call.call_id) >= TOOLS_MAX:
            return TOO_MANY_TEXT
        if call.name not in REPLIES:
            return ""
        failed = dict.fromkeys(one.name for one in before if progress.has_failed(one))
        return f"{', '.join(failed)} {_UNKNOWN_TEXT}" if failed else ""
