"""`python -m bench`: measure, print, write JSON, and fail if a budget is broken.

Without an argument it runs everything that CI gates on: `counts`, `kernels`, `walks`
and `latency`. Each of them also runs alone, as do the others. Their `--help` says more:

    self-test shows that the gate detects slow-downs
    simulate  thousands of simulated calls, and the invariants they keep
    capacity  what a call costs, compared with a bare relay
    peers     the same load on relays and other bridges
    barge     interruptions by recorded speech; false ones in nine noises
    turns     the ends of turns
    greeting  from `start` to the greeting
    tools     the CRM's tools against a full database
    database  calls while tools run, and while the database hangs
    overload  150 % of the capacity
    restart   bridges replaced under load: no call and no record is lost
    chaos     nodes killed, frozen and drained: no call and no record is lost
    messages  conversations in writing, while parts are killed; and beside calls
    bad-input callers with bad input among others
    consoles  frame latency with ten open live pages
"""

import sys
from importlib import import_module

from bench.command_line import parser_of

COMMANDS = {
    "counts": "bench.counts",
    "kernels": "bench.reference",
    "walks": "bench.walks",
    "latency": "bench.latency",
    "self-test": "bench.gate_self_test",
    "simulate": "bench.simulation.run",
    "capacity": "bench.capacity",
    "peers": "bench.peers.run",
    "barge": "bench.barge",
    "turns": "bench.turns",
    "greeting": "bench.greeting",
    "tools": "bench.tools",
    "database": "bench.database",
    "overload": "bench.overload",
    "restart": "bench.restart",
    "chaos": "bench.chaos.run",
    "messages": "bench.messages.run",
    "bad-input": "bench.bad_input",
    "consoles": "bench.consoles",
}
GATES = ("counts", "kernels", "walks", "latency")
# These commands have no options.
PLAIN = ("counts", "kernels", "walks", "tools")


def main() -> int:
    """Run the command; 1 if a budget or an invariant is broken."""
    words = sys.argv[1:]
    if not words:
        return max(run(name, []) for name in GATES)
    if words[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if words[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    return run(words[0], words[1:])


def run(name: str, words: list[str]) -> int:
    """Run one command; its module is imported only now."""
    module = import_module(COMMANDS[name])
    if name in PLAIN:
        parser_of(name, module.__doc__).parse_args(words)
    code: int = module.main(words)
    return code


if __name__ == "__main__":
    sys.exit(main())
