from bridge.sandbox.clips import clip, clip_names
from bridge.sandbox.mulaw import level_dbfs


def test_every_recording_is_there_and_heard():
    names = clip_names()
    assert len(names) == 28
    for name in names:
        recorded = clip(name)
        assert recorded.duration_ms > 1500
        assert -45 < level_dbfs(recorded.audio) < -15


def test_the_words_of_both_sides_are_known():
    for name in clip_names():
        is_conversation = name.startswith(("ai-", "caller-"))
        assert bool(clip(name).transcript) == is_conversation
