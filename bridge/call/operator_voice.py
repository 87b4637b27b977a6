"""OperatorVoice: what an operator says to the caller, in portions to be transcribed.

Theory of operation. The frames are those that the caller hears. A gate of its own finds
the voice in them. A portion begins with the voice, a little before it, and ends at a
pause, or at PORTION_FRAMES_MAX. So its words are known while the operator still speaks,
and little is left to transcribe when the call is handed back. IN_FLIGHT_MAX portions
are transcribed at a time; others wait, and the oldest are dropped above
WAITING_FRAMES_MAX.
"""

from collections import deque
from enum import Enum
from typing import NamedTuple

from dsp.g711 import FRAME_BYTES, FRAME_MS
from dsp.gate import SPEECH, STATE_MASK, NoiseGate

# Before the voice: the gate's onset, and a soft first sound.
PREROLL_FRAMES = 200 // FRAME_MS
# The gate stays open for 140 ms after the voice. A pause between two sentences is some
# 600 ms long; once a portion is long, any gap of 200 ms ends it.
PAUSE_FRAMES = 460 // FRAME_MS
LONG_FRAMES = 8_000 // FRAME_MS
GAP_FRAMES = 60 // FRAME_MS
# With 15 s a request has 240 kB, and its transcript takes about a second.
PORTION_FRAMES_MAX = 15_000 // FRAME_MS
# A portion with less is a knock or a cough. The 140 ms of the gate are in it.
VOICED_FRAMES_MIN = 300 // FRAME_MS
# Requests are answered within seconds: more than two at a time serve no speaker.
IN_FLIGHT_MAX = 2
# A minute of voice that waits: the API has been away for as long.
WAITING_FRAMES_MAX = 60_000 // FRAME_MS
_WAITING_BYTES_MAX = WAITING_FRAMES_MAX * FRAME_BYTES


class Known(Enum):
    """How much is known of what an operator said in a takeover."""

    NOTHING = "nothing"
    PART = "part"
    ALL = "all"


class Portion(NamedTuple):
    """What was said without a pause; `began_at` is when its first frame was sent."""

    audio: bytes
    began_at: float


class OperatorVoice:
    """The owner of an operator's voice until it is transcribed."""

    def __init__(self) -> None:
        self.dropped_frames = 0
        self._gate: NoiseGate | None = None
        self._before: deque[bytes] = deque(maxlen=PREROLL_FRAMES)
        self._audio = bytearray()
        self._began_at = 0.0
        self._voiced = self._quiet = 0
        self._waiting: deque[Portion] = deque()
        self._asked: set[str] = set()
        # Portions of this takeover that have words, and those that will have none.
        self._heard = self._unheard = 0

    @property
    def is_awaited(self) -> bool:
        """Tell whether words may still come."""
        return bool(self._asked or self._waiting)

    @property
    def known(self) -> Known:
        """How much is known by now of what this operator said."""
        if not self._heard:
            return Known.NOTHING
        return Known.PART if self._unheard or self.is_awaited else Known.ALL

    def begin(self) -> None:
        """Hear an operator from here on; words of an earlier one may still come."""
        self._heard = self._unheard = 0
        self.go_on()

    def go_on(self) -> None:
        """Hear the operator again: the takeover is the same."""
        self._gate = NoiseGate()
        self._before.clear()

    def hear(self, frames: bytes, now: float) -> None:
        """Take whole frames that the caller hears; nothing before `begin`."""
        if self._gate is None:
            return
        for at in range(0, len(frames), FRAME_BYTES):
            frame = frames[at : at + FRAME_BYTES]
            is_voice = self._gate.analyze(frame) & STATE_MASK == SPEECH
            self._note(frame, now, is_voice=is_voice)

    def pause(self) -> None:
        """End a portion, if there is one: nothing comes of the operator for a while."""
        self._cut()

    def end(self) -> None:
        """End the last portion: the operator speaks no more."""
        self._cut()
        self._gate = None

    def due(self) -> Portion | None:
        """Return the next portion that may be transcribed now; `note_asked` follows."""
        if not self._waiting or len(self._asked) >= IN_FLIGHT_MAX:
            return None
        return self._waiting.popleft()

    def rest(self) -> list[Portion]:
        """Return every portion that waits: nothing later can ask for it."""
        rest = list(self._waiting)
        self._waiting.clear()
        return rest

    def note_asked(self, item_id: str) -> None:
        """Note that a portion is being transcribed."""
        self._asked.add(item_id)

    def note_answered(self, item_id: str, *, is_heard: bool, failed: bool) -> None:
        """Note that a portion has words, or has none, or could not be transcribed."""
        self._asked.discard(item_id)
        self._heard += is_heard
        self._unheard += failed

    def _note(self, frame: bytes, now: float, *, is_voice: bool) -> None:
        if not self._audio:
            self._before.append(frame)
            if is_voice:
                self._audio += b"".join(self._before)
                self._before.clear()
                self._began_at, self._voiced, self._quiet = now, 1, 0
            return
        self._audio += frame
        self._voiced += is_voice
        self._quiet = 0 if is_voice else self._quiet + 1
        frames = len(self._audio) // FRAME_BYTES
        pause = PAUSE_FRAMES if frames < LONG_FRAMES else GAP_FRAMES
        if self._quiet >= pause or frames >= PORTION_FRAMES_MAX:
            self._cut()

    def _cut(self) -> None:
        """End the portion, and keep it if there is enough voice in it."""
        if self._audio and self._voiced >= VOICED_FRAMES_MIN:
            self._waiting.append(Portion(bytes(self._audio), self._began_at))
        self._audio.clear()
        while sum(len(one.audio) for one in self._waiting) > _WAITING_BYTES_MAX:
            self.dropped_frames += len(self._waiting.popleft().audio) // FRAME_BYTES
            self._unheard += 1
