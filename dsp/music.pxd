# Music on hold, a radio: loud for a second or more without the gaps between syllables.
# Speech falls 10 dB under its recent peak in more than a fifth of its frames; sustained
# music seldom does. The decision is smoothed over MUSIC_FRAMES frames, with hysteresis.

cdef enum:
    MUSIC_FRAMES = 75

cdef struct Music:
    double peak         # recent peak energy, falling by 0.5 % a frame
    float full          # share of frames near the peak, smoothed over MUSIC_FRAMES
    float tonal         # mean periodicity, smoothed likewise
    bint is_music


cdef inline bint music_update(
    Music *state, double energy, double voiced, double floor
) noexcept nogil:
    cdef float near = 0
    state.peak *= 0.995
    if energy > state.peak:
        state.peak = energy
    if energy > 0.1 * state.peak and energy > 4 * floor:
        near = 1
    elif energy > 0.1 * state.peak and energy > 40000:
        near = 1
    state.full += (near - state.full) / MUSIC_FRAMES
    state.tonal += (<float> voiced - state.tonal) / MUSIC_FRAMES
    if state.full > 0.88 and state.tonal > 0.35:
        state.is_music = True
    elif state.full < 0.75 or state.tonal < 0.25:
        state.is_music = False
    return state.is_music
