# Who is heard over the AI and does not mean it: a television, or people in the room.
#
# Their words count while the AI is heard: frames that hold a voice for the first net,
# and no caller for the second. Once there are many, who interrupts must be more
# certain, or louder than they are. A caller has some such frames, too, at a word's soft
# beginning. So the newest second counts little, and frames in which the second net is
# sure of a caller are taken off. The figures are in bench/gate/README.md.

from dsp.bars cimport over_opening
from dsp.features cimport line_db
from dsp.score cimport SPEECH_OUTPUT, Score

cdef enum:
    FRAMES_FREE = 10        # words of a caller that the second net took for others'
    BAR_MOST = 4            # log-odds

cdef struct Bystander:
    float frames            # of the last 20 s of the AI's speech
    float settled           # the same, a second late
    float peak_db           # the level that 3 % of these frames exceed


cdef inline double bystander_bar(
    Bystander *state, const Score *score, double logit, double rms, double vad_rms
) noexcept nogil:
    """Take a frame over the AI; return by how much the bar of an interruption rises.

    `score` is the first net's, `logit` the second's; levels are in 16-bit units.
    """
    cdef bint is_voice = (
        rms >= vad_rms and over_opening(score.logits[SPEECH_OUTPUT], 0, False) >= 0
    )
    cdef float level_db = line_db(<float> (rms * rms))
    cdef double bar, under
    state.frames *= <float> 0.999
    if is_voice and logit < 0.5:
        if state.peak_db == 0:
            state.peak_db = level_db
        state.frames += 1
        # Steps of half a dB, of which 97 down offset 3 up.
        state.peak_db += <float> (0.485 if level_db > state.peak_db else -0.015)
    elif is_voice and logit > 1.5:
        state.frames = max(<float> 0, state.frames - 2)
    state.settled += <float> 0.02 * (state.frames - state.settled)
    bar = min(0.08 * max(0.0, state.settled - FRAMES_FREE), <double> BAR_MOST)
    under = (state.peak_db - level_db) / 4      # all of it 4 dB under the peak
    return bar * min(max(under, 0.0), 1.0)
