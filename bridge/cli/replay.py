"""`kolbridge replay`: replays a recorded call and explains its decisions."""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from bridge.cli.database import run_with_database
from bridge.cli.pictures import NoPicturesError
from bridge.recorder.explain import Decision
from bridge.recorder.explained import beginning, noted
from bridge.recorder.far import CallId
from bridge.recorder.parts import Part, files_of, joined
from bridge.recorder.recording import SUFFIX, Recording, RecordingError, read, rewrite
from bridge.recorder.replay import Difference, Measures, Replay
from bridge.recorder.timelines import TimelineError, Timelines
from bridge.service.between_nodes import BetweenNodes
from bridge.service.node_recordings import NodeRecordings
from bridge.service.other_nodes import OtherNodes
from bridge.settings.process import Settings, SettingsError, load
from bridge.telemetry.metrics import Metrics
from crm import businesses, calls
from crm.database import Database

EXIT_DIFFERENT = 1
EXIT_UNUSABLE = 2
WHY_CHARS = 100
DIFFERENCE_CHARS = 200
DESCRIPTION = """\
Run each recorded CALL through the same code without sockets, compare every byte
of the answers with the recorded answers, and show what opened each turn and
what interrupted the AI."""
EXAMPLES = """examples:
  kolbridge replay recordings/CA0123.zip
  kolbridge replay CA0123                            searched in RECORD_DIR
  kolbridge replay CA0123 --fetch                    and on the other nodes
  kolbridge replay CA0123.zip --plot CA0123.png
  kolbridge replay tests/recordings/*.zip            exit code 1 if one differs
  kolbridge replay tests/recordings/*.zip --accept   accept the new answers

`kolbridge serve` records calls with RECORD_DIR=recordings. Replay byte for byte also
needs RECORD_AUDIO=1. A recording in tests/recordings/ is a test. A call that went on in
another process has a file for each process: CA0123.zip, CA0123.2.zip. A CallSid stands
for all of them that RECORD_DIR has, read as one. --fetch asks the nodes that share
the database for the others, and keeps none of them.
Exit codes: 0 same as recorded, or explained only; 1 different; 2 not usable.
"""


def add_parser(subparsers: Any) -> None:
    """Add `replay` to the command line."""
    parser = subparsers.add_parser(
        "replay",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "calls",
        nargs="+",
        metavar="CALL",
        help="a file, or the CallSid of a recorded call",
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw one call")
    parser.add_argument(
        "--accept",
        action="store_true",
        help="write the new answers into the recording",
    )
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="ask the other nodes for the parts that are not here",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay each recording; return the worst exit code."""
    try:
        if args.plot is not None and len(args.calls) > 1:
            raise RecordingError("--plot draws one call")
        if args.fetch:
            return _run_fetched(args)
        return max(_replay(_find(call), args.plot, args.accept) for call in args.calls)
    except (RecordingError, SettingsError, NoPicturesError, OSError) as error:
        print(f"kolbridge replay: {error}", file=sys.stderr)
        return EXIT_UNUSABLE


def _run_fetched(args: argparse.Namespace) -> int:
    if args.accept:
        raise RecordingError("--accept: expected without --fetch, which keeps no file")
    codes: list[int] = []
    with TemporaryDirectory() as folder:
        for number, call in enumerate(args.calls):
            found: list[Path] = []
            steps = partial(_fetch, call, Path(folder) / str(number), found)
            if code := run_with_database("replay", steps):
                return code
            codes.append(_replay(found, args.plot, False))
    return max(codes)


async def _fetch(
    call: str, folder: Path, found: list[Path], db: Database, settings: Settings
) -> None:
    """Add the files of a call's parts to `found`, fetched into a folder if they lie on
    other nodes."""
    if not settings.public_url:
        raise RecordingError("--fetch: expected PUBLIC_URL, as the nodes have it")
    row = await _row_of(call, db)
    whose = CallId(call, row["business_id"], tuple(row["nodes"]))
    # By name no node is this command's: the one of this machine is asked, too.
    nodes = OtherNodes(db, BetweenNodes(settings, settings.public_url.rstrip("/")), "")
    record_dir = None if settings.record_dir is None else Path(settings.record_dir)
    far = NodeRecordings(nodes, Metrics())
    timelines = Timelines(record_dir, folder, far)
    try:
        parts, is_whole = await timelines.files(whose)
        if not is_whole:
            print("a node that had the call does not answer", file=sys.stderr)
        if not parts:
            raise RecordingError(f"{call}: no node has a recording of it")
        found += await timelines.fetch(whose, parts, folder)
    except TimelineError as error:
        raise RecordingError(f"{call}: {error}") from None
    finally:
        await nodes.close()


async def _row_of(call: str, db: Database) -> Any:
    for business_id, _ in await businesses.list_all(db):
        row = await calls.find(db, business_id, call)
        if row is not None:
            return row
    raise RecordingError(f"{call}: expected the CallSid of a call in the database")


def _find(call: str) -> list[Path]:
    """Return a call's files; any other name is looked up where calls are recorded."""
    path = Path(call)
    if path.suffix == SUFFIX or path.exists():
        return [path]
    folder = load(os.environ, Path(".env")).record_dir
    if folder is None:
        raise RecordingError(f"{call}: expected a file, or RECORD_DIR to be set")
    return files_of(Path(folder), call)


def _replay(paths: list[Path], plot: Path | None, accepts: bool) -> int:
    """Replay the parts of one call, one after the other; return the worst exit code."""
    codes: list[int] = []
    measures: list[Measures] = []
    decisions: list[Decision] = []
    before: Part | None = None
    for part in joined([(path, read(path)) for path in paths]):
        recording = part.recording
        print(f"{part.path}: {_summary(recording)}")
        if recording.header.plan.resumed is not None:
            print(_row(beginning(part, before)))
        before = part
        why_not = recording.why_not_replayed
        if why_not and (plot is not None or accepts):
            raise RecordingError(f"{part.path}: cannot be made again: {why_not}")
        replay = Replay(recording, part.begins_s)
        if why_not:
            for decision in noted(part):
                print(_row(decision))
            print(f"not made again: {why_not}; this is what was noted then")
        elif accepts:
            rewrite(part.path, recording, replay.accept())
            print("today's answers are the recorded ones now")
        else:
            codes.append(_compare(replay, decisions))
            measures.append(replay.measures)
    if plot is not None:
        from bridge.cli import replay_plot

        replay_plot.draw(plot, paths[0].stem, measures, decisions)
    return max(codes, default=0)


def _compare(replay: Replay, decisions: list[Decision]) -> int:
    """Replay one file and show its decisions; return the exit code."""
    for decision in replay.run():
        decisions.append(decision)
        print(_row(decision))
    if replay.difference is not None:
        print(_show_difference(replay.difference))
        return EXIT_DIFFERENT
    print(f"as recorded: {len(replay.steps)} messages, every answer the same")
    return 0


def _summary(recording: Recording) -> str:
    header, steps = recording.header, recording.steps
    lasted_s = steps[-1].now - header.opened_at if steps else 0.0
    return (
        f"{header.plan.call_sid}, {lasted_s:.1f} s, {len(steps)} messages, "
        f"{header.plan.options.turn_detection}"
    )


def _row(decision: Decision) -> str:
    why = decision.why
    if len(why) > WHY_CHARS:
        why = why[: WHY_CHARS - 1] + "…"
    return f"{decision.at_s:9.3f} s  {decision.what:20} {why}".rstrip()


def _show_difference(found: Difference) -> str:
    texts = [
        "nothing" if action is None else msgspec.json.encode(action).decode()
        for action in (found.recorded, found.recomputed)
    ]
    pairs = enumerate(zip(*texts, strict=False))
    same = next((at for at, (one, other) in pairs if one != other), 0)
    recorded, recomputed = (_from(text, same) for text in texts)
    return (
        f"different at {found.at_s:.3f} s, message {found.message}, "
        f"action {found.action}\n"
        f"  recorded:   {recorded}\n"
        f"  recomputed: {recomputed}"
    )


def _from(text: str, different_at: int) -> str:
    """Return the part of a long text around its first difference."""
    begin = max(0, different_at - DIFFERENCE_CHARS // 2)
    end = begin + DIFFERENCE_CHARS
    before, after = "…" if begin else "", "…" if len(text) > end else ""
    return f"{before}{text[begin:end]}{after}"
