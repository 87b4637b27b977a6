"""The sockets of a load run's ends."""

from libc.stdint cimport uint8_t

cdef extern from "stamps.h":
    int CLOCK_MONOTONIC
    double clock_s(int clock) nogil
    int stamp_all(int fd) nogil
    ssize_t receive_stamped(int fd, void *into, size_t room, double *at) nogil

cpdef enum:
    TEXT = 1
    BINARY = 2


cdef class Wires:
    cdef int epoll
    cdef dict living
    cdef object loop

    cdef int watch(self, Wire wire, int what) except -1
    cdef int forget(self, Wire wire) except -1


cdef class Wire:
    cdef Wires wires
    cdef End end
    cdef object tls
    cdef int fd
    cdef bint is_client, is_resting
    # The start of an incomplete message; the data that the socket did not take.
    cdef bytes left, waiting

    cdef int receive(self) except -1
    cdef ssize_t take_frames(self, uint8_t *data, size_t used, double at) except -1
    cdef int take(self, int kind, uint8_t *data, size_t size, double at) except -1
    cpdef send(self, bytes data, int kind=*)
    cdef int put(self, int kind, const uint8_t *data, size_t size) except -1
    cdef int write_out(self, const uint8_t *data, size_t size) except -1
    cdef int flush(self) except -1
    cpdef hang_up(self)


cdef class End:
    cdef public Wire wire

    cdef int take(self, const uint8_t *data, size_t size, double at) except -1
