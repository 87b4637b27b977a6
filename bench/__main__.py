"""`python -m bench`: measure, print, write JSON, and fail where a budget is broken.

`python -m bench simulate` runs simulated calls instead; `python -m bench database`
measures calls while tools run and while the database hangs; `python -m bench barge`
times interruptions over recorded speech and counts false ones in nine noises;
`python -m bench turns` times the ends of turns; `python -m bench tools` the CRM's tools
against a full database; `python -m bench overload` offers half as many calls again as
the bridge can carry; `python -m bench restart` replaces bridges under load and looks
for lost calls and records; `python -m bench unruly` has callers behave badly beside
others; `python -m bench peers` runs the same load against relays and other bridges.
"""

import argparse
import sys
from pathlib import Path

import orjson

from bench import (
    barge,
    database,
    kernels,
    load,
    overload,
    restart,
    tools,
    turns,
    unruly,
    walks,
)
from bench.peers import run as peers
from bench.simulation import run as simulation


def main() -> int:
    """Run what is asked for; 1 if a budget or a law is broken."""
    if sys.argv[1:2] == ["simulate"]:
        return simulation.main(sys.argv[2:])
    if sys.argv[1:2] == ["database"]:
        return database.main(sys.argv[2:])
    if sys.argv[1:2] == ["barge"]:
        return barge.main(sys.argv[2:])
    if sys.argv[1:2] == ["turns"]:
        return turns.main(sys.argv[2:])
    if sys.argv[1:2] == ["peers"]:
        return peers.main(sys.argv[2:])
    if sys.argv[1:2] == ["overload"]:
        return overload.main(sys.argv[2:])
    if sys.argv[1:2] == ["restart"]:
        return restart.main(sys.argv[2:])
    if sys.argv[1:2] == ["unruly"]:
        return unruly.main(sys.argv[2:])
    if sys.argv[1:2] == ["tools"]:
        return tools.main()
    return measure()


def measure() -> int:
    """Run the benches; 1 if a budget is broken."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/results/latest.json"))
    parser.add_argument("--calls", type=int, default=50, help="of the load run (50)")
    parser.add_argument("--seconds", type=float, default=6.0, help="it lasts (6)")
    args = parser.parse_args()
    by_kernel = kernels.measure()
    print("\n".join(kernels.table(by_kernel)))
    by_walk = walks.measure()
    print("\n".join(f"{name:20}{value:10.2f}" for name, value in by_walk.items()))
    by_load = load.run_load(args.calls, args.seconds)
    print(orjson.dumps(by_load).decode())
    args.json.parent.mkdir(parents=True, exist_ok=True)
    results = {"kernels_ns": by_kernel, "walks": by_walk, "load": by_load}
    args.json.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    broken = kernels.judge(by_kernel) + walks.judge(by_walk)
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
