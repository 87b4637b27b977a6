"""The bridge on a slower processor: every message of a caller's costs SPIN_US more.

The callers of a bench cost as much as the bridge; so that it is at its end before they
are, it is made slower from outside.

    SPIN_US=20 python -m bench.slower serve
"""

import os
import sys
from collections.abc import Callable
from time import thread_time

from picows import WSFrame, WSTransport

from bridge.cli.main import main
from bridge.line import fast_path


def before_messages(work: Callable[[], None]) -> None:
    """Have something done before each message of a caller's."""

    class Listener(fast_path.CallerListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            work()
            super().on_ws_frame(transport, frame)

    fast_path.CallerListener = Listener  # type: ignore[misc]


def spin(seconds: float) -> None:
    """Use so much of the processor."""
    until = thread_time() + seconds
    while thread_time() < until:
        pass


if __name__ == "__main__":
    spin_s = float(os.environ["SPIN_US"]) / 1e6
    before_messages(lambda: spin(spin_s))
    sys.exit(main())
