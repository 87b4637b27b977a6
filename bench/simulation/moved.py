"""A simulated call whose process dies, and which goes on in another one.

The first process leads the call for some time. What the second one is given is its
checkpoint, as bytes, and nothing else: another phone and another model meet it.
"""

from random import Random

import msgspec

from bench.simulation.invariant import check
from bench.simulation.world import World
from bridge.call import checkpoint

# When the process dies.
DIES_S = (0.5, 40.0)
# The second part of a call is another seed's, so that both have their own faults.
SECOND = 1_000_000


def run(seed: int) -> World | None:
    """Run both parts of a call; return the second, None if the call was over before.

    Raises `Broken` if an invariant is broken, or if the second process has lost what
    was said or done.
    """
    first = World(seed)
    first.run(Random(seed).uniform(*DIES_S))
    if first.is_over:
        return None
    before = first.call.record(first.now)
    kept = checkpoint.encode(first.call.checkpoint(first.now))
    check(first.call.record(first.now) == before, "a checkpoint changes nothing")
    saved = checkpoint.decode(checkpoint.FORMAT, kept)
    second = World(seed + SECOND, msgspec.structs.replace(first.plan, resumed=saved))
    second.run()
    record = second.call.record(second.now)
    said = {turn.item_id for turn in record.turns}
    was_said = {turn.item_id for turn in saved.turns if any(turn.parts.values())}
    check(was_said <= said, "one record has what was said in both parts")
    ran = {tool.tool_call_id for tool in record.tools}
    check({tool.tool_call_id for tool in saved.tools} <= ran, "and all tools")
    if first.operator is not None:
        first.operator.check_notes(record)
    check(record.rx_frames >= before.rx_frames, "and all frames")
    return second
