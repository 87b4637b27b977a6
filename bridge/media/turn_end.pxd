"""The types of `turn_end.py` where it is compiled; its text is there alone."""


cdef class TurnEnd:
    cdef long long _silence_frames, _turn_frames
    cdef object _levels
    cdef bint _is_ours, _may_open
    cdef double _loudest
    cdef public long long quiet_frames, long_turns

    cpdef note(self, double level, bint is_sound, bint may_open)
    cpdef begin(self)
    cpdef close(self)
    cpdef long long silence_frames(self)
    cpdef bint is_over(self, bint is_gate_open)
    cdef long long _tail_frames(self, long long needed)
    cdef bint _must_wait(self, long long over, double bar)
