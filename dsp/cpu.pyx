"""What this processor can do beyond what every one of its kind can."""

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #define kolbridge_has_avx2() (__builtin_cpu_init(), __builtin_cpu_supports("avx2"))
    #else
    #define kolbridge_has_avx2() 0
    #endif
    """
    int kolbridge_has_avx2()


def has_avx2():
    """Tell whether the processor and the system have AVX2."""
    return bool(kolbridge_has_avx2())
