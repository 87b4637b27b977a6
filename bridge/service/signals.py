"""The signals that stop a service, or tell it that another one has its port."""

import asyncio
import signal


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals to drain on; SIGHUP is one, unless `nohup` ignores it."""
    stops = (signal.SIGTERM, signal.SIGINT)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return stops
    return (*stops, signal.SIGHUP)


class Signals:
    """The signals this process got: to leave the port, to stop, to stop at once.

    `stop` is set by either of the first two, `asked` by the second alone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.taken = asyncio.Event()
        self.stop, self.stop_now = asyncio.Event(), asyncio.Event()
        self.asked = asyncio.Event()
        for number in stop_signals():
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGUSR2, self._on_taken)

    def _on_stop(self) -> None:
        if self.asked.is_set():
            self.stop_now.set()
        self.asked.set()
        self.stop.set()

    def _on_taken(self) -> None:
        self.taken.set()
        self.stop.set()
