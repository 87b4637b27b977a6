# 300-3400 Hz Butterworth band-pass, 4th order, at 8 kHz:
#   scipy.signal.butter(2, [300, 3400], btype="bandpass", fs=8000, output="sos")
# -28 dB at 60 Hz (mains hum), -3 dB at 300 and 3400 Hz, 0 dB at 1 kHz.
# tests/dsp/test_bandpass.py recomputes the numbers and measures the response.
# Two sections in transposed direct form II; a1 and a2 are subtracted.

cdef struct Bandpass:
    float z[4]

cdef enum:
    BANDPASS_HZ_LOW = 300
    BANDPASS_HZ_HIGH = 3400


cdef inline float _flushed(float z) noexcept nogil:
    # 1e-9 of a 16-bit step is inaudible, and far above the first subnormal (1e-38).
    return z if z > 1e-9 or z < -1e-9 else 0


cdef inline void bandpass_run(
    Bandpass *state, const float *source, float *target, int n
) noexcept nogil:
    """Filter n samples; then flush state that would turn subnormal in silence."""
    cdef float z0 = state.z[0], z1 = state.z[1], z2 = state.z[2], z3 = state.z[3]
    cdef float x, u, y
    cdef int i
    for i in range(n):
        x = source[i]
        u = <float> 0.6031972438993125 * x + z0
        z0 = <float> 1.206394487798625 * x - <float> -1.3423045143340906 * u + z1
        z1 = <float> 0.6031972438993125 * x - <float> 0.516380128598303 * u
        y = u + z2
        z2 = <float> -2.0 * u - <float> -1.6675616713630557 * y + z3
        z3 = u - <float> 0.7176625588018256 * y
        target[i] = y
    state.z[0] = _flushed(z0)
    state.z[1] = _flushed(z1)
    state.z[2] = _flushed(z2)
    state.z[3] = _flushed(z3)
