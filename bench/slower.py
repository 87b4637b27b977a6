"""The bridge on a slower processor: every message of a caller's costs SPIN_US more.

The callers of a bench cost as much as the bridge; so that it is at its end before they
are, it is made slower from outside.

    SPIN_US=20 python -m bench.slower serve
"""

import os
import sys
from collections.abc import Callable
from time import thread_time
from typing import Any

from bridge.cli import main
from bridge.legs import TwilioLeg
from bridge.twilio import Start


def before_messages(work: Callable[[], None]) -> None:
    """Patch the caller's leg: have something done before each message of a call."""
    claim = TwilioLeg._claim

    def claim_and_work(self: TwilioLeg, start: Start) -> None:
        claim(self, start)
        take = self.on_ws_frame

        def work_and_take(*what: Any) -> None:
            work()
            take(*what)

        if "on_ws_frame" in vars(self):
            vars(self)["on_ws_frame"] = work_and_take

    TwilioLeg._claim = claim_and_work  # type: ignore[method-assign]


def spin(seconds: float) -> None:
    """Use so much of the processor."""
    until = thread_time() + seconds
    while thread_time() < until:
        pass


if __name__ == "__main__":
    spin_s = float(os.environ["SPIN_US"]) / 1e6
    before_messages(lambda: spin(spin_s))
    sys.exit(main())
