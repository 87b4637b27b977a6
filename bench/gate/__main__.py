"""`python -m bench.gate`: score, train and judge the gate.

python -m bench.gate score               the small set against the recorded figures
python -m bench.gate scenes              what callers do, against the recorded figures
python -m bench.gate train               train the speech score and write its weights
python -m bench.gate train-double-talk   the same for the double-talk score
python -m bench.gate evaluate            the evaluator's figures  [--rivals]

All but `score` and `scenes` need `--evaluator DIR`, the evaluator's folder.
"""

import argparse
import sys
from pathlib import Path

from bench.gate import scenes, score
from bridge.settings.options import CallOptions, merge


def main() -> int:
    """Run one of the commands; 0 if it succeeded and no figure got worse."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    scored = commands.add_parser("score", help="score the small set; 1 if worse")
    scored.add_argument("--record", action="store_true", help="record today's figures")
    acted = commands.add_parser("scenes", help="what callers do; 1 if worse")
    acted.add_argument("--only", metavar="NAME", help="scenes whose names begin so")
    acted.add_argument("--record", action="store_true", help="record today's figures")
    acted.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, as GATE_SCORE=off",
    )
    acted.add_argument(
        "--material", type=Path, metavar="CACHE", help="recordings of this cache"
    )
    acted.add_argument("--split", default="dev", help="of the recordings (dev)")
    acted.add_argument("--rivals", action="store_true", help="silero-vad, too")
    trained = commands.add_parser("train", help="train the speech score")
    trained.add_argument("--evaluator", type=Path, required=True, metavar="DIR")
    trained.add_argument("--seeds", default="301,302,303,304,305,401,402,403,404,405")
    trained.add_argument("--steps", type=int, default=3_500)
    second = commands.add_parser(
        "train-double-talk", help="train the double-talk score"
    )
    second.add_argument("--evaluator", type=Path, required=True, metavar="DIR")
    second.add_argument("--steps", type=int, default=3_000)
    judged = commands.add_parser("evaluate", help="the evaluator's figures")
    judged.add_argument("--evaluator", type=Path, required=True, metavar="DIR")
    judged.add_argument("--split", default="dev")
    judged.add_argument("--rivals", action="store_true", help="the rivals too")
    args = parser.parse_args()
    if args.command == "score":
        return score.run(args.record)
    if args.command == "scenes":
        return _scenes(args)
    # The other commands need more than the repository's own packages.
    if args.command == "train":
        from bench.gate import training

        seeds = [int(seed) for seed in args.seeds.split(",")]
        return training.run(args.evaluator, seeds, args.steps)
    if args.command == "train-double-talk":
        from bench.gate import training

        return training.run_double_talk(args.evaluator, args.steps)
    from bench.gate import judging

    return judging.run(args.evaluator, args.split, args.rivals)


def _scenes(args: argparse.Namespace) -> int:
    sounds = rival = None
    if args.material is not None:
        from bench.gate import scene_recordings

        sounds = scene_recordings.recordings(args.material, args.split)
    if args.rivals:
        from bench.gate.silero import Silero

        rival = Silero()
    options = merge(CallOptions(), dict(one.split("=", 1) for one in args.set))
    return scenes.run(args.only, args.record, options, sounds, rival)


if __name__ == "__main__":
    sys.exit(main())
