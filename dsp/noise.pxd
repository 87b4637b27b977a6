# Noise floor by minimum statistics (R. Martin, 2001, simplified): the least smoothed
# energy of the last WINDOWS sub-windows of WINDOW_FRAMES frames each (1.8 s together).
# Speech has pauses and does not raise a minimum. A step of the noise is learnt once the
# old minimum has left the window. A minimum lies under the mean, hence BIAS.
# Speech without a pause for as long as the window would still raise the minimum. So
# while the window holds known speech of a caller, the floor climbs by 1 dB a second at
# most. Speech is known only by the score: without the score the SNR opens the gate, and
# a step of the noise can open it, too.

cdef enum:
    WINDOWS = 6
    WINDOW_FRAMES = 15
    QUIET_FLOOR_RMS = 40

cdef struct NoiseFloor:
    double smooth           # energy, smoothed over about 3 frames
    double minima[6]
    double current          # least of the running sub-window
    double floor            # energy
    int frames              # in the running sub-window
    int index
    int calibration_frames  # left to run
    int speech_frames       # until the window holds no speech of a caller


cdef inline void noise_reset(
    NoiseFloor *state, double start_energy, int calibration_frames
) noexcept nogil:
    cdef int i
    state.smooth = -1
    state.current = 1e30
    for i in range(WINDOWS):
        state.minima[i] = 1e30
    state.floor = start_energy
    state.frames = 0
    state.index = 0
    state.calibration_frames = calibration_frames
    state.speech_frames = 0


cdef inline void noise_update(
    NoiseFloor *state, double energy, bint is_speech
) noexcept nogil:
    """Take one frame's mean energy (16-bit units squared), and whether the caller is
    known to speak."""
    cdef double least, before, bias = 2.0, speech_climb = 1.0046   # 10 ** (0.1 / 50)
    cdef int i
    if is_speech:
        state.speech_frames = WINDOWS * WINDOW_FRAMES
    elif state.speech_frames > 0:
        state.speech_frames -= 1
    if state.smooth < 0:
        state.smooth = energy
    state.smooth += 0.35 * (energy - state.smooth)
    if state.smooth < state.current:
        state.current = state.smooth
    least = state.current
    for i in range(WINDOWS):
        if state.minima[i] < least:
            least = state.minima[i]
    if state.calibration_frames > 0:
        # While calibrating, the start value stands until something quieter comes: a
        # caller who speaks at once must not be taken for the noise.
        state.calibration_frames -= 1
        if least * bias < state.floor:
            state.floor = least * bias
    else:
        before = state.floor
        state.floor += 0.3 * (least * bias - state.floor)
        if state.speech_frames > 0:
            state.floor = min(state.floor, before * speech_climb)
    if state.floor < 16.0:
        state.floor = 16.0      # 4 linear units, mu-law's smallest step
    state.frames += 1
    if state.frames >= WINDOW_FRAMES:
        state.minima[state.index] = state.current
        state.index = (state.index + 1) % WINDOWS
        state.current = 1e30
        state.frames = 0


cdef inline double quiet_line_db(double floor_rms) noexcept nogil:
    """Return what is taken off the thresholds of the SNR on a quiet line, in dB.

    Its caller is likely quiet, too.
    """
    return 1 if floor_rms < QUIET_FLOOR_RMS else 0
