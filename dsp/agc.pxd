# Gain for quiet callers, in steps of 0.5 dB of mu-law tables (g711.GAIN_TABLES).
#
# The level of speech is the mean power of the frames judged as speech: over all of them
# at first, then over about a second. The gain rises one step every RISE_FRAMES towards
# the value that brings this level to the target, and falls at once. The gain is never
# negative. A frame whose peak would clip gets only the gain that its peak allows.

from libc.math cimport log10

cdef enum:
    AGC_STEPS = 36          # 18 dB; as many tables as g711 has
    RISE_FRAMES = 2
    MEAN_FRAMES = 50

cdef struct Agc:
    double power            # of speech, 16-bit units squared
    int speech_frames
    int held                # the steps that the gain has risen to
    int waited


cdef inline double agc_peak(const float *samples, int count) noexcept nogil:
    """Return the largest magnitude."""
    cdef double peak = 0
    cdef int i
    for i in range(count):
        peak = max(peak, samples[i], -samples[i])
    return peak


cdef inline int agc_update(
    Agc *state, double power, double peak, bint is_speech
) noexcept nogil:
    """Take a frame's mean power and peak (16-bit units); return its gain step."""
    cdef int wanted, allowed
    if is_speech:
        if state.speech_frames < MEAN_FRAMES:
            state.speech_frames += 1
        state.power += (power - state.power) / state.speech_frames
        # -22 dBov: 20 log10(32768) - 22 = 68.3 dB over one unit.
        wanted = <int> (2 * (68.309 - 10 * log10(state.power + 1)))
        wanted = max(0, min(<int> AGC_STEPS, wanted))
        state.waited += 1
        if wanted < state.held:
            state.held = wanted
        elif wanted > state.held and state.waited >= RISE_FRAMES:
            state.held += 1
            state.waited = 0
    # 32635 is mu-law's largest magnitude (g711.CLIP): 90.27 dB.
    allowed = <int> (2 * (90.27 - 20 * log10(peak + 1)))
    return max(0, min(state.held, allowed))
