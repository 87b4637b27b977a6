"""WithheldSound: what of the withheld audio is the caller's, and not the AI's echo.

Theory of operation. A sound is the caller's *own* if it is louder than any echo that
may be on the line. Frames count back from the newest one. What the caller says begins
with the first own sound, and with what opened the gate shortly before it: the soft
beginning of a word may lie under the echo. It goes on while the gate stays open, and
`late_answer_ms` more. One or two frames may be louder than the expected echo by chance.

The echo of the AI's last words comes after them. For TAIL_FRAMES_MAX after playout, a
gate that is open proves nothing.

At first it is not known whether the line has an echo, and a caller as loud as one has
no own sound. Once it is known that there is none, the gate has opened for the caller
alone: what they have said begins with the first frame for which it did, or would have
(dsp/unechoed.pxd).
"""

from bridge.settings.options import CallOptions
from dsp.g711 import FRAME_MS

# The longest echo that is expected takes 1.5 s.
TAIL_FRAMES_MAX = 1_500 // FRAME_MS
# So many own frames are a sound; an echo is as loud for a frame now and then.
OWN_FRAMES_MIN = 2
# A frame that was louder by chance is forgotten after so many.
OWN_GAP_FRAMES = 10
# How much of an open gate before the first own frame may belong to it.
FIRST_FRAMES_MAX = 15


class WithheldSound:
    """The owner of where the caller's words begin and end in the withheld audio."""

    def __init__(self, options: CallOptions) -> None:
        self._late_frames = options.late_answer_ms // FRAME_MS
        self._preroll_frames = options.audio_preroll_ms // FRAME_MS
        # From the first sound to the newest frame, with its preroll; 0 without a sound.
        self.frames = 0
        self._since_frames = self._own_frames = 0
        self._open_frames = 0
        # Since the gate first opened, with gaps that a sound may have, and in the gap.
        self._doubted_frames = self._gap_frames = 0
        self.tail_frames = 0

    def begin_in_turn(self, frames: int) -> None:
        """Begin with the last `frames` of an open turn: they are the caller's."""
        self.frames = frames
        self._own_frames = OWN_FRAMES_MIN
        self._since_frames = 0

    def note(
        self,
        is_own: bool,
        is_open: bool,
        would_open: bool,
        is_audible: bool,
        is_echoless: bool,
    ) -> None:
        """Take a withheld frame.

        `would_open` says that the gate is open, or would be on a line without an
        echo; `is_audible` that the AI still speaks; `is_echoless` that the line is
        known to have no echo.
        """
        self.tail_frames = TAIL_FRAMES_MAX if is_audible else self.tail_frames - 1
        self._note_open(is_open, would_open)
        is_sure = self._own_frames >= OWN_FRAMES_MIN
        if self.frames:
            self.frames += 1
        # What keeps the gate open after the caller's own sound is theirs.
        if not is_own and not (is_sure and is_open and self._since_frames == 0):
            self._since_frames += 1
            return
        limit = self._late_frames if is_sure else OWN_GAP_FRAMES
        if self.frames == 0 or self._since_frames > limit:
            self.frames = self._first_frames()
            self._own_frames = 0
        if is_echoless:
            self.frames = max(self.frames, self.possible_frames - 1)
        self._own_frames += is_own
        self._since_frames = 0

    def _first_frames(self) -> int:
        opened = min(max(self._open_frames - 1, 0), FIRST_FRAMES_MAX)
        return self._preroll_frames + 1 + opened

    def _note_open(self, is_open: bool, would_open: bool) -> None:
        self._open_frames = self._open_frames + 1 if is_open else 0
        self._gap_frames = 0 if would_open else self._gap_frames + 1
        if self._gap_frames > self._late_frames:
            self._doubted_frames = 0
        elif would_open or self._doubted_frames:
            self._doubted_frames += 1

    def note_gap(self, frames: int) -> None:
        """Take the time of frames that the network lost."""
        self._since_frames += frames
        self._gap_frames += frames
        if self.frames:
            self.frames += frames
        if self._doubted_frames:
            self._doubted_frames += frames

    def forget(self) -> None:
        """Forget the sound: it was released or dropped."""
        self.frames = self._own_frames = self._doubted_frames = 0

    @property
    def possible_frames(self) -> int:
        """How many frames hold what may prove to belong to a sound."""
        return self._preroll_frames + 1 + self._doubted_frames

    @property
    def is_answer(self) -> bool:
        """Whether the caller was heard in the last `late_answer_ms`."""
        is_sure = self._own_frames >= OWN_FRAMES_MIN
        return is_sure and self._since_frames <= self._late_frames
