# cython: language_level=3
"""A steady beat, by a timer of the kernel's: the loop's own are a ms fine and round up.
"""

import asyncio
import os

from libc.stdint cimport uint64_t

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC

cdef extern from "sys/timerfd.h" nogil:
    struct itimerspec:
        timespec it_interval
        timespec it_value
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec *when, itimerspec *was)
    int TFD_NONBLOCK, TFD_CLOEXEC


cdef class Beat:
    """Calls `strike(number)` every `period_s`, after a delay as often as was missed."""

    cdef object strike, loop
    cdef int fd
    cdef uint64_t number

    def __init__(self, strike, double period_s):
        cdef itimerspec when
        self.strike, self.loop = strike, asyncio.get_running_loop()
        self.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        when.it_interval.tv_sec = <long>period_s
        when.it_interval.tv_nsec = <long>((period_s - <long>period_s) * 1e9)
        when.it_value = when.it_interval
        if self.fd < 0 or timerfd_settime(self.fd, 0, &when, NULL):
            raise OSError("no timer")
        self.loop.add_reader(self.fd, self.sound)

    def sound(self):
        """Strike as often as is due."""
        cdef uint64_t due = int.from_bytes(os.read(self.fd, 8), "little")
        while due and self.fd >= 0:
            self.strike(self.number)
            self.number += 1
            due -= 1

    def stop(self):
        """Strike no more."""
        if self.fd >= 0:
            self.loop.remove_reader(self.fd)
            os.close(self.fd)
            self.fd = -1
