"""One message in fifty is answered 2 ms late, and so is whatever waits behind it.

In every message it would be more sleep than there is time: 200 calls bring 10,000 a
second.
"""

import sys
import time
from itertools import count
from typing import Any

from bench.sabotage import go_on
from bridge.line import Line

EVERY = 50
SLEEP_S = 0.002


def apply() -> None:
    """Patch the line."""
    receive, numbers = Line.receive, count()

    def late(self: Line, door: Any, *what: Any) -> None:
        if next(numbers) % EVERY == 0:
            time.sleep(SLEEP_S)
        receive(self, door, *what)

    Line.receive = late  # type: ignore[method-assign]


if __name__ == "__main__":
    apply()
    sys.exit(go_on())
