"""`python -m bench.gate`: score, train and judge the gate.

python -m bench.gate score     the small set against the recorded figures
python -m bench.gate scenes    what callers do, against the recorded figures
python -m bench.gate train     fetch the material, train both nets, write them
python -m bench.gate judge     the gate on voices it was not trained on  [--rivals]
"""

import argparse
import sys
from pathlib import Path

from bench.gate import scenes, score
from bridge.settings.options import CallOptions, merge

CACHE = Path("~/.cache/kolbridge-gate").expanduser()


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
        "--material", type=Path, metavar="CACHE", help="recordings of this cache"
    )
    acted.add_argument("--split", default="dev", help="of the recordings (dev)")
    acted.add_argument("--rivals", action="store_true", help="silero-vad, too")
    acted.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, as GATE_SCORE=off",
    )
    trained = commands.add_parser("train", help="train the learned scores")
    _add_cache(trained)
    trained.add_argument("--out", type=Path, help="the folder (dsp)")
    trained.add_argument(
        "--small",
        action="store_true",
        help="two minutes on the packaged clips, to try the whole path; needs --out",
    )
    judged = commands.add_parser("judge", help="figures on held-out material")
    _add_cache(judged)
    judged.add_argument("--split", choices=("dev", "test"), default="dev")
    judged.add_argument("--calls", type=int, default=200, help="how many (200)")
    judged.add_argument("--rivals", action="store_true", help="the rivals too")
    args = parser.parse_args()
    if args.command == "score":
        return score.run(args.record)
    if args.command == "scenes":
        return _scenes(args)
    if args.command == "train":
        return _train(parser, args)
    # What follows needs the extra `gate-training`.
    from bench.gate import judging

    return judging.run(args.cache, args.split, args.calls, args.rivals)


def _scenes(args: argparse.Namespace) -> int:
    sounds = rival = None
    if args.material is not None:
        from bench.gate import scene_recordings

        sounds = scene_recordings.recordings(args.material, args.split)
    if args.rivals:
        from bench.gate import rivals

        rival = rivals.silero_sent
    options = merge(CallOptions(), dict(one.split("=", 1) for one in args.set))
    return scenes.run(args.only, args.record, options, sounds, rival)


def _add_cache(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache", type=Path, default=CACHE, help=f"where the material lies ({CACHE})"
    )


def _train(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    if args.small and args.out is None:
        parser.error("--small: expected --out FOLDER; it must not replace what ships")
    from bench.gate import manifest, material, training

    if args.small:
        return training.run_small(args.out)
    try:
        return training.run(args.cache, args.out or training.DSP)
    except (material.MissingPackages, manifest.WrongMaterial) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
