# The level that comes back while audio plays: the AI's echo, and the line's noise.
#
# Two kinds of level are tracked while audio plays. The first is one level for the whole
# line: how far a frame lies over the loudest frame played in the last half second, as
# the level under which 90 % of the frames lie. An onset must exceed it by
# ECHO_EXCESS_DB now and then: the bar rises with the AI's level and with the noise of
# the line. While nothing is played there is no bar.
#
# The second is one level for each delay that an echo can have: how far a frame lies
# over what was played at that delay, whenever that was about the loudest, as the level
# under which half of the frames lie. An echo adds to the line, so the delay with the
# highest prediction gives the present echo. It is an input of the double-talk score
# (double_talk.pxd).
#
# The constants of the first level were chosen on minutes of each of nine noises and on
# the calls of the evaluation, together (`python -m bench barge`): memory 3 to 6 frames,
# margin 3 to 6 dB, step 0.06 to 0.3 dB.

cdef enum:
    FAR_FRAMES = 26         # half a second and the frame itself
    FAR_NEAR = 6
    FAR_LATE = 14
    ECHO_NEAREST = 5        # frames; a telephone's echo takes 120 to 400 ms
    ECHO_FIRST_DB = -22     # before adaptation: the echo of a poor line
    ECHO_LOWEST_DB = -45
    ECHO_HIGHEST_DB = -6
    ECHO_EXCESS_DB = 5
    ECHO_MEMORY = 4         # frames for which a loud one counts: syllables have dips
    PATH_FIRST_DB = -14
    PATH_LOUD_DB = 6        # a delay this far under the loudest is still used

cdef struct EchoPath:
    float far_db[26]        # what was played, dB over one 16-bit unit, newest first
    float recent_db         # its maximum of the last FAR_NEAR frames,
    float near_db           # from there to FAR_LATE,
    float late_db           # and before that
    float path_db[26]       # the echo by delay, relative to what was played
    double usual_db         # relative to the loudest frame played
    int since_louder


cdef inline void echo_reset(EchoPath *state, float silence_db) noexcept nogil:
    cdef int i
    for i in range(FAR_FRAMES):
        state.far_db[i] = silence_db
        state.path_db[i] = PATH_FIRST_DB
    state.recent_db = state.near_db = state.late_db = silence_db
    state.usual_db = ECHO_FIRST_DB
    state.since_louder = ECHO_MEMORY + 1


cdef inline void echo_played(EchoPath *state, float far_db) noexcept nogil:
    """Take the level of the audio played with a frame, before the frame itself."""
    cdef int back
    for back in range(FAR_FRAMES - 1, 0, -1):
        state.far_db[back] = state.far_db[back - 1]
    state.far_db[0] = far_db
    state.recent_db = loudest_of(state.far_db, 0, FAR_NEAR)
    state.near_db = loudest_of(state.far_db, FAR_NEAR, FAR_LATE)
    state.late_db = loudest_of(state.far_db, FAR_LATE, FAR_FRAMES)


cdef inline float loudest_of(
    const float *levels_db, int first, int end
) noexcept nogil:
    cdef float loudest = levels_db[first]
    cdef int i
    for i in range(first + 1, end):
        loudest = max(loudest, levels_db[i])
    return loudest


cdef inline float far_loudest(const EchoPath *state) noexcept nogil:
    """Return the loudest level played in the last half second, dB over one unit."""
    return max(max(state.recent_db, state.near_db), state.late_db)


cdef inline float echo_predicted(
    EchoPath *state, float level_db, float heard_db
) noexcept nogil:
    """Return the echo to expect in a frame of this level, and adapt to the frame.

    All levels are in dB over one 16-bit unit. Audio played under `heard_db` is taken as
    inaudible.
    """
    cdef float loudest = max(state.near_db, state.late_db)
    cdef float expected_db[26]
    cdef float step_db
    cdef int back
    loudest = max(loudest, state.far_db[ECHO_NEAREST])
    if loudest < heard_db:
        return 0
    for back in range(ECHO_NEAREST, FAR_FRAMES):
        expected_db[back] = state.far_db[back] + state.path_db[back]
        step_db = <float> 0.5 if level_db > expected_db[back] else <float> -0.5
        if state.far_db[back] <= loudest - PATH_LOUD_DB:
            step_db = 0
        state.path_db[back] += step_db
    return max(<float> 0, loudest_of(expected_db, ECHO_NEAREST, FAR_FRAMES))


cdef inline bint louder_than_echo(
    EchoPath *state, double excess_db, bint is_heard
) noexcept nogil:
    """Tell whether the line is louder than the usual echo.

    `excess_db` is the line's level over the loudest frame played; `is_heard` says that
    audible audio plays.
    """
    state.since_louder += 1
    if not is_heard or excess_db >= state.usual_db + ECHO_EXCESS_DB:
        state.since_louder = 0
    return state.since_louder <= ECHO_MEMORY


cdef inline void echo_update(EchoPath *state, double excess_db) noexcept nogil:
    """Take a frame that came during playout: nine steps down offset one step up."""
    if excess_db > state.usual_db:
        state.usual_db = min(state.usual_db + 0.135, <double> ECHO_HIGHEST_DB)
    else:
        state.usual_db = max(state.usual_db - 0.015, <double> ECHO_LOWEST_DB)
