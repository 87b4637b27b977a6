"""The types of `voice_run.py` where it is compiled; its text is there alone."""


cdef class VoiceRun:
    cdef public double frames, own_frames
    cdef public long long age_frames
    cdef long long _gap_frames
    cdef double _clear_frames, _clear_own_frames
    cdef long long _clear_age_frames, _clear_gap_frames

    cpdef note(self, bint is_faint, bint is_clear, bint is_echo)
    cpdef restart(self)
