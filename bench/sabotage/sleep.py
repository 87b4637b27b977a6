"""One message in fifty is answered 2 ms late, and so is whatever waits behind it.

In every message it would be more sleep than there is time: 200 calls bring 10,000 a
second.
"""

import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from bench.sabotage import go_on
from bridge.line import Line

EVERY = 50
SLEEP_S = 0.002


def apply() -> None:
    """Patch the line."""
    numbers = count()

    def late(way: Callable[..., Any]) -> Callable[..., Any]:
        def slept(*what: Any) -> Any:
            if next(numbers) % EVERY == 0:
                time.sleep(SLEEP_S)
            return way(*what)

        return slept

    Line.receive = late(Line.receive)  # type: ignore[method-assign]
    Line.hear = late(Line.hear)  # type: ignore[method-assign]


if __name__ == "__main__":
    apply()
    sys.exit(go_on())
