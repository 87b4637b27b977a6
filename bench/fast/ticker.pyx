# cython: language_level=3
"""A periodic timer of the kernel: the event loop's timers round up to whole ms."""

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


cdef class Ticker:
    """Calls `on_tick(number)` every `period_s`; makes up for the ticks of a delay."""

    cdef object on_tick, loop
    cdef int fd
    cdef uint64_t number

    def __init__(self, on_tick, double period_s):
        cdef itimerspec when
        self.on_tick, self.loop = on_tick, asyncio.get_running_loop()
        self.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        when.it_interval.tv_sec = <long>period_s
        when.it_interval.tv_nsec = <long>((period_s - <long>period_s) * 1e9)
        when.it_value = when.it_interval
        if self.fd < 0 or timerfd_settime(self.fd, 0, &when, NULL):
            raise OSError("no timer")
        self.loop.add_reader(self.fd, self._on_timer)

    def _on_timer(self):
        """Tick once for each period that has passed."""
        cdef uint64_t due = int.from_bytes(os.read(self.fd, 8), "little")
        while due and self.fd >= 0:
            self.on_tick(self.number)
            self.number += 1
            due -= 1

    def stop(self):
        """Stop the timer."""
        if self.fd >= 0:
            self.loop.remove_reader(self.fd)
            os.close(self.fd)
            self.fd = -1
