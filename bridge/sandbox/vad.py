"""Turn detection of the sandbox's model; its clock is the audio itself.

The detector sees only the audio written to it. A client that stops sending stops its
clock, and an open turn then stays open.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

SLICE_MS = 20
# Speech must last this long, so that a click opens no turn.
_ONSET_MS = 60
# A threshold of 0.5 stands for -55 dBFS, under which the pauses of all packaged
# recordings last less than 500 ms, and each 0.1 for 2 dB: "higher needs louder speech".
_DBFS_AT_ZERO = -65.0
_DB_PER_UNIT = 20.0
# The silence after which semantic detection takes a turn as complete.
_SEMANTIC_SILENCE_MS = {"low": 1200, "medium": 800, "auto": 800, "high": 400}


class Edge(NamedTuple):
    """Speech began or ended at `at_ms` of all audio written in the session."""

    is_start: bool
    at_ms: int


class Vad:
    """Finds turns in audio in pieces of any size; `level` measures 20 ms of it."""

    def __init__(
        self,
        settings: dict[str, Any],
        level: Callable[[bytes], float],
        slice_bytes: int,
        now_ms: int = 0,
    ) -> None:
        self._level = level
        self._slice_bytes = slice_bytes
        self._rest = b""
        self._now_ms = now_ms
        self._earliest_ms = now_ms
        self._voiced_ms = 0
        self._silent_ms = 0
        self.is_open = False
        is_server = settings["type"] == "server_vad"
        threshold = settings.get("threshold", 0.5) if is_server else 0.5
        self._threshold_dbfs = _DBFS_AT_ZERO + _DB_PER_UNIT * threshold
        self._prefix_ms: int = settings.get("prefix_padding_ms", 300)
        self._silence_ms: int = (
            settings["silence_duration_ms"]
            if is_server
            else _SEMANTIC_SILENCE_MS[settings.get("eagerness", "auto")]
        )

    def feed(self, audio: bytes) -> list[Edge]:
        """Take written audio; return where turns began and ended, in order."""
        self._rest += audio
        whole = len(self._rest) - len(self._rest) % self._slice_bytes
        edges = []
        for start in range(0, whole, self._slice_bytes):
            edge = self._step(self._rest[start : start + self._slice_bytes])
            if edge is not None:
                edges.append(edge)
        self._rest = self._rest[whole:]
        return edges

    def close_turn(self) -> None:
        """Close an open turn: its audio is committed or dropped."""
        self.is_open = False
        self._voiced_ms = 0
        self._earliest_ms = self._now_ms

    def _step(self, piece: bytes) -> Edge | None:
        self._now_ms += SLICE_MS
        if self._level(piece) < self._threshold_dbfs:
            self._voiced_ms = 0
            self._silent_ms += SLICE_MS
        else:
            self._voiced_ms += SLICE_MS
            self._silent_ms = 0
        if self.is_open:
            return self._end() if self._silent_ms >= self._silence_ms else None
        return self._start() if self._voiced_ms >= _ONSET_MS else None

    def _start(self) -> Edge:
        self.is_open = True
        onset_ms = self._now_ms - self._voiced_ms - self._prefix_ms
        return Edge(True, max(onset_ms, self._earliest_ms))

    def _end(self) -> Edge:
        self.close_turn()
        return Edge(False, self._now_ms)
