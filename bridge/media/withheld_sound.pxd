"""The types of `withheld_sound.py` where it is compiled; its text is there alone."""


cdef class WithheldSound:
    cdef long long _late_frames, _preroll_frames
    cdef long long _since_frames, _own_frames, _open_frames, _doubted_frames
    cdef long long _gap_frames
    cdef public long long frames, tail_frames

    cpdef begin_in_turn(self, long long frames)
    cpdef note(
        self, bint is_own, bint is_open, bint would_open, bint is_audible,
        bint is_echoless
    )
    cdef long long _first_frames(self)
    cdef _note_open(self, bint is_open, bint would_open)
    cpdef note_gap(self, long long frames)
    cpdef forget(self)
