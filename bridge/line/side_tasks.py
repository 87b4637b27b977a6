"""SideTasks: what runs beside one call, and answers it later or stands in its record.

A tool answers by its deadline, and an operator's words come by theirs.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bridge.agent.tools import ToolRunner
from bridge.call.plan import CallPlan, OperatorWords, RunTool, ToolResult, Transcribe
from bridge.line.transcriber import Transcriber
from bridge.telemetry.log import CallLogger

# One response asks for one or two tools; only a misbehaving model asks for more.
TOOLS_IN_FLIGHT_MAX = 8


class SideTasks:
    """The owner of one call's tasks; without a transcriber nobody's words are known."""

    def __init__(
        self,
        tools: ToolRunner,
        transcriber: Transcriber | None,
        plan: CallPlan,
        log: CallLogger,
    ) -> None:
        self._tools = tools
        self._transcriber = transcriber
        self._plan = plan
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._running_tools: set[asyncio.Task[None]] = set()
        self._is_left = False

    @property
    def unfinished(self) -> frozenset[asyncio.Task[None]]:
        """The tasks that still run."""
        return frozenset(task for task in self._tasks if not task.done())

    def run(self, running: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something to its end, and keep its task until then."""
        task = asyncio.get_running_loop().create_task(running)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def run_tool(self, asked: RunTool, take: Callable[[ToolResult], None]) -> None:
        """Run a tool; `take` gets its result. A tool over the limit is refused."""
        is_too_many = len(self._running_tools) >= TOOLS_IN_FLIGHT_MAX
        begin = self._tools.refuse if is_too_many else self._tools.run
        task = self.run(_answer(begin(asked), take))
        self._running_tools.add(task)
        task.add_done_callback(self._running_tools.discard)

    def transcribe(
        self, portion: Transcribe, take: Callable[[OperatorWords], None]
    ) -> None:
        """Have a portion of an operator's voice transcribed; `take` gets its words."""
        if not self._is_left:
            self.run(_answer(self._words_of(portion), take))

    def cancel(self) -> None:
        """Stop everything, and transcribe no more: another process has the call."""
        self._is_left = True
        for task in self._tasks:
            task.cancel()

    async def _words_of(self, portion: Transcribe) -> OperatorWords:
        if self._transcriber is None:
            return OperatorWords(item_id=portion.item_id, failed=True)
        return await self._transcriber.words(portion, self._plan, self._log)


async def _answer(
    running: Coroutine[Any, Any, Any], take: Callable[[Any], None]
) -> None:
    take(await running)
