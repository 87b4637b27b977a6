"""The types of `backlog.pyx`, for compiled code that sends."""

cdef enum:
    C_AUDIO_WAITING_BYTES_MAX = 81_920


cdef class Backlog:
    # None while there is no socket.
    cdef object _size, _drop

    cpdef bint takes(self, bint is_audio, Py_ssize_t before_bytes=*) except -1
