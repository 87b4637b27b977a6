"""Queries whose answer is waited for no longer than a caller can wait.

A query cannot be cancelled in time while the database hangs: its cancellation asks the
database to stop it, and waits for the answer.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
# A task that nothing holds may vanish before its end.
_LATE: set[asyncio.Task[Any]] = set()


async def answer(asking: Coroutine[Any, Any, _T], patience_s: float) -> _T:
    """Return a query's answer, or raise TimeoutError and abandon the query.

    The query is cancelled but not awaited.
    """
    task = asyncio.get_running_loop().create_task(asking)
    try:
        await asyncio.wait((task,), timeout=patience_s)
    finally:
        if not task.done():
            task.cancel()
            _LATE.add(task)
            task.add_done_callback(_forget)
    if not task.done():
        raise TimeoutError
    return task.result()


def _forget(task: asyncio.Task[Any]) -> None:
    _LATE.discard(task)
    if not task.cancelled():
        # Nobody waits for the error any more: it is taken, so that it is not logged.
        task.exception()
