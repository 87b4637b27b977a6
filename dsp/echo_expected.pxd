# The echo to expect in a frame of the line, and whether the frame may be nothing else.
#
# What was played is remembered for PLAYED_FRAMES (1.5 s): an echo through a telephone
# takes 100 to 500 ms, over a mobile network and a loudspeaker up to 1.5 s.
#
# There is one level for each delay that an echo can have: how far a frame lies over
# what was played at that delay, whenever that was about the loudest, as the level under
# which half of the frames lie. The delay of this call's echo is the one at which the
# changes of level on the line correlate best with the changes of what was played. Until
# a delay is known, an echo is expected within the first SOON_FRAMES; afterwards only
# around it.

from libc.math cimport sqrtf
from libc.stdlib cimport abs
from libc.string cimport memmove

cdef enum:
    PLAYED_FRAMES = 80      # 1.5 s, and a multiple of 16
    SOON_FRAMES = 26        # half a second and the frame itself
    SOONEST = 2             # frames
    EXPECTED_FIRST_DB = -14
    LOUD_DB = 6             # a delay this far under the loudest is still used
    CHANGE_FRAMES = 3       # a change is a level less that of so many frames before
    CHANGE_MAX_DB = 12
    DELAY_UNKNOWN = -1
    DELAY_SPREAD = 2        # frames around the delay in which its echo is expected
    DELAY_STEADY = 25       # frames for which a delay must be the best to be believed
    DOUBT_DB = 6            # a frame less than this over the expected may be echo alone

cdef struct ExpectedEcho:
    float played_db[80]     # dB over one 16-bit unit, newest first
    float change_db[80]     # its changes
    float product[80]       # sums of the line's changes times those of each delay
    float energy            # sums of squares of the line's changes, and of the played
    float played_energy[80]
    float line_db[3]        # the line's last levels, newest first
    float path_db[80]       # the echo by delay, relative to what was played
    float expected_db       # the echo to expect in this frame; 0 if none
    int delay               # frames, or DELAY_UNKNOWN
    int best                # the delay of the best correlation, in frames
    int steady              # frames for which it has been the best


cdef inline void expected_echo_reset(
    ExpectedEcho *state, float silence_db
) noexcept nogil:
    cdef int i
    for i in range(PLAYED_FRAMES):
        state.played_db[i] = silence_db
        state.change_db[i] = state.product[i] = state.played_energy[i] = 0
        state.path_db[i] = EXPECTED_FIRST_DB
    for i in range(CHANGE_FRAMES):
        state.line_db[i] = silence_db
    state.energy = state.expected_db = 0
    state.delay = DELAY_UNKNOWN
    state.best = state.steady = 0


cdef inline float _clipped(float change_db) noexcept nogil:
    return min(max(change_db, <float> -CHANGE_MAX_DB), <float> CHANGE_MAX_DB)


cdef inline void expected_echo_update(
    ExpectedEcho *state, float played_db, float level_db, float heard_db
) noexcept nogil:
    """Take what is played with a frame, and the frame's level; expect its echo.

    All levels are in dB over one 16-bit unit. Audio played under `heard_db` is taken as
    inaudible.
    """
    cdef float change = _clipped(level_db - state.line_db[CHANGE_FRAMES - 1])
    cdef float loudest = played_db
    cdef int i
    state.expected_db = 0
    memmove(
        state.change_db + 1, state.change_db, (PLAYED_FRAMES - 1) * sizeof(float)
    )
    state.change_db[0] = _clipped(played_db - state.played_db[CHANGE_FRAMES - 1])
    memmove(
        state.played_db + 1, state.played_db, (PLAYED_FRAMES - 1) * sizeof(float)
    )
    state.played_db[0] = played_db
    for i in range(CHANGE_FRAMES - 1, 0, -1):
        state.line_db[i] = state.line_db[i - 1]
    state.line_db[0] = level_db
    for i in range(1, PLAYED_FRAMES):
        loudest = max(loudest, state.played_db[i])
    if loudest < heard_db:
        return
    _find_delay(state, change)
    state.expected_db = _expect(state, heard_db)
    for i in range(PLAYED_FRAMES):
        if state.played_db[i] > loudest - LOUD_DB:
            state.path_db[i] += <float> 0.5 if (
                level_db > state.played_db[i] + state.path_db[i]
            ) else <float> -0.5


cdef inline float _expect(const ExpectedEcho *state, float heard_db) noexcept nogil:
    cdef int first = SOONEST, end = SOON_FRAMES, i
    cdef float expected = 0
    if state.delay != DELAY_UNKNOWN:
        first = max(state.delay - DELAY_SPREAD, 0)
        end = min(state.delay + DELAY_SPREAD + 1, PLAYED_FRAMES)
    for i in range(first, end):
        if state.played_db[i] >= heard_db:
            expected = max(expected, state.played_db[i] + state.path_db[i])
    return expected


cdef inline void _find_delay(ExpectedEcho *state, float change) noexcept nogil:
    cdef float fade = 0.992             # a memory of 2.5 s
    cdef float believed = 0.50
    cdef float best = 0, value
    cdef int i, at = 0
    state.energy = fade * state.energy + change * change
    for i in range(PLAYED_FRAMES):
        state.product[i] = fade * state.product[i] + change * state.change_db[i]
        state.played_energy[i] = (
            fade * state.played_energy[i] + state.change_db[i] * state.change_db[i]
        )
    for i in range(PLAYED_FRAMES):
        value = state.product[i]
        if value > 0 and value * value > best * (state.played_energy[i] + 1):
            best = value * value / (state.played_energy[i] + 1)
            at = i
    state.steady = state.steady + 1 if abs(at - state.best) <= 1 else 0
    state.best = at
    if sqrtf(best / (state.energy + 1)) >= believed and state.steady >= DELAY_STEADY:
        state.delay = at


cdef inline bint may_be_echo(const ExpectedEcho *state, float level_db) noexcept nogil:
    """Tell whether a frame of this level may be nothing but the echo."""
    return state.expected_db > 0 and level_db < state.expected_db + DOUBT_DB
