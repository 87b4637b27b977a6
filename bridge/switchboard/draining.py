"""Draining: how the calls of a process that must stop are ended.

Calls have the operator's drain time to end by themselves. Then each call is told to say
goodbye after its current reply, and has a limited time for its last words. A reply that
began before is not cut: the caller hears it to its end as far as the stop gives time.
That is QUESTION_S more if the process must stop at once, and REPLY_S more if it had
time to drain.
"""

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from time import monotonic

from bridge.call.last_turn import SHUTDOWN
from bridge.line.driver import CallDriver

# How long a process that must stop waits for Twilio to ask what comes next.
QUESTION_S = 2.0
# A reply of 12 s is a long one. The reply, the last words, Twilio's question and the
# records fit in the 20 s that README tells an operator to allow beyond DRAIN_SECONDS.
REPLY_S = 6.0
LOOK_S = 0.05


async def end_in_time(
    lines: Callable[[], Collection[CallDriver]],
    no_calls: asyncio.Event,
    *,
    patience_s: float,
    farewell_s: float,
) -> None:
    """End the calls: wait for them, then have them say goodbye, then end them now."""
    if await wait_for(no_calls, patience_s):
        return
    for line in list(lines()):
        hang_up = partial(line.call.receive_hangup, politely=True)
        line.receive(hang_up, SHUTDOWN)
    await wait_for(no_calls, farewell_s)
    latest = monotonic() + (REPLY_S if patience_s else QUESTION_S)
    while any(map(_is_heard, lines())) and monotonic() < latest:
        await wait_for(no_calls, LOOK_S)
    for line in list(lines()):
        line.receive(line.call.receive_hangup, SHUTDOWN)


def _is_heard(line: CallDriver) -> bool:
    """Tell whether the caller hears the AI, or is about to."""
    playout = line.call.playout
    return playout.is_playing(monotonic()) or playout.has_unsent


async def wait_for(event: asyncio.Event, patience_s: float) -> bool:
    """Wait for an event for a limited time; tell whether it came."""
    try:
        async with asyncio.timeout(patience_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
