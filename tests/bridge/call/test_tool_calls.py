"""Which tools run, and whether the model has answered them."""

import pytest

from bridge.call import tool_calls
from bridge.call.plan import Counters
from bridge.call.timers import Timers
from bridge.call.tool_calls import (
    ARGUMENT_CHARS_MAX,
    FILLER_AFTER_S,
    FILLER_LOOK_S,
    TOLD_S,
    TOOLS_MAX,
    State,
    ToolCalls,
)
from bridge.settings.options import CallOptions
from tests.bridge import tables


def tools_in(state, timers=None, *, has_filler=True):
    """Tools of which t1 and t2 run, as far as any do."""
    options = CallOptions(tool_filler=has_filler)
    tools = ToolCalls(timers or Timers(), Counters(), options)
    if state is not State.QUIET:
        assert tools.begin("t1", "find", "{}", 1.0, is_slow=True)
    if state is State.PARTLY:
        assert tools.begin("t2", "find", "{}", 1.0, is_slow=True)
        assert tools.begin("t3", "find", "{}", 1.0, is_slow=True)
        tools.end("t3", 1.2)
    if state is State.OWED:
        tools.end("t1", 1.2)
    assert tools.state is state
    return tools


def test_every_state_is_in_the_table():
    assert tool_calls._NEXT.keys() == set(State)


@pytest.mark.parametrize("old", State)
@pytest.mark.parametrize("new", State)
def test_an_illegal_step_raises_and_changes_nothing(old, new):
    tools = tools_in(old)
    if new in tool_calls._NEXT[old]:
        tools._to(new)
        assert tools.state is new
    else:
        tables.refuses(tools, lambda: tools._to(new))


@pytest.mark.parametrize("state", State)
def test_a_result_of_a_tool_that_does_not_run_changes_nothing(state):
    tools = tools_in(state)
    before = tables.snapshot(tools)
    with pytest.raises(AssertionError, match="does not run"):
        tools.end("t9", 2.0)
    assert tables.snapshot(tools) == before


@pytest.mark.parametrize(
    ("old", "begun", "refused", "ended", "answered"),
    [
        (State.QUIET, State.RUNNING, State.OWED, None, State.QUIET),
        (State.RUNNING, State.RUNNING, State.PARTLY, State.OWED, State.RUNNING),
        (State.PARTLY, State.PARTLY, State.PARTLY, State.PARTLY, State.PARTLY),
        (State.OWED, State.PARTLY, State.OWED, None, State.QUIET),
    ],
)
def test_each_fact_leads_where_the_table_says(old, begun, refused, ended, answered):
    def after(step):
        tools = tools_in(old)
        step(tools)
        return tools.state

    assert (
        after(lambda tools: tools.begin("t9", "find", "", 2.0, is_slow=True)) is begun
    )
    assert after(lambda tools: tools.refuse(2.0)) is refused
    assert after(ToolCalls.note_answered) is answered
    if ended is not None:
        assert after(lambda tools: tools.end("t1", 2.0)) is ended


def test_calls_over_a_limit_are_counted_and_do_not_run():
    tools = tools_in(State.QUIET)
    long = "x" * (ARGUMENT_CHARS_MAX + 1)
    assert not tools.begin("long", "find", long, 1.0, is_slow=True)
    for number in range(TOOLS_MAX - 1):
        assert tools.begin(f"t{number}", "find", long[:-1], 1.0, is_slow=True)
    assert not tools.begin("many", "find", "{}", 1.0, is_slow=True)

    assert len(tools.open) == TOOLS_MAX - 1
    counters = tools._counters
    assert (counters.tool_calls, counters.refused_tools) == (TOOLS_MAX + 1, 2)


@pytest.mark.parametrize(
    ("after_s", "is_due"), [(TOLD_S - 0.01, True), (TOLD_S, False)]
)
@pytest.mark.parametrize("is_refused", [True, False])
def test_an_answer_that_begins_too_soon_does_not_know_the_result(
    is_refused, after_s, is_due
):
    tools = tools_in(State.QUIET if is_refused else State.RUNNING)
    if is_refused:
        tools.refuse(2.0)
    else:
        tools.end("t1", 2.0)
    tools.note_begun(2.0 + after_s)

    assert tools.is_answer_due == is_due


def test_a_filler_is_said_once_in_a_pause_until_the_model_has_answered():
    timers = Timers()
    tools = tools_in(State.RUNNING, timers)
    assert timers.deadline == 1.0 + FILLER_AFTER_S
    assert not tools.take_filler(1.8, is_free=False)
    assert timers.deadline == 1.8 + FILLER_LOOK_S
    assert tools.take_filler(2.0, is_free=True)
    assert not tools.take_filler(2.0, is_free=True)
    timers.clear()
    assert tools.begin("t2", "find", "{}", 3.0, is_slow=True)
    assert timers.deadline is None

    tools.end("t1", 3.0)
    tools.note_answered()  # t2 still runs
    assert tools.begin("t3", "find", "{}", 3.0, is_slow=True)
    assert timers.deadline is None
    tools.end("t2", 3.0)
    tools.end("t3", 3.0)
    tools.note_answered()
    assert tools.begin("t4", "find", "{}", 4.0, is_slow=True)
    assert timers.deadline == 4.0 + FILLER_AFTER_S


@pytest.mark.parametrize(("is_slow", "has_filler"), [(False, True), (True, False)])
def test_no_filler_over_a_quick_tool_or_where_none_is_wanted(is_slow, has_filler):
    timers = Timers()
    tools = tools_in(State.QUIET, timers, has_filler=has_filler)
    assert tools.begin("t1", "find", "{}", 1.0, is_slow=is_slow)
    assert timers.deadline is None


def test_no_filler_where_no_tool_runs_any_more():
    assert not tools_in(State.OWED).take_filler(2.0, is_free=True)
