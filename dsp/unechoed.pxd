# What the first net hears over the AI's first words if the line has no echo.
#
# Until an audible echo would have been found (echo.pxd), it is not known whether the
# line has one, and the net is in doubt about a caller who begins with the AI. So it
# runs once more, as if nothing was played, while the AI says its first words. Once the
# line proves to have no echo, what it hears counts as well. (Over later words the net
# knows the line, and what was played helps it to tell a caller from a television.)

from dsp.bars cimport frames_enough, may_stay, over_opening
from dsp.echo cimport DELAY_UNKNOWN, EchoPath, is_echoless, is_playing
from dsp.features cimport FAR_HEARD_DB, FEATURES, features_unechoed
from dsp.gate_states cimport (
    STATE_SILENCE, STATE_SPEECH, GateState, gate_state_step,
)
from dsp.score cimport SPEECH_OUTPUT, Score, ScoreWeights, score_update

cdef enum:
    FIRST_WORDS_FRAMES = 500    # 10 s, of which most greetings are shorter

cdef struct Unechoed:
    Score score
    GateState gate
    int frames              # for which it has run
    bint is_on
    bint is_over            # the first words have ended, or have an echo
    bint counts             # the line has no echo


cdef inline void unechoed_update(
    const ScoreWeights *weights, const EchoPath *echo, const float *inputs,
    float level_db, const Score *score, const GateState *gate, Unechoed *state,
) noexcept nogil:
    """Take a frame, before the net itself takes it."""
    cdef float alone[FEATURES]
    if state.is_over:
        return
    if (
        not is_playing(echo, FAR_HEARD_DB) or echo.delay != DELAY_UNKNOWN
        or state.frames == FIRST_WORDS_FRAMES
    ):
        state.is_over = state.is_on
        state.is_on = state.counts = False
        return
    state.frames += 1
    if not state.is_on:
        state.score = score[0]
        state.gate = gate[0]
    state.is_on = True
    state.counts = is_echoless(echo)
    features_unechoed(inputs, level_db, alone)
    score_update(weights, &state.score, alone)


cdef inline float speech_logit(
    const Score *score, const Unechoed *state
) noexcept nogil:
    """Return the net's log-odds of a caller, or what is heard without an echo."""
    if state.counts:
        return max(
            score.logits[SPEECH_OUTPUT], state.score.logits[SPEECH_OUTPUT]
        )
    return score.logits[SPEECH_OUTPUT]


cdef inline void unechoed_step(
    Unechoed *state, GateState *gate, double under_start_db, double under_stop_db,
    bint is_early, bint is_loud, int hangover,
) noexcept nogil:
    """Move between its states by the gate's bars; once it counts, the gate has them."""
    cdef double logit = state.score.logits[SPEECH_OUTPUT]
    cdef bint is_active = over_opening(logit, under_start_db, is_early) >= 0
    cdef bint is_kept = may_stay(logit, under_stop_db, state.gate.quiet)
    if state.counts:
        if state.gate.state == STATE_SPEECH:
            gate[0] = state.gate
        state.gate.state = STATE_SILENCE
    elif state.is_on:
        gate_state_step(
            &state.gate, is_active and is_loud, is_kept and is_loud,
            frames_enough(logit), hangover,
        )


cdef inline bint is_open(const Unechoed *state) noexcept nogil:
    """Tell whether the gate would be open."""
    return state.is_on and state.gate.state == STATE_SPEECH
