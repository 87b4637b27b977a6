"""What benches ask of the machine and of numbers."""

import os
import socket
from pathlib import Path
from statistics import quantiles


def spread(values: list[float]) -> dict[str, float]:
    """Return median and 99th percentile."""
    if len(values) < 2:
        return {"p50": float("nan"), "p99": float("nan")}
    cuts = quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3)}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process and its workers have used."""
    ticks = 0
    for one in _with_workers(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


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
