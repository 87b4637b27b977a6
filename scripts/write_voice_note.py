"""Write the sandbox's voice note: the clip `caller-en-1` as Opus in Ogg.

Run it when that clip changes. It needs the extra `gate-training` (soundfile, numpy).
"""

from pathlib import Path

import numpy as np
import soundfile

from bridge.sandbox import mulaw
from bridge.sandbox.clips import clip

TARGET = Path("bridge/sandbox/clips/voice-note-en.ogg")


def main() -> None:
    """Write the file at once."""
    samples = np.array(mulaw.decode(clip("caller-en-1").audio), dtype=np.int16)
    # 0.9: libsndfile's smallest file but one; 8 kHz is a rate of Opus.
    soundfile.write(
        TARGET, samples, mulaw.RATE_HZ, "OPUS", format="OGG", compression_level=0.9
    )
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
