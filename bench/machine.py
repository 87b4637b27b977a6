"""What benches ask of the machine and of numbers."""

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
    """Return the CPU time a process and its workers have used, to the nanosecond:
    ticks of 10 ms are coarser than what a cheap relay uses."""
    return sum(clock_gettime(_cpu_clock(one)) for one in _with_workers(pid))


def _cpu_clock(pid: int) -> int:
    """Return the clock of all threads of a process, as Linux numbers them
    (MAKE_PROCESS_CPUCLOCK of CPUCLOCK_SCHED in its posix-timers)."""
    return ~pid << 3 | 2


@contextmanager
def apart(*pids: int) -> Iterator[None]:
    """Keep this process on one processor and others on another, where there are two:
    left alone, the kernel puts who wakes and who is woken on one now and then."""
    cores = sorted(os.sched_getaffinity(0))
    for pid in pids:
        os.sched_setaffinity(pid, cores[-1:])
    os.sched_setaffinity(0, cores[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def rss_mb(pid: int) -> float:
    """Return the memory a process and its workers have in use; shared pages count in
    each of them."""
    pages = sum(
        int(Path(f"/proc/{one}/statm").read_text().split()[1])
        for one in _with_workers(pid)
    )
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _with_workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *(int(one) for one in children.split())]


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
