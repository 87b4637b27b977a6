# The level that comes back while audio plays: the AI's echo, and the line's noise.
#
# What was played is remembered for FAR_FRAMES (1.6 s): an echo through a telephone
# takes 100 to 500 ms, over a mobile network and a loudspeaker up to 1.5 s.
#
# Three things are tracked while audio plays.
#
# The first is one level for the whole line: how far a frame lies over the loudest frame
# played, as the level under which 90 % of the frames lie. An onset must exceed it by
# ECHO_EXCESS_DB now and then: the bar rises with the AI's level and with the noise of
# the line. While nothing is played there is no bar.
#
# The second is one level for each delay that an echo can have: how far a frame lies
# over what was played at that delay, whenever that was about the loudest, as the level
# under which half of the frames lie. An echo adds to the line, so the delay with the
# highest prediction gives the present echo.
#
# The third is the delay of this call's echo: the delay at which the changes of level on
# the line correlate best with the changes of what was played. Over few frames a voice
# correlates with what it talks over, too: at the best of so many delays by 0.6 and
# more in a second. So a correlation is believed from 0.5 on, and from where its square
# times the number of frames is CHANCE_SQUARED (bench/gate/README.md has the figures).
# Whoever begins in the same frame as the AI correlates at once, and is no echo: none
# returns before ECHO_NEAREST frames. Until a delay is known, an echo is expected from
# there to NEAR_END - 1 frames; afterwards only around that delay.
#
# That a line has no echo is known after LEAST_FRAMES to FOUND_FRAMES of audible speech:
# as soon as the best correlation is lower than nearly every echo's would be by then.
# Who is heard from then on is somebody else. No echo is expected to
# be louder than ECHO_FIRST_DB, and the levels by delay hardly rise.
#
# Whether a frame may be echo alone is asked with more doubt (`doubted_db`). At first
# any delay is possible, until an audible echo would have been found. While the AI
# talks, a known echo may have moved to another delay, and then is as loud as before.

from libc.math cimport sqrtf
from libc.stdlib cimport abs
from libc.string cimport memmove

cdef enum:
    FAR_FRAMES = 80         # 1.6 s, and a multiple of 16
    NEAR_END = 26           # half a second and the frame itself
    FAR_NEAR = 6
    FAR_LATE = 14
    ECHO_NEAREST = 2        # frames
    ECHO_FIRST_DB = -22     # before adaptation, and the most where none was found
    ECHO_LOWEST_DB = -45
    ECHO_HIGHEST_DB = -6
    ECHO_EXCESS_DB = 5
    ECHO_MEMORY = 4         # frames for which a loud one counts: syllables have dips
    PATH_FIRST_DB = -14
    PATH_LOUD_DB = 6        # a delay this far under the loudest is still used
    CHANGE_FRAMES = 3       # a change is a level less that of so many frames before
    CHANGE_MAX_DB = 8
    DELAY_UNKNOWN = -1
    DELAY_SPREAD = 2        # frames around the delay in which its echo is expected
    DELAY_EVERY = 5         # frames after which the best delay is sought again
    DELAY_STEADY = 5        # times that a delay must be the best to be believed
    CHANCE_SQUARED = 25     # squared correlation, times the frames it is made of
    ECHO_DOUBT_DB = 6       # a frame less than this over the doubted may be echo alone
    LOSS_OVER_DB = 3        # a loss further over the level by delay is too high
    LOUDEST_OVER_DB = 3     # the loudest frame of 1.6 s over a loud one
    FIRST_FRAMES = 15       # of audible speech, in which no echo has correlated yet
    LEAST_FRAMES = 65       # 1.3 s, until a line may be known to have no echo
    FOUND_FRAMES = 125      # 2.5 s, in which an audible echo is found

cdef struct EchoPath:
    float far_db[80]        # what was played, dB over one 16-bit unit, newest first
    float change_db[80]     # its changes
    float product[80]       # sums of the line's changes times those of each delay
    float summed            # the number of frames in the sums, faded as they are
    float energy            # sums of squares of the line's changes, and of the played
    float far_energy[80]
    float line_db[3]        # the line's last levels, newest first
    int lines               # how many of them are levels of frames
    float recent_db         # the loudest that was played in the last FAR_NEAR frames,
    float near_db           # from there to FAR_LATE,
    float late_db           # from there to NEAR_END,
    float latest_db         # and before that
    float path_db[80]       # the echo by delay, relative to what was played
    float expected_db       # the echo to expect in this frame; 0 if none
    float doubted_db        # an echo that is possible in this frame; 0 if none
    float loss_db           # of the known echo
    int heard               # frames with audible speech, up to FOUND_FRAMES
    bint is_without         # no echo was found in time
    float correlation       # at the best delay
    double usual_db         # relative to the loudest frame played
    int delay               # frames, or DELAY_UNKNOWN
    int best                # the delay of the best correlation, in frames
    int steady              # times for which it has been the best
    int frames              # since it was sought
    int since_louder
    int same                # frames for which the level of what is played is the same


cdef inline void echo_reset(EchoPath *state, float silence_db) noexcept nogil:
    cdef int i
    for i in range(FAR_FRAMES):
        state.far_db[i] = silence_db
        state.change_db[i] = state.product[i] = state.far_energy[i] = 0
        state.path_db[i] = PATH_FIRST_DB
    for i in range(CHANGE_FRAMES):
        state.line_db[i] = silence_db
    state.recent_db = state.near_db = state.late_db = state.latest_db = silence_db
    state.usual_db = ECHO_FIRST_DB
    state.summed = 0
    state.lines = 0
    state.energy = state.correlation = state.expected_db = state.doubted_db = 0
    state.loss_db = ECHO_LOWEST_DB
    state.heard = 0
    state.is_without = False
    state.delay = DELAY_UNKNOWN
    state.best = state.steady = state.frames = 0
    state.since_louder = ECHO_MEMORY + 1
    state.same = 0


cdef inline void echo_played(EchoPath *state, float far_db) noexcept nogil:
    """Take the level of the audio played with a frame, before the frame itself."""
    cdef float change = far_db - state.far_db[CHANGE_FRAMES - 1]
    # After so long a silence, one more frame of it would change nothing.
    state.same = state.same + 1 if far_db == state.far_db[0] else 0
    if state.same > FAR_FRAMES + CHANGE_FRAMES:
        state.same = FAR_FRAMES + CHANGE_FRAMES
        return
    memmove(state.far_db + 1, state.far_db, (FAR_FRAMES - 1) * sizeof(float))
    memmove(state.change_db + 1, state.change_db, (FAR_FRAMES - 1) * sizeof(float))
    state.far_db[0] = far_db
    state.change_db[0] = clipped(change)
    state.recent_db = loudest_of(state.far_db, 0, FAR_NEAR)
    state.near_db = loudest_of(state.far_db, FAR_NEAR, FAR_LATE)
    state.late_db = loudest_of(state.far_db, FAR_LATE, NEAR_END)
    state.latest_db = loudest_of(state.far_db, NEAR_END, FAR_FRAMES)


cdef inline float clipped(float change_db) noexcept nogil:
    return min(max(change_db, <float> -CHANGE_MAX_DB), <float> CHANGE_MAX_DB)


cdef inline float loudest_of(
    const float *levels_db, int first, int end
) noexcept nogil:
    cdef float loudest = levels_db[first]
    cdef int i
    for i in range(first + 1, end):
        loudest = max(loudest, levels_db[i])
    return loudest


cdef inline float far_loudest(const EchoPath *state) noexcept nogil:
    """Return the loudest level that may still come back, dB over one unit.

    This is what was played in the last half second, or as long ago as the known echo.
    """
    cdef float loudest = max(max(state.recent_db, state.near_db), state.late_db)
    if state.delay + DELAY_SPREAD >= NEAR_END:
        loudest = max(loudest, loudest_of(
            state.far_db, NEAR_END, min(state.delay + DELAY_SPREAD + 1, FAR_FRAMES)
        ))
    return loudest


cdef inline float latest_loudest(const EchoPath *state) noexcept nogil:
    """Return the loudest level of all that is remembered, dB over one unit."""
    return max(
        max(state.recent_db, state.near_db), max(state.late_db, state.latest_db)
    )


cdef inline bint is_playing(const EchoPath *state, float heard_db) noexcept nogil:
    """Tell whether audio over `heard_db` was played in the last 1.6 s."""
    return latest_loudest(state) >= heard_db


cdef inline void echo_heard(
    EchoPath *state, float level_db, float heard_db
) noexcept nogil:
    """Take the line's level: expect an echo in it, then adapt path and delay to it.

    All levels are in dB over one 16-bit unit. Audio played under `heard_db` is taken as
    inaudible.
    """
    cdef float change = clipped(level_db - state.line_db[CHANGE_FRAMES - 1])
    cdef float loudest = latest_loudest(state)
    cdef int i
    if state.lines < CHANGE_FRAMES:     # the first frames of a call are no change
        state.lines += 1
        change = 0
    for i in range(CHANGE_FRAMES - 1, 0, -1):
        state.line_db[i] = state.line_db[i - 1]
    state.line_db[0] = level_db
    state.expected_db = state.doubted_db = 0
    if loudest < heard_db:
        return
    _find_delay(state, change)
    if state.delay != DELAY_UNKNOWN:
        state.expected_db = _expect(
            state, heard_db, max(state.delay - DELAY_SPREAD, 0),
            min(state.delay + DELAY_SPREAD + 1, FAR_FRAMES),
        )
        if is_believed(state):
            _follow_loss(state, state.path_db[state.delay])
        state.doubted_db = state.expected_db
        # The delay may have changed. In the tail of an echo it is trusted.
        if state.recent_db >= heard_db:
            state.doubted_db = max(
                state.doubted_db, loudest + state.loss_db - LOUDEST_OVER_DB
            )
    else:
        state.expected_db = _expect(state, heard_db, ECHO_NEAREST, NEAR_END)
        # An audible echo would be known by now.
        if not state.is_without:
            state.doubted_db = _expect(state, heard_db, 0, FAR_FRAMES)
    if state.heard < FOUND_FRAMES:
        state.heard += 1
    _adapt_path(state, level_db, loudest)


cdef inline void _follow_loss(EchoPath *state, float path_db) noexcept nogil:
    """Follow the level of the known echo: up at once, down by 1 dB a second.

    The level by delay begins as a loud echo's, and is too high when the delay is found.
    What is too high falls by 5 dB a second.
    """
    cdef float fall_db = <float> 0.02
    if state.loss_db > path_db + LOSS_OVER_DB:
        fall_db = <float> 0.1
    state.loss_db = max(path_db, state.loss_db - fall_db)


cdef inline int highest_echo_db(const EchoPath *state) noexcept nogil:
    """Return how loud an echo may be taken to be, relative to what was played."""
    return ECHO_FIRST_DB if is_echoless(state) else ECHO_HIGHEST_DB


cdef inline bint is_echoless(const EchoPath *state) noexcept nogil:
    """Tell whether an audible echo would have been found, and none was."""
    return state.delay == DELAY_UNKNOWN and state.is_without


cdef inline float _expect(
    const EchoPath *state, float heard_db, int first, int end
) noexcept nogil:
    cdef float expected = 0
    cdef int i
    for i in range(first, end):
        if state.far_db[i] >= heard_db:
            expected = max(expected, state.far_db[i] + state.path_db[i])
    return expected


cdef inline void _adapt_path(
    EchoPath *state, float level_db, float loudest_db
) noexcept nogil:
    cdef float step_db, rise_db = <float> 0.5
    cdef float highest_db = <float> highest_echo_db(state)
    cdef int i
    if is_echoless(state):
        rise_db = <float> 0.05
    for i in range(FAR_FRAMES):
        step_db = rise_db if (
            level_db > state.far_db[i] + state.path_db[i]
        ) else <float> -0.5
        if state.far_db[i] <= loudest_db - PATH_LOUD_DB:
            step_db = 0
        state.path_db[i] = min(state.path_db[i] + step_db, highest_db)


cdef inline void _find_delay(EchoPath *state, float change) noexcept nogil:
    cdef float fade = 0.992             # a memory of 2.5 s
    cdef int i
    state.summed = fade * state.summed + 1
    state.energy = fade * state.energy + change * change
    for i in range(FAR_FRAMES):
        state.product[i] = fade * state.product[i] + change * state.change_db[i]
        state.far_energy[i] = (
            fade * state.far_energy[i] + state.change_db[i] * state.change_db[i]
        )
    state.frames += 1
    if state.frames >= DELAY_EVERY:
        state.frames = 0
        _judge_delay(state)


cdef inline void _judge_delay(EchoPath *state) noexcept nogil:
    cdef float best = 0, value
    cdef int i, at = 0
    for i in range(ECHO_NEAREST, FAR_FRAMES):
        value = state.product[i]
        if value > 0 and value * value > best * (state.far_energy[i] + 1):
            best = value * value / (state.far_energy[i] + 1)
            at = i
    state.correlation = sqrtf(best / (state.energy + 1))
    state.steady = state.steady + 1 if abs(at - state.best) <= 1 else 0
    state.best = at
    if is_believed(state) and state.steady >= DELAY_STEADY:
        state.delay = at
    elif state.heard >= FOUND_FRAMES or (
        state.heard >= LEAST_FRAMES
        # At each moment 5 % of the echoes in noise have less, and 1 % of others.
        and evidence_for(state) < <float> 0.2 * (state.heard - FIRST_FRAMES)
    ):
        state.is_without = True


cdef inline float evidence_for(const EchoPath *state) noexcept nogil:
    """Return the squared correlation, times the frames that it is made of."""
    return state.correlation * state.correlation * state.summed


cdef inline bint is_believed(const EchoPath *state) noexcept nogil:
    return state.correlation >= <float> 0.5 and evidence_for(state) >= CHANCE_SQUARED


cdef inline bint may_be_echo(const EchoPath *state, float level_db) noexcept nogil:
    """Tell whether a frame of this level may be nothing but the echo."""
    return level_db < state.doubted_db + ECHO_DOUBT_DB


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
        state.usual_db = min(state.usual_db + 0.135, <double> highest_echo_db(state))
    else:
        state.usual_db = max(state.usual_db - 0.015, <double> ECHO_LOWEST_DB)
