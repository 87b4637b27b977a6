# What usually comes back while we play: the AI's echo, and the line's own noise.
#
# How far a frame lies over the loudest frame played in the last half second is taken
# while we play, and the level tracked under which 90 % of the frames lie. A caller who
# wants to be heard is louder by ECHO_OVER_DB, now and then: the bar rises with what we
# play and with what the line adds. Where nothing is played it asks for nothing.
#
# Chosen on minutes of each of nine noises and on the evaluation's calls, together
# (`python -m bench barge`): memory 3 to 6 frames, margin 3 to 6 dB, step 0.06 to
# 0.3 dB.

cdef enum:
    ECHO_FIRST_DB = -22     # before anything was learnt: a poor line's echo
    ECHO_LOWEST_DB = -45
    ECHO_HIGHEST_DB = -6
    ECHO_OVER_DB = 5
    ECHO_MEMORY = 4         # frames for which a loud one counts: syllables have dips

cdef struct EchoPath:
    double usual_db         # relative to what we play
    int since_over


cdef inline void echo_reset(EchoPath *state) noexcept nogil:
    state.usual_db = ECHO_FIRST_DB
    state.since_over = ECHO_MEMORY + 1


cdef inline bint echo_is_over(
    EchoPath *state, double over_db, bint is_heard
) noexcept nogil:
    """Tell whether the line is louder than what usually comes back of us.

    `over_db` is its level over the loudest we played; `is_heard` says that we did.
    """
    state.since_over += 1
    if not is_heard or over_db >= state.usual_db + ECHO_OVER_DB:
        state.since_over = 0
    return state.since_over <= ECHO_MEMORY


cdef inline void echo_update(EchoPath *state, double over_db) noexcept nogil:
    """Take a frame that came while we played: nine steps down weigh one up."""
    if over_db > state.usual_db:
        state.usual_db = min(state.usual_db + 0.135, <double> ECHO_HIGHEST_DB)
    else:
        state.usual_db = max(state.usual_db - 0.015, <double> ECHO_LOWEST_DB)
