"""A process of its own that reads a recording: `python -m … OUTPUT FILE…`.

Reading half an hour takes a second or more of a processor, which no call may wait for.
OUTPUT is a folder; `timeline.json` and, with audio, `call.wav` are written there, the
caller on the left and the AI on the right.
"""

import os
import sys
import wave
from array import array
from pathlib import Path

import msgspec

from bridge.recorder.recording import RecordingError
from bridge.recorder.timeline import Sound, make
from bridge.recorder.tracks import RATE_HZ
from dsp.g711 import decode

TIMELINE_FILE = "timeline.json"
SOUND_FILE = "call.wav"
EXIT_UNREADABLE = 2
NICENESS = 10
# A second of sound is written at once.
_PIECE_BYTES = RATE_HZ


def main(arguments: list[str]) -> int:
    """Read the recordings; return EXIT_UNREADABLE and say why, or 0."""
    folder, *names = arguments
    replays = "--noted" not in names
    paths = [Path(name) for name in names if name != "--noted"]
    try:
        timeline, sound = make(paths, replays=replays)
        if timeline.has_audio:
            write_sound(Path(folder) / SOUND_FILE, sound)
        (Path(folder) / TIMELINE_FILE).write_bytes(msgspec.json.encode(timeline))
    except (RecordingError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_UNREADABLE
    return 0


def write_sound(path: Path, sound: Sound) -> None:
    """Write both sides as 16-bit stereo."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        for at in range(0, len(sound.caller), _PIECE_BYTES):
            piece = slice(at, at + _PIECE_BYTES)
            caller = array("h", decode(sound.caller[piece]))
            both = array("h", bytes(4 * len(caller)))
            both[0::2] = caller
            both[1::2] = array("h", decode(sound.ai[piece]))
            file.writeframes(both.tobytes())


if __name__ == "__main__":
    os.nice(NICENESS)
    sys.exit(main(sys.argv[1:]))
