"""How long a voice has gone on, over dips, echoes and false alarms."""

from bridge.media.voice_run import VOICE_GAP_FRAMES, VoiceRun


def heard(run, kinds):
    """Clear, faint and quiet frames; capitals may be echoes."""
    for kind in kinds:
        run.note(kind in "cfCF", kind in "cC", kind.isupper())
    return run


def test_a_voice_is_counted_from_its_faint_beginning():
    run = heard(VoiceRun(), "qqffccc")
    assert (run.frames, run.own_frames, run.age_frames) == (5, 5, 5)


def test_a_dip_is_subtracted_and_a_gap_ends_the_voice():
    run = heard(VoiceRun(), "cccqqcc")
    assert (run.frames, run.age_frames) == (4, 7)

    heard(run, "q" * VOICE_GAP_FRAMES)
    assert run.frames == 2.5
    heard(run, "q")
    assert (run.frames, run.own_frames, run.age_frames) == (0, 0, 0)


def test_what_may_be_an_echo_makes_the_callers_own_voice_no_longer():
    run = heard(VoiceRun(), "cccc" + "C" * 20)
    assert (run.frames, run.own_frames, run.age_frames) == (24, 4, 24)

    assert heard(run, "qq").own_frames == 3


def test_after_a_false_alarm_faint_frames_before_the_clear_voice_are_not_counted():
    run = heard(VoiceRun(), "f" * 40 + "ccfc")
    assert run.own_frames == 44
    run.restart()
    assert (run.frames, run.own_frames, run.age_frames) == (4, 4, 4)

    heard(run, "cc")
    assert (run.frames, run.own_frames, run.age_frames) == (6, 6, 6)


def test_a_false_alarm_loses_no_frame_of_a_clear_voice_that_goes_on():
    run = heard(VoiceRun(), "c" * 18)
    run.restart()
    assert (run.frames, run.own_frames, run.age_frames) == (18, 18, 18)


def test_a_false_alarm_without_a_clear_voice_leaves_nothing():
    run = heard(VoiceRun(), "ccc" + "f" * 15)
    run.restart()
    assert (run.frames, run.own_frames, run.age_frames) == (0, 0, 0)
