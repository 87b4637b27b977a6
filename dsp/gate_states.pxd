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

cdef struct GateState:
    int state
    int active              # frames of speech since SILENCE
    int misses              # frames without speech since the last with it, in MAYBE
    int quiet               # the same in SPEECH


cdef inline void gate_state_step(
    GateState *gate, bint is_active, bint is_kept, int enough, int hangover
) noexcept nogil:
    """Take a frame: whether it may open the gate, and whether it keeps it open.

    `enough` and `hangover` are in frames.
    """
    if gate.state == STATE_SPEECH:
        if is_kept:
            gate.quiet = 0
        else:
            gate.quiet += 1
            if gate.quiet > hangover:
                gate.state = STATE_SILENCE
                gate.active = 0
    elif is_active:
        gate.state = STATE_MAYBE
        gate.misses = 0
        gate.active += 1
        if gate.active >= enough:
            gate.state = STATE_SPEECH
            gate.quiet = 0
    elif gate.state == STATE_MAYBE:
        gate.misses += 1
        if gate.misses >= MAYBE_MISSES:
            gate.state = STATE_SILENCE
            gate.active = 0
