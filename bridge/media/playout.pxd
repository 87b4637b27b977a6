"""The types of `playout.py` where it is compiled; its text is there alone."""


cdef class _Item:
    cdef public object item_id
    cdef public long long content_index, before_ms, received_bytes
    cdef public bytearray unsent
    cdef public bint is_done
    cdef public long long first_frame, frames_sent, frames_since_mark

    cpdef bint is_part(self, object item_id, long long content_index)
    cdef bint is_mark_due(self, long long frames)
    cdef bytes take(self, long long frames)


cdef bint _has_ended(_Item item)


cdef class Playout:
    cdef double _lead_s, _refill_s, _delay_s, _clock_end
    cdef object _items, _marks, _flushed, _delays
    cdef bytearray _levels
    cdef long long _levels_first_frame
    cdef readonly long long _unsent_bytes
    cdef _Item _newest
    cdef public long long generation, frames_sent
    cdef public long long refused_bytes, refused_parts, stale_marks, forgotten_marks
    cdef public long long underruns
    cdef public double audible_since
    cdef public bint is_held
    cdef bint _was_held
    cdef public bint is_passing

    cdef _Item _open(self, object item_id, long long content_index)
    cdef long long _room(self, double now)
    cdef _Item _sending(self)
    cdef bytes _send(self, _Item item, long long room, double now)
    cdef _count(self, _Item item, long long frames, double now)
    cdef _mark(self, _Item item)
    cdef _note_levels(self, bytes audio, double now)
    cdef _forget_heard(self, double now)
    cpdef bytes go_on(self, double now)
    cpdef bint is_playing(self, double now)
    cpdef double heard_frames(self, double now)
    cpdef int far_dbfs(self, double now)
