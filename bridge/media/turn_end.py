"""TurnEnd: whether the caller's turn has ended, where the bridge decides it.

Theory of operation. A turn ends `turn_silence_ms` after its last sound. The gate says
which frames are sound. Three kinds of frames need a closer look, by their level:

- a *tail* of sounds that do not rise above the quiet after them was line noise. The
  score remembers a word for longer, and a swelling noise prolongs that memory;
- a *soft end* rises above the quiet although the gate hears no sound in it: the turn
  ends later;
- a *soft onset*, in the newest frames, is the same, or the gate is about to open: the
  turn waits until it is decided.

Noise covers the soft parts of words on both sides of a pause. Where the turn is less
than COVERED_RATIO louder than the quiet, its silence is COVERED_FRAMES longer. No soft
end or onset puts the end off by more than SOFT_FRAMES_MAX, and no turn is longer than
TURN_FRAMES_MAX.
"""

from collections import deque

from bridge.settings.options import CallOptions
from dsp.g711 import FRAME_MS

# What rises less than this above the louder fifth of the quiet after it is no sound.
TAIL_RISE = 10 ** (2 / 20)
TAIL_FRAMES_MAX = 6
# What rises this far above the middle of the quiet may be soft speech.
SOFT_RISE = 10 ** (3 / 20)
ONSET_FRAMES = 3
# Nothing on a line that is more quiet than this is soft speech: -58 dBFS.
QUIET_RMS = 40.0
# Chosen on words with pauses of 0.30 to 0.47 s between them (bench/README.md).
SOFT_FRAMES_MAX = 8
COVERED_FRAMES = 6
COVERED_RATIO = 10 ** (30 / 20)
# A television that the gate takes for speech would put an answer off for ever.
TURN_FRAMES_MAX = 60_000 // FRAME_MS


class TurnEnd:
    """The owner of what was heard since the turn's last sound; counted in frames."""

    def __init__(self, options: CallOptions) -> None:
        self._silence_frames = options.turn_silence_ms // FRAME_MS
        kept = self._silence_frames + COVERED_FRAMES + SOFT_FRAMES_MAX + TAIL_FRAMES_MAX
        # Linear levels, for `gate` mode only.
        self._levels: deque[float] = deque(maxlen=kept)
        self._is_ours = options.turn_detection == "gate"
        self._loudest = 0.0
        self._turn_frames = 0
        self._may_open = False
        self.quiet_frames = 0
        self.long_turns = 0

    def note(self, level: float, is_sound: bool, may_open: bool) -> None:
        """Take a frame: its level, and what the gate says of it."""
        self.quiet_frames = 0 if is_sound else self.quiet_frames + 1
        if not self._is_ours:
            return
        self._levels.append(level)
        self._may_open = may_open
        self._turn_frames += 1
        if is_sound:
            self._loudest = max(self._loudest, level)

    def begin(self) -> None:
        """Begin a turn with the newest frame."""
        self._turn_frames = 0
        self._loudest = self._levels[-1] if self._levels else 0.0

    def close(self) -> None:
        """Count the turn if it has reached the limit."""
        self.long_turns += self._is_ours and self._turn_frames > TURN_FRAMES_MAX

    def silence_frames(self) -> int:
        """Return how many frames have passed since the last sound, without the tail."""
        return self.quiet_frames + self._tail_frames(self._silence_frames)

    def is_over(self, is_gate_open: bool) -> bool:
        """Tell whether the open turn has ended with the newest frame."""
        if not self._is_ours:
            return False
        if self._turn_frames > TURN_FRAMES_MAX:
            return True
        if is_gate_open or self.quiet_frames + TAIL_FRAMES_MAX < self._silence_frames:
            return False
        quiet = list(self._levels)[-max(self.quiet_frames, 1) :]
        middle = sorted(quiet)[len(quiet) // 2]
        needed = self._silence_frames
        if self._loudest < middle * COVERED_RATIO:
            needed += COVERED_FRAMES
        over = self.quiet_frames + self._tail_frames(needed) - needed
        return over >= 0 and not self._must_wait(
            over, max(middle, QUIET_RMS) * SOFT_RISE
        )

    # --- inside ---

    def _tail_frames(self, needed: int) -> int:
        """Return how many of the last sounds do not rise above the quiet since.

        The result is 0 where these frames cannot make the quiet `needed` frames long.
        """
        quiet = self.quiet_frames
        lacking = needed - quiet
        if not 0 < lacking <= TAIL_FRAMES_MAX or len(self._levels) <= quiet:
            return 0
        newest_first = list(self._levels)[::-1]
        bar = sorted(newest_first[:quiet])[4 * quiet // 5] * TAIL_RISE
        tail = 0
        for level in newest_first[quiet : quiet + TAIL_FRAMES_MAX]:
            if level >= bar:
                break
            tail += 1
        return tail

    def _must_wait(self, over: int, bar: float) -> bool:
        """Tell whether a turn may go on that has been quiet `over` frames too long.

        Levels from `bar` on may be soft speech.
        """
        if over >= SOFT_FRAMES_MAX:
            return False
        quiet = list(self._levels)[-max(self.quiet_frames, 1) :]
        if self._may_open or max(quiet[-ONSET_FRAMES:]) >= bar:
            return True
        soft = 0
        for at, level in enumerate(quiet[:SOFT_FRAMES_MAX], 1):
            if level >= bar:
                soft = at
        return over < soft
