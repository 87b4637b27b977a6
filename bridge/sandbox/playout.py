"""What Twilio plays to the sandbox's caller, in order and in real time.

Media waits in a queue and is played at 8000 samples a second, however fast it arrives.
A mark is echoed when everything before it has been played, or at once if nothing waits.
A clear empties the queue and echoes every pending mark: an echo means "played or
dropped". Time is an argument; `heard` is exact to the sample.
"""

from collections import deque
from typing import NamedTuple

from bridge.sandbox.mulaw import BYTES_PER_MS, RATE_HZ, SILENCE

# A pause of the playout of this length ends an utterance; shorter ones are inside it.
UTTERANCE_GAP_MS = 400
# A rounding error must not delay the sample whose time has just come.
_ROUNDING = 1e-4


class Echo(NamedTuple):
    """A mark that comes back; `is_flushed` if a clear dropped what was before it."""

    name: str
    at_ms: float
    is_flushed: bool


class _Mark(NamedTuple):
    name: str


class PhonePlayout:
    """The playout of one stream, whose time 0 is `now`.

    The caller must send every `Echo` returned, in order, and call `advance` at
    `deadline`.
    """

    def __init__(self, now: float) -> None:
        self._start = now
        self._queue: deque[bytes | _Mark] = deque()
        self.heard = bytearray()
        self.queued_bytes = 0
        self._spoken_until = 0  # samples: end of the media last played
        self._utterance_bytes = 0
        self.utterances = 0

    # --- what the far side sends ---

    def receive_media(self, audio: bytes, now: float) -> list[Echo]:
        """Queue audio behind the audio that waits."""
        echoes = self.advance(now)
        self._queue.append(audio)
        self.queued_bytes += len(audio)
        return echoes

    def receive_mark(self, name: str, now: float) -> list[Echo]:
        """Queue a mark; it comes back when everything before it has been played."""
        echoes = self.advance(now)
        self._queue.append(_Mark(name))
        return echoes + self._pop_marks()

    def receive_clear(self, now: float) -> list[Echo]:
        """Drop the queue; every pending mark comes back at once."""
        echoes = self.advance(now)
        marks = [entry for entry in self._queue if isinstance(entry, _Mark)]
        self._queue.clear()
        self.queued_bytes = 0
        return echoes + [Echo(mark.name, self.at_ms, True) for mark in marks]

    def advance(self, now: float) -> list[Echo]:
        """Play until `now`; time never goes backwards."""
        target = int((now - self._start) * RATE_HZ + _ROUNDING)
        echoes: list[Echo] = []
        while len(self.heard) < target:
            echoes += self._pop_marks()
            if not self._queue:
                self.heard += SILENCE * (target - len(self.heard))
                break
            self._play(target - len(self.heard))
        return echoes + self._pop_marks()

    def _play(self, wanted: int) -> None:
        audio = self._queue.popleft()
        assert isinstance(audio, bytes), "marks are popped before audio is played"
        played = audio[:wanted]
        if len(audio) > wanted:
            self._queue.appendleft(audio[wanted:])
        if not self._is_within_utterance():
            self._utterance_bytes = 0
            self.utterances += 1
        self.heard += played
        self.queued_bytes -= len(played)
        self._utterance_bytes += len(played)
        self._spoken_until = len(self.heard)

    def _pop_marks(self) -> list[Echo]:
        echoes = []
        while self._queue and isinstance(self._queue[0], _Mark):
            mark = self._queue.popleft()
            assert isinstance(mark, _Mark)
            echoes.append(Echo(mark.name, self.at_ms, False))
        return echoes

    # --- what the person on the line notices ---

    @property
    def at_ms(self) -> float:
        """The position of the playout from the start of the stream."""
        return len(self.heard) / BYTES_PER_MS

    @property
    def quiet_ms(self) -> float:
        """How long nothing has been played; 0 while something waits."""
        if self.queued_bytes:
            return 0.0
        return (len(self.heard) - self._spoken_until) / BYTES_PER_MS

    @property
    def utterance_ms(self) -> float:
        """How much of the present utterance was heard; 0 between utterances."""
        within = self.quiet_ms == 0 or self._is_within_utterance()
        return self._utterance_bytes / BYTES_PER_MS if within else 0.0

    def _is_within_utterance(self) -> bool:
        silent = len(self.heard) - self._spoken_until
        return self.utterances > 0 and silent < UTTERANCE_GAP_MS * BYTES_PER_MS

    @property
    def deadline(self) -> float | None:
        """When the next mark will be reached, if nothing changes."""
        samples = len(self.heard)
        for entry in self._queue:
            if isinstance(entry, _Mark):
                return self._start + samples / RATE_HZ
            samples += len(entry)
        return None
