"""Questions at the terminal, which Ctrl-C and Ctrl-D end at once."""

import signal
from collections.abc import Callable

from bridge.business.opening_hours import TenantError


def ask(read: Callable[[str], str], prompt: str) -> str:
    """Return what `read` was given at a prompt, such as `input`.

    Raises KeyboardInterrupt at the first Ctrl-C, which asyncio would only note while
    the terminal is read, and TenantError where the input ends.
    """
    noted = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return read(prompt)
    except EOFError:
        raise TenantError("nothing was done: no answer was given") from None
    finally:
        signal.signal(signal.SIGINT, noted)
