"""What `audio.pyx` offers to compiled code."""

cdef enum:
    C_HEAD_ROOM = 14

cpdef append_into(bytearray buffer, bytes audio)
