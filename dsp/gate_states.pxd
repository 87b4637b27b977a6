# The gate's states: nothing, maybe speech, speech.
#
#     SILENCE --(a frame of speech)--> MAYBE --(enough of them)--> SPEECH
#     MAYBE   --(MAYBE_MISSES frames without)--> SILENCE
#     SPEECH  --(more than the hangover without)--> SILENCE

cdef enum:
    STATE_SILENCE = 0
    STATE_MAYBE = 1
    STATE_SPEECH = 2
    MAYBE_MISSES = 2

cdef struct Latch:
    int state
    int active              # frames of speech since SILENCE
    int misses              # frames without since the last of them, in MAYBE
    int quiet               # and in SPEECH


cdef inline void latch_step(
    Latch *latch, bint is_active, bint is_kept, int enough, int hangover
) noexcept nogil:
    """Take a frame: whether it opens, whether it holds open, all in frames."""
    if latch.state == STATE_SPEECH:
        if is_kept:
            latch.quiet = 0
        else:
            latch.quiet += 1
            if latch.quiet > hangover:
                latch.state = STATE_SILENCE
                latch.active = 0
    elif is_active:
        latch.state = STATE_MAYBE
        latch.misses = 0
        latch.active += 1
        if latch.active >= enough:
            latch.state = STATE_SPEECH
            latch.quiet = 0
    elif latch.state == STATE_MAYBE:
        latch.misses += 1
        if latch.misses >= MAYBE_MISSES:
            latch.state = STATE_SILENCE
            latch.active = 0
