"""One message in fifty is answered 2 ms late, and so are the messages behind it.

A sleep in every message would need more time than there is: 200 calls send 10,000
messages a second.
"""

import sys
import time
from itertools import count
from typing import Any

from bench.slowdowns import go_on
from bench.slower import before_messages
from bridge.line.driver import CallDriver

EVERY = 50
SLEEP_S = 0.002


def apply() -> None:
    """Patch the fast path and the long one."""
    numbers, receive = count(), CallDriver.receive

    def sleep_at_times() -> None:
        if next(numbers) % EVERY == 0:
            time.sleep(SLEEP_S)

    def receive_late(self: CallDriver, *what: Any) -> None:
        sleep_at_times()
        receive(self, *what)

    CallDriver.receive = receive_late  # type: ignore[method-assign]
    before_messages(sleep_at_times)


if __name__ == "__main__":
    apply()
    sys.exit(go_on())
