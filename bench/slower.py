"""The bridge on a slower processor: every message of a caller's costs SPIN_US more.

The callers of a bench cost as much as the bridge; so that it is at its end before they
are, it is made slower from outside.

    SPIN_US=20 python -m bench.slower serve
"""

import os
import sys
from time import thread_time
from typing import Any

from bridge.cli import main
from bridge.legs import TwilioLeg
from bridge.twilio import Start


def apply(spin_s: float) -> None:
    """Patch the caller's leg: the work comes before each message of a call."""
    claim = TwilioLeg._claim

    def slowly(self: TwilioLeg, start: Start) -> None:
        claim(self, start)
        take = self.on_ws_frame

        def spin_and_take(*what: Any) -> None:
            until = thread_time() + spin_s
            while thread_time() < until:
                pass
            take(*what)

        if "on_ws_frame" in vars(self):
            vars(self)["on_ws_frame"] = spin_and_take

    TwilioLeg._claim = slowly  # type: ignore[method-assign]


if __name__ == "__main__":
    apply(float(os.environ["SPIN_US"]) / 1e6)
    sys.exit(main())
