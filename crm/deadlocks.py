"""Work that a deadlock undid is done again.

PostgreSQL ends one side of a deadlock after a second, so that the other goes on. Most
transactions lock in one order, and meet none; what deletes or joins people locks what
others hold, in an order that not everybody can keep.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import ParamSpec, TypeVar

import asyncpg

# Each takes a second to be found, and is with a transaction that has ended since.
DEADLOCKS_MAX = 5
_P = ParamSpec("_P")
_T = TypeVar("_T")


def despite_deadlocks(
    work: Callable[_P, Awaitable[_T]],
) -> Callable[_P, Awaitable[_T]]:
    """Return work that is begun anew after each of at most DEADLOCKS_MAX deadlocks."""

    @wraps(work)
    async def done(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for _ in range(DEADLOCKS_MAX):
            with suppress(asyncpg.DeadlockDetectedError):
                return await work(*args, **kwargs)
        return await work(*args, **kwargs)

    return done
