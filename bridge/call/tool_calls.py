"""Tool calls: which tools run, and whether the model has answered their results.

Theory of operation. Tools run beside the conversation. The model is told each result as
it arrives, and is asked for one answer to all of them once no tool runs. While a tool
is slow, the model says a filler: one per row of tools, until the model has answered.

    QUIET --(called)--> RUNNING --(one has answered)--> PARTLY
      ^                    |  (all have answered)         | ^
      |                    +-----------> OWED <-----------+ |(another is called)
      +----(the model answers)------------+ +---------------+

A tool call over a limit is refused, and the refusal is its result. `ToolCalls` sends
nothing itself, and does not know what a tool does.
"""

from enum import Enum

from bridge.call.plan import Counters
from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.call.transitions import follow
from bridge.settings.options import CallOptions

# The longest arguments of a tool call, and the most tool calls of one call. Only a
# model that malfunctions exceeds them.
ARGUMENT_CHARS_MAX = 8_192
TOOLS_MAX = 200
# A pause this long makes a caller ask whether anyone is there.
FILLER_AFTER_S = 0.8
# How often a pause for the filler is looked for while somebody speaks.
FILLER_LOOK_S = 0.2
# An answer that the server begins sooner after a result may not take it into account.
TOLD_S = 0.5


class State(Enum):
    """Where the tools of a call stand."""

    QUIET = "no tool runs, and the model has answered all results"
    RUNNING = "tools run, and no result awaits an answer"
    PARTLY = "tools run, and results await an answer"
    OWED = "no tool runs, and results await an answer"


_NEXT: dict[State, frozenset[State]] = {
    State.QUIET: frozenset((State.RUNNING, State.OWED)),
    State.RUNNING: frozenset((State.RUNNING, State.PARTLY, State.OWED)),
    State.PARTLY: frozenset((State.PARTLY, State.OWED)),
    State.OWED: frozenset((State.QUIET, State.PARTLY, State.OWED)),
}


class ToolCalls:
    """The owner of one call's tool calls, and of the timer FILLER."""

    def __init__(
        self, timers: Timers, counters: Counters, options: CallOptions
    ) -> None:
        self.state = State.QUIET
        # Name and arguments of each tool that runs, by its call's id.
        self.open: dict[str, tuple[str, str]] = {}
        # Names of tools that failed since the model last answered.
        self.failed: list[str] = []
        self._timers = OwnTimers(timers, Timer.FILLER)
        self._counters = counters
        self._has_filler = options.tool_filler
        self._is_filler_said = False
        self._told_at = 0.0

    @property
    def is_answer_due(self) -> bool:
        """Tell whether there are results that the model has not answered."""
        return self.state in (State.PARTLY, State.OWED)

    def begin(
        self,
        tool_call_id: str,
        name: str,
        arguments: str,
        now: float,
        *,
        is_slow: bool,
    ) -> bool:
        """Note that the model calls a tool; False if that is over a limit.

        The caller of this method then tells the model, and calls `refuse`. While a slow
        tool runs a filler may be said.
        """
        self._counters.tool_calls += 1
        is_long = len(arguments) > ARGUMENT_CHARS_MAX
        if is_long or self._counters.tool_calls > TOOLS_MAX:
            self._counters.refused_tools += 1
            return False
        self._to(State.PARTLY if self.is_answer_due else State.RUNNING)
        self.open[tool_call_id] = name, arguments
        if is_slow and self._has_filler and not self._is_filler_said:
            self._timers.set(Timer.FILLER, now + FILLER_AFTER_S)
        return True

    def refuse(self, now: float) -> None:
        """Note that the model was told of a refusal."""
        self._to(State.PARTLY if self.open else State.OWED)
        self._told_at = now

    def end(self, tool_call_id: str, now: float, *, ok: bool = True) -> None:
        """Note that the model was told the result of a running tool."""
        assert tool_call_id in self.open, f"{tool_call_id} does not run"
        is_more_open = len(self.open) > 1
        self._to(State.PARTLY if is_more_open else State.OWED)
        name, _ = self.open.pop(tool_call_id)
        if not ok:
            self.failed.append(name)
        self._told_at = now

    def note_answered(self) -> None:
        """Note an answer that takes every result so far into account.

        It settles all results if no tool runs. While tools run, the answer to all of
        them is still to come.
        """
        if self.state is State.OWED:
            self._to(State.QUIET)
            self._is_filler_said = False
            self.failed.clear()

    def note_begun(self, now: float) -> None:
        """Note that the server begins an answer; it may not know the last result."""
        if now >= self._told_at + TOLD_S:
            self.note_answered()

    def take_filler(self, now: float, *, is_free: bool) -> bool:
        """Tell whether to say the filler now, when FILLER is due.

        While somebody speaks (`is_free` is false) the timer is set anew.
        """
        if not self.open or self._is_filler_said:
            return False
        if not is_free:
            self._timers.set(Timer.FILLER, now + FILLER_LOOK_S)
            return False
        self._is_filler_said = True
        return True

    def _to(self, state: State) -> None:
        self.state = follow(_NEXT, self.state, state)
