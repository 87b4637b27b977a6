"""The weights of both scores, read from the package at import; a handle for tests."""

from libc.string cimport memcpy, memset

from dsp.weights import read

# Version, dimensions, and the hash of what made the weights.
ABOUT, _BODY = read("score.weights", sizeof(ScoreWeights))
memcpy(&SCORE_WEIGHTS, <const char *> _BODY, sizeof(ScoreWeights))
DOUBLE_TALK_ABOUT, _BODY = read("double_talk.weights", sizeof(ScoreWeights))
memcpy(&DOUBLE_TALK_WEIGHTS, <const char *> _BODY, sizeof(ScoreWeights))


def scores(features):
    """Return the outputs in use, speech and double talk, for a call's frames."""
    cdef Score speech, double_talk
    cdef float x[FEATURES]
    cdef int i
    memset(&speech, 0, sizeof(Score))
    memset(&double_talk, 0, sizeof(Score))
    result = []
    for frame in features:
        for i in range(FEATURES):
            x[i] = frame[i]
        score_update(&SCORE_WEIGHTS, &speech, x)
        score_update(&DOUBLE_TALK_WEIGHTS, &double_talk, x)
        result.append(
            (speech.logits[SPEECH_OUTPUT], double_talk.logits[DOUBLE_TALK_OUTPUT])
        )
    return result
