"""The types of `playout.py` where it is compiled; its text is there alone."""


cdef class Playout:
    cdef double _lead_s, _refill_s, _delay_s, _clock_end
    cdef object _items, _marks, _delays
    cdef bytearray _levels
    cdef long long _levels_first_frame
    cdef readonly long long _unsent_bytes
    cdef public long long generation, frames_sent
    cdef public long long refused_bytes, stale_marks, forgotten_marks
    cdef public long long marks_sent, echoes
    cdef public double audible_since
    cdef public bint is_held

    cpdef bint is_playing(self, double now)
    cpdef double heard_frames(self, double now)
    cpdef int far_dbfs(self, double now)
