"""The parent of several workers: starts, restarts and stops them.

The parent serves no call and has no thread and no event loop, so that it can fork at
any time. The parent holds the listening socket, which outlives any worker: if a worker
dies while a connection waits, another worker takes the connection. A worker notices the
death of the parent by its lifeline, a pipe that only the parent holds open.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from bridge.service.signals import stop_signals
from bridge.telemetry.log import write_line

# A worker that dies younger than this is restarted after a growing pause.
YOUNG_S = 10.0
PAUSE_S_MAX = 30.0
# The pause when the system has no room for another process.
FORK_PAUSE_S = 1.0
# How often the parent checks what it keeps running for its workers.
TEND_EVERY_S = 0.25

# Serve as worker `index` with a lifeline; returns the exit code.
ServeWorker = Callable[[int, int], int]


class _Worker(NamedTuple):
    number: int
    started_at: float


class Supervisor:
    """The workers of one service; `run` returns when the last has ended."""

    def __init__(
        self,
        count: int,
        serve: ServeWorker,
        secrets: Iterable[str],
        tend: Callable[[], None] | None = None,
    ) -> None:
        self._tend = tend
        self._count = count
        self._serve = serve
        self._secrets = tuple(secrets)
        self._running: dict[int, _Worker] = {}
        self._due: dict[int, float] = {}
        self._deaths = [0] * count
        self._is_stopping = False
        self._code = 0
        # SIGUSR2 says that another service has the port; a worker sends it to its
        # parent.
        self._heard = (signal.SIGCHLD, *stop_signals(), signal.SIGUSR2)
        self._lifeline, self._held_open = os.pipe()

    def run(self) -> int:
        """Serve until a signal to stop; return 0, or why no worker could start."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._heard)
        for index in range(self._count):
            self._start(index)
        while self._running or (self._due and not self._is_stopping):
            heard = signal.sigtimedwait(self._heard, self._wait_s())
            if heard is not None and heard.si_signo != signal.SIGCHLD:
                self._stop(heard.si_signo)
            if self._tend is not None:
                self._tend()
            self._bury()
            self._start_due()
        return self._code

    def _start(self, index: int) -> None:
        # Flush before the fork, or the child writes the buffered output a second time.
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as error:
            self._say(f"worker {index} cannot be started yet: {error.strerror}")
            self._due[index] = time.monotonic() + FORK_PAUSE_S
            return
        if pid:
            self._running[pid] = _Worker(index, time.monotonic())
            return
        code = 1
        try:
            # Leave the terminal's group, so that an interrupt comes once, from the
            # parent.
            os.setpgrp()
            os.close(self._held_open)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._heard)
            code = self._serve(index, self._lifeline)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _bury(self) -> None:
        """Note every worker that has ended; ignore other child processes."""
        for pid, worker in list(self._running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._running[pid]
            code = os.waitstatus_to_exitcode(status)
            if self._is_stopping:
                self._code = self._code or max(code, 0)
                continue
            self._replace(worker, code)

    def _replace(self, worker: _Worker, code: int) -> None:
        lived_s = time.monotonic() - worker.started_at
        is_young = lived_s < YOUNG_S
        if is_young and code > 0 and self._deaths[worker.number] == 0:
            # The worker logged its own reason; the others would fail alike.
            self._code = code
            self._stop(signal.SIGTERM)
            return
        self._deaths[worker.number] = self._deaths[worker.number] + 1 if is_young else 1
        pause_s = 0.0
        if is_young:
            pause_s = min(PAUSE_S_MAX, 2.0 ** (self._deaths[worker.number] - 1))
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._say(
            f"worker {worker.number} ended by {how} after {lived_s:.0f} s, its calls "
            f"with it; it is started again in {pause_s:.0f} s"
        )
        self._due[worker.number] = time.monotonic() + pause_s

    def _start_due(self) -> None:
        if self._is_stopping:
            return
        now = time.monotonic()
        for index in [index for index, at in self._due.items() if at <= now]:
            del self._due[index]
            self._start(index)

    def _stop(self, number: int) -> None:
        """Pass a signal on; each worker takes it as a single process does."""
        self._is_stopping = True
        self._due.clear()
        for pid in self._running:
            os.kill(pid, number)

    def _wait_s(self) -> float:
        longest_s = 60.0 if self._tend is None else TEND_EVERY_S
        if not self._due:
            return longest_s
        until_due_s = max(0.0, min(self._due.values()) - time.monotonic())
        return min(longest_s, until_due_s)

    def _say(self, text: str) -> None:
        write_line(logging.ERROR, text, self._secrets)
