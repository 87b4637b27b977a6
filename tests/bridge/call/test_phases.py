"""A call goes from one phase to the next, and never back."""

import pytest

from bridge.call import state as module
from bridge.call.plan import Phase
from tests.bridge import builders


def call_in(phase):
    call = builders.Call(builders.plan(), 0.0)
    if phase in (Phase.TALKING, Phase.ENDING):
        call.enter(Phase.TALKING)
    if phase in (Phase.ENDING, Phase.ENDED):
        call.enter(phase)
    assert call.phase is phase
    return call


def test_every_phase_is_in_the_table():
    assert module._NEXT.keys() == set(Phase)


@pytest.mark.parametrize("old", Phase)
@pytest.mark.parametrize("new", Phase)
def test_an_illegal_phase_raises_and_changes_nothing(old, new):
    call = call_in(old)
    if new in module._NEXT[old]:
        call.enter(new)
        assert call.phase is new
    else:
        with pytest.raises(AssertionError, match="does not lead to"):
            call.enter(new)
        assert call.phase is old


@pytest.mark.parametrize("phase", Phase)
def test_a_bug_of_ours_ends_a_call_from_any_phase(phase):
    call = call_in(phase)
    call.break_off()
    assert call.phase is Phase.ENDED
