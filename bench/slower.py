"""The bridge on a slower processor: each message of a caller costs SPIN_US more.

The callers of a bench cost as much as the bridge. The bridge is made slower, so that it
reaches its limit before they do.

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
    """Have a function called before each message of a caller."""

    class Listener(fast_path.CallerListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            work()
            super().on_ws_frame(transport, frame)

    fast_path.CallerListener = Listener  # type: ignore[misc]


def spin(seconds: float) -> None:
    """Use the processor for so long."""
    until = thread_time() + seconds
    while thread_time() < until:
        pass


if __name__ == "__main__":
    spin_s = float(os.environ["SPIN_US"]) / 1e6
    before_messages(lambda: spin(spin_s))
    sys.exit(main())
