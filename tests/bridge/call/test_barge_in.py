"""What voice over the AI is worth."""

from types import SimpleNamespace

import pytest

from bridge.call.barge_in import (
    BACKCHANNEL_FRAMES,
    EVIDENCE_FRAMES,
    HOLD_S,
    BargeIn,
    Verdict,
)
from bridge.call.timers import Timer, Timers
from bridge.settings.options import CallOptions

GRACE_S, COOLDOWN_S, NEEDED = 0.5, 1.0, 6


def barge_in(timers=None, **options):
    options = CallOptions(
        barge_in_grace_ms=500,
        barge_in_cooldown_ms=1_000,
        min_consecutive_voice_frames=NEEDED,
        **{"barge_in_ignore_backchannel": False} | options,
    )
    return BargeIn(timers or Timers(), options)


def weigh(
    made, now, frames, *, own=None, is_certain=True, is_held=False, audible_since=0.0
):
    voice = SimpleNamespace(frames=frames, own_frames=frames if own is None else own)
    uplink = SimpleNamespace(voice=voice, is_certain=is_certain)
    playout = SimpleNamespace(audible_since=audible_since, is_held=is_held)
    return made.weigh(now, uplink, playout)


@pytest.mark.parametrize(
    ("frames", "is_certain", "is_held", "verdict"),
    [
        (EVIDENCE_FRAMES - 1, True, False, Verdict.NOTHING),
        (EVIDENCE_FRAMES, True, False, Verdict.EVIDENCE),
        (EVIDENCE_FRAMES, True, True, Verdict.NOTHING),
        (NEEDED, False, False, Verdict.EVIDENCE),
        (NEEDED, False, True, Verdict.NOTHING),
        (NEEDED, True, False, Verdict.CONFIRMED),
        (NEEDED, True, True, Verdict.CONFIRMED),
    ],
)
def test_voice_is_worth_what_the_table_says(frames, is_certain, is_held, verdict):
    timers = Timers()
    made = barge_in(timers)
    assert weigh(made, 5.0, frames, is_certain=is_certain, is_held=is_held) is verdict
    held_until = 5.0 + HOLD_S if verdict is Verdict.EVIDENCE else None
    assert timers.deadline == held_until


def test_nothing_interrupts_the_first_moments_of_the_ai():
    made = barge_in()
    assert weigh(made, 2.0 + GRACE_S - 0.01, NEEDED, audible_since=2.0) is (
        Verdict.NOTHING
    )
    assert weigh(made, 2.0 + GRACE_S, NEEDED, audible_since=2.0) is Verdict.CONFIRMED


def test_nothing_interrupts_soon_after_an_interruption():
    timers = Timers()
    made = barge_in(timers)
    assert weigh(made, 5.0, EVIDENCE_FRAMES) is Verdict.EVIDENCE
    assert weigh(made, 5.1, NEEDED, is_held=True) is Verdict.CONFIRMED
    assert timers.deadline is None
    assert weigh(made, 5.0 + COOLDOWN_S, NEEDED) is Verdict.NOTHING

    assert weigh(made, 5.2 + COOLDOWN_S, NEEDED) is Verdict.CONFIRMED
    assert made.too_soon(5.3 + COOLDOWN_S, 0.0) == (
        "cooldown",
        pytest.approx(100),
        COOLDOWN_S * 1e3,
    )
    assert made.too_soon(5.2 + 2 * COOLDOWN_S, 0.0) is None


def test_what_may_be_an_echo_makes_no_voice_longer():
    made = barge_in()
    assert weigh(made, 5.0, NEEDED, own=EVIDENCE_FRAMES - 1) is Verdict.NOTHING
    assert weigh(made, 5.0, NEEDED, own=NEEDED - 1) is Verdict.EVIDENCE
    assert weigh(made, 5.0, NEEDED, own=NEEDED, is_held=True) is Verdict.CONFIRMED


def test_evidence_is_forgotten():
    timers = Timers()
    made = barge_in(timers)
    weigh(made, 5.0, EVIDENCE_FRAMES)
    assert timers.due(5.0 + HOLD_S) == [Timer.HOLD]
    made.forget()
    assert timers.deadline is None


def test_a_backchannel_needs_more_voice():
    assert barge_in(barge_in_ignore_backchannel=True).frames_needed == (
        BACKCHANNEL_FRAMES
    )
