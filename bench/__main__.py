"""`python -m bench`: measure, print, write JSON, and fail where a budget is broken.

Without a word all that CI gates on: `counts`, `kernels`, `walks` and `latency`; each of
them also alone. `bite` shows that the gate sees what it is for. `simulate` runs
simulated calls; `database` measures calls while tools run and while the database hangs;
`barge` times interruptions over recorded speech and counts false ones in nine noises;
`turns` times the ends of turns; `greeting` from `start` to the greeting; `tools` the
CRM's tools against a full database; `overload` offers half as many calls again as the
bridge can carry; `restart` replaces bridges under load and looks for lost calls and
records; `unruly` has callers behave badly beside others; `peers` runs the same load
against relays and other bridges.
"""

import sys
from importlib import import_module

COMMANDS = {
    "counts": "bench.counts",
    "kernels": "bench.reference",
    "walks": "bench.walks",
    "latency": "bench.latency",
    "bite": "bench.bite",
    "simulate": "bench.simulation.run",
    "database": "bench.database",
    "barge": "bench.barge",
    "turns": "bench.turns",
    "greeting": "bench.greeting",
    "tools": "bench.tools",
    "overload": "bench.overload",
    "restart": "bench.restart",
    "unruly": "bench.unruly",
    "peers": "bench.peers.run",
}
GATES = ("counts", "kernels", "walks", "latency")


def main() -> int:
    """Run what is asked for; 1 if a budget or a law is broken."""
    words = sys.argv[1:]
    if not words:
        return max(run(name, []) for name in GATES)
    if words[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    return run(words[0], words[1:])


def run(name: str, words: list[str]) -> int:
    """Run one command; its module is only imported now."""
    module = import_module(COMMANDS[name])
    code: int = module.main(words)
    return code


if __name__ == "__main__":
    sys.exit(main())
