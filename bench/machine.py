"""Measurements of processes and numbers that several benches use."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from time import clock_gettime


def spread(values: list[float]) -> dict[str, float]:
    """Return median and 99th percentile."""
    if len(values) < 2:
        return {"p50": float("nan"), "p99": float("nan")}
    cuts = quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3)}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its workers, to the nanosecond.

    A cheap relay uses less than the kernel's ticks of 10 ms can show.
    """
    return sum(clock_gettime(_cpu_clock(one)) for one in _with_workers(pid))


def _cpu_clock(pid: int) -> int:
    """Return the clock id of all threads of a process on Linux.

    This is MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED, of Linux's posix-timers.
    """
    return ~pid << 3 | 2


@contextmanager
def apart(*pids: int) -> Iterator[None]:
    """Keep this process on one processor and others on another, if there are two.

    Else the kernel now and then puts both ends of a socket on the same processor.
    """
    cores = sorted(os.sched_getaffinity(0))
    for pid in pids:
        os.sched_setaffinity(pid, cores[-1:])
    os.sched_setaffinity(0, cores[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process and its workers.

    Shared pages count in each of them.
    """
    pages = sum(
        int(Path(f"/proc/{one}/statm").read_text().split()[1])
        for one in _with_workers(pid)
    )
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _with_workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *(int(one) for one in children.split())]


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
