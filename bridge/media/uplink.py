"""Uplink: which of the caller's frames the model is given, and when.

Theory of operation. Every frame goes through the gate once and then waits in `_pending`
until it is decided. The frame is given to the model as it came, or given as digital
silence, or dropped, and never more than one of these:

- between turns, the last few frames wait as preroll; older ones are dropped;
- when the gate opens, the preroll and everything after it is given: a turn is open;
- inside an open turn, frames of a closed gate are given as silence: at once, or, if
  they may be a soft onset, once the gate has stayed closed for IN_TURN_WAIT_FRAMES. The
  server's turn detection counts audio, not time; the model hears the caller's rhythm;
- while the AI is audible everything is withheld, up to BARGE_IN_RING_MS. Withheld
  speech is either released from its first sound on (`release`: an interruption, or an
  answer over the AI's last words) or dropped. After the last words the caller's line
  may still carry their echo: what follows is withheld until it
  is no echo (`withheld_sound.py`).

Silence ends after SILENCE_MS_MAX, or sooner while the server hears nothing. The turn is
then *unended*, and the calling code must end it.
"""

from collections import deque
from collections.abc import Sequence

from bridge.media.turn_end import TurnEnd
from bridge.media.voice_run import VoiceRun
from bridge.media.withheld_sound import WithheldSound
from bridge.settings.options import CallOptions
from dsp.fastest import NoiseGate
from dsp.g711 import FRAME_BYTES, FRAME_MS, GAIN_TABLES
from dsp.gate import (
    CERTAIN,
    ECHO,
    ECHOLESS,
    FAINT,
    HINT,
    MAYBE_SPEECH,
    SOUND,
    SPEECH,
    STATE_MASK,
    UNECHOED,
    VOICE,
)

SILENCE = b"\xff" * FRAME_BYTES
# Covers the gate's onset (2 to 3 frames) and a soft first sound. If all frames waited,
# the server would hear the end of each turn 100 ms late.
IN_TURN_WAIT_FRAMES = 5
# Longer than semantic_vad's longest wait (8 s, eagerness low).
SILENCE_MS_MAX = 10_000
# Without speech_started, the turn was too faint for the server: silence stops soon.
UNHEARD_MARGIN_MS = 1_000
# The server refuses to commit less than this.
COMMIT_MS_MIN = 100
# Given audio is kept until it is transcribed. A turn is rarely longer, and 5.6 s of
# audio wait for the socket at most (`backlog.AUDIO_WAITING_BYTES_MAX`).
GIVEN_FRAMES_MAX = 10_000 // FRAME_MS
# A turn with fewer frames of sound is a knock or a cough: not worth an answer.
SPEECH_FRAMES_MIN = 5


class Uplink:
    """The owner of what the model was given; time is counted in frames."""

    def __init__(self, options: CallOptions) -> None:
        self._options = options
        self.gate = NoiseGate(
            calibration_ms=options.noise_calibration_ms,
            snr_start_normal_db=options.snr_start_normal,
            snr_stop_normal_db=options.snr_stop_normal,
            snr_start_music_db=options.snr_start_music,
            snr_stop_music_db=options.snr_stop_music,
            noise_floor_rms=options.noise_floor_rms,
            vad_threshold_rms=options.vad_threshold_rms,
            voice_threshold_rms=options.voice_threshold_rms,
            hangover_frames=options.audio_hangover_frames,
            agc=options.audio_agc,
            score=options.gate_score,
        )
        self._preroll_frames = options.audio_preroll_ms // FRAME_MS
        self._ring_frames = options.barge_in_ring_ms // FRAME_MS
        self._is_agc_on = options.audio_agc
        self._ends_turns = options.turn_detection == "gate"
        self._turn_silence_ms = options.turn_silence_ms
        self.turn_end = TurnEnd(options)
        self._pending: deque[bytes] = deque()
        # 2: the gate was open; 1: it would have been on a line without an echo.
        self._pending_open: deque[int] = deque()
        # The newest frames given to the session: a ring, its end, its number of frames.
        self._given = [b""] * GIVEN_FRAMES_MAX
        self._given_end = self._given_frames = 0
        self.given_dropped_frames = 0
        # The incomplete frame that waits for its rest.
        self.remainder = b""
        self.withheld_sound = WithheldSound(options)
        self.is_own = self._is_echoless = self._would_open = False
        self._is_withholding = self._is_heard_by_server = False
        self._silence_frames = 0
        self.appended_ms = self.turn_from_ms = 0
        self._speech_end_ms = self._uncommitted_ms = 0
        self.is_turn_open = self.is_unended = False
        self.is_gate_open = self._may_begin = False
        self.is_voice = self.is_certain = False
        self.voice = VoiceRun()
        self.speech_frames = self.unended_turns = 0
        self.forwarded_frames = self.silence_frames_sent = 0
        self.dropped_frames = self.withheld_dropped_frames = 0

    def cut(self, payload: bytes) -> list[bytes]:
        """Cut audio of any length into frames; the remainder waits for more."""
        data = self.remainder + payload
        whole = len(data) - len(data) % FRAME_BYTES
        self.remainder = data[whole:]
        return [data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]

    def admit(self, frame: bytes, far_dbfs: float, withhold: bool) -> Sequence[bytes]:
        """Take one frame from the caller; return what the model must be given now.

        `far_dbfs` is the level of what the caller hears then (20 ms); `withhold` says
        that the AI is audible.
        """
        code = self.gate.analyze(frame, far_dbfs)
        self._note(code)
        if self._is_agc_on:
            frame = frame.translate(GAIN_TABLES[self.gate.gain_step])
        is_free = not withhold and not self._is_withholding
        if self.is_gate_open and is_free and not self._pending:
            given = (frame,)
            self._give_speech(given)
            return given
        self._pending.append(frame)
        self._pending_open.append(self.is_gate_open + self._would_open)
        if withhold:
            return self._withhold()
        if self._is_withholding:
            late = self._end_withholding()
            if late or self._is_withholding:
                return late
        if self.is_gate_open:
            return self._forward()
        return self._wait()

    def release(self) -> list[bytes]:
        """Return the withheld speech from its first sound on; the turn is open now.

        Gaps inside it become silence; what lay before it is dropped and counted.
        """
        self._trim(self.withheld_sound.frames or self._may_be_wanted())
        frames: list[bytes] = []
        has_begun = False
        while self._pending:
            frame = self._pending.popleft()
            is_open = self._pending_open.popleft() + self._is_echoless >= 2
            # An echo may have opened the gate in what precedes the first sound.
            has_begun = has_begun or (is_open and len(frames) >= self._preroll_frames)
            frames.append(frame if is_open or not has_begun else SILENCE)
        self.withheld_sound.forget()
        self._is_withholding = False
        self._give_speech(frames)
        return frames

    def fill_gap(self, frames: int) -> None:
        """Put silence where the network lost audio: a turn keeps its time.

        The silence queues behind the frames that wait, and shares their fate.
        """
        self._pending.extend([SILENCE] * frames)
        self._pending_open.extend([0] * frames)
        self.withheld_sound.note_gap(frames)

    # --- what the server says of the turn ---

    def note_speech_started(self) -> None:
        """Note that the server heard speech: silence runs until it hears the end."""
        self._is_heard_by_server = True
        if not self.is_turn_open:
            self.is_turn_open = True
            self._silence_frames = 0

    def note_heard_anew(self) -> None:
        """Note that the server's turn detection may have forgotten the open turn."""
        self._is_heard_by_server = False

    def note_speech_stopped(self, audio_end_ms: int) -> None:
        """End the turn as the server did, unless speech follows that it must judge."""
        self._is_heard_by_server = False
        # Speech the server has heard is no reason to commit audio it has not heard.
        over_ms = self._speech_end_ms - audio_end_ms
        unheard = over_ms // FRAME_MS - self._options.audio_hangover_frames
        self.speech_frames = min(self.speech_frames, max(0, unheard))
        judged_ms = audio_end_ms + self._turn_silence_ms
        if not self.is_gate_open and self._speech_end_ms <= judged_ms:
            self.close_turn()

    def close_turn(self) -> None:
        """End the turn: nothing more is sent until the gate opens again."""
        self.unended_turns += self.is_unended
        if self.is_turn_open:
            self.turn_end.close()
        self.is_turn_open = self.is_unended = False
        self._is_heard_by_server = False
        self._silence_frames = 0
        self.speech_frames = 0

    def note_committed(self) -> None:
        """Note that everything appended so far is an item now."""
        self._uncommitted_ms = 0

    def begin_session(self) -> None:
        """Begin another session, which listens from here on; its offsets begin at 0."""
        self.close_turn()
        self.forget_given(self.appended_ms)
        self.appended_ms = self.turn_from_ms = 0
        self._speech_end_ms = self._uncommitted_ms = 0

    def resume_turn(self, frames: Sequence[bytes]) -> None:
        """Continue a turn whose `frames` a new session is given again."""
        self.is_turn_open = True
        self.turn_end.begin()
        self.turn_from_ms = self.appended_ms
        self.speech_frames = sum(frame != SILENCE for frame in frames)
        self._keep_given(frames)
        self._speech_end_ms = self.appended_ms

    def given(self, start_ms: int, end_ms: int) -> list[bytes]:
        """Return the frames given between two times, in ms of the session's audio."""
        oldest = self.appended_ms // FRAME_MS - self._given_frames
        first = max(start_ms // FRAME_MS - oldest, 0)
        return self._kept()[first : max(-(-end_ms // FRAME_MS) - oldest, 0)]

    def forget_given(self, before_ms: int) -> None:
        """Forget the frames that the session was given before this time."""
        needed = max(self.appended_ms - before_ms, 0) // FRAME_MS
        kept = self._kept()[-needed:] if needed else []
        self._given = kept + [b""] * (GIVEN_FRAMES_MAX - len(kept))
        self._given_end = self._given_frames = len(kept)

    @property
    def has_withheld_speech(self) -> bool:
        """Whether the caller was heard over the AI in the last `late_answer_ms`."""
        return self.withheld_sound.is_answer

    @property
    def is_worth_committing(self) -> bool:
        """Whether the open turn holds speech, and enough audio for a commit."""
        return (
            self._uncommitted_ms >= COMMIT_MS_MIN
            and self.speech_frames >= SPEECH_FRAMES_MIN
        )

    def has_turn_ended(self) -> bool:
        """Tell whether the bridge must end the open turn now."""
        if self.is_unended:
            return True
        return self.is_turn_open and self.turn_end.is_over(self.is_gate_open)

    @property
    def quiet_ms(self) -> int:
        """The time since the last sound; 0 while the gate is open."""
        if self.is_gate_open:
            return 0
        return self.turn_end.silence_frames() * FRAME_MS

    # --- inside ---

    def _note(self, code: int) -> None:
        self.is_gate_open = code & STATE_MASK == SPEECH
        self.is_voice = bool(code & VOICE)
        self._may_begin = bool(code & HINT)
        is_sound = bool(code & SOUND)
        may_open = code & STATE_MASK == MAYBE_SPEECH
        self.is_certain = bool(code & CERTAIN)
        is_heard = is_sound or may_open or self.is_certain
        self.is_own = is_heard and not code & ECHO
        self._is_echoless = bool(code & ECHOLESS)
        self._would_open = self.is_gate_open or bool(code & UNECHOED)
        self.voice.note(bool(code & FAINT), self.is_voice, bool(code & ECHO))
        self.speech_frames += is_sound
        level = self.gate.rms if self._ends_turns else 0.0
        self.turn_end.note(level, is_sound, may_open)

    def _forward(self) -> Sequence[bytes]:
        frames = list(self._pending)
        self._pending.clear()
        self._pending_open.clear()
        self._give_speech(frames)
        return frames

    def _give_speech(self, frames: Sequence[bytes]) -> None:
        if not self.is_turn_open:
            self.turn_from_ms = self.appended_ms
            self.is_turn_open = True
            self.turn_end.begin()
        self._silence_frames = 0
        self.forwarded_frames += len(frames)
        self._keep_given(frames)
        self._speech_end_ms = self.appended_ms

    def _wait(self) -> Sequence[bytes]:
        if not self.is_turn_open:
            self.speech_frames = 0
            self._trim(self._preroll_frames)
            return ()
        wait = IN_TURN_WAIT_FRAMES if self._may_begin else 0
        over = len(self._pending) - min(wait, self._preroll_frames)
        if over <= 0:
            return ()
        self._drop_oldest(over)
        return self._in_turn_silence(over)

    def _in_turn_silence(self, frames: int = 1) -> Sequence[bytes]:
        self._silence_frames += frames
        limit_ms = SILENCE_MS_MAX
        if not self._is_heard_by_server:
            limit_ms = self._turn_silence_ms + UNHEARD_MARGIN_MS
        if self._silence_frames * FRAME_MS > limit_ms:
            self.is_unended = True
            return ()
        self.silence_frames_sent += frames
        silence = (SILENCE,) * frames
        self._keep_given(silence)
        return silence

    def _keep_given(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            if self._given_end == len(self._given):
                self._given_end = 0
            self._given[self._given_end] = frame
            self._given_end += 1
            if self._given_frames < len(self._given):
                self._given_frames += 1
            else:
                self.given_dropped_frames += 1
        self.appended_ms += len(frames) * FRAME_MS
        self._uncommitted_ms += len(frames) * FRAME_MS

    def _kept(self) -> list[bytes]:
        turned = self._given[self._given_end :] + self._given[: self._given_end]
        return turned[GIVEN_FRAMES_MAX - self._given_frames :]

    def _withhold(self) -> Sequence[bytes]:
        # Frames that waited for a soft onset when the AI began count in the turn, too.
        due = 1 if self._is_withholding else len(self._pending)
        sound = self.withheld_sound
        sound.note(
            self.is_own, self.is_gate_open, self._would_open, True, self._is_echoless
        )
        if not self._is_withholding and self.is_turn_open and self.is_gate_open:
            sound.begin_in_turn(due)  # all that waits is of this turn
        self._is_withholding = True
        self._keep_withheld()
        return self._withheld_silence(due)

    def _keep_withheld(self) -> None:
        # Frames before the first sound and its preroll are of no use.
        self._trim(max(self.withheld_sound.frames, self._may_be_wanted()))
        while len(self._pending) > self._ring_frames:
            self.withheld_dropped_frames += 1
            self._drop_oldest(1)

    def _may_be_wanted(self) -> int:
        """Return how many frames hold what may prove to be the caller's first sound."""
        possible = self.withheld_sound.possible_frames
        return max(possible, self.voice.age_frames + self._preroll_frames + 1)

    def _withheld_silence(self, due: int) -> Sequence[bytes]:
        # Speech of now is given later, if at all; silence in its place would make the
        # model hear that time twice.
        if not self.is_turn_open or self.is_gate_open or self.is_certain:
            return ()
        return self._in_turn_silence(due)

    def _end_withholding(self) -> Sequence[bytes]:
        """Return the answer, if any, that began over the last words of the AI.

        The end is put off while the caller's line may carry the echo of these words.
        """
        sound = self.withheld_sound
        sound.note(
            self.is_own, self.is_gate_open, self._would_open, False, self._is_echoless
        )
        self._keep_withheld()
        if sound.is_answer:
            return self.release()
        if sound.tail_frames > 0:
            return self._withheld_silence(1)
        self._is_withholding = False
        self.withheld_dropped_frames += min(sound.frames, len(self._pending))
        sound.forget()
        self._trim(self._preroll_frames + 1)
        return ()

    def _trim(self, keep: int) -> None:
        self._drop_oldest(len(self._pending) - keep)

    def _drop_oldest(self, count: int) -> None:
        for _ in range(count):
            self._pending.popleft()
            self._pending_open.popleft()
            self.dropped_frames += 1
