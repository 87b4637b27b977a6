"""Tracks: what each side of a recorded call sounded like, on the call's time axis.

The caller's audio stands where its timestamps say. The AI's audio is played as Twilio
plays it: one piece after the other, and forgotten by a clear. The recorded answers name
their audio by a hash; it is found again among the frames of what the model said.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from bridge.recorder.recording import (
    CALLER_FILE,
    OPERATOR_FILE,
    Recording,
    fingerprint,
    model_file,
)
from dsp.g711 import FRAME_BYTES, SILENCE_BYTE

RATE_HZ = 8_000
# Where preroll or withheld speech is given, it was heard at most so long before.
GIVEN_LATE_BYTES = 4 * RATE_HZ
SILENCE = bytes([SILENCE_BYTE])


class Track:
    """One side in mu-law, from the call's opening on."""

    def __init__(self) -> None:
        self.audio = bytearray()

    def put(self, at: int, audio: bytes) -> None:
        """Lay audio down at a sample; what was there is replaced."""
        self.audio += SILENCE * (at - len(self.audio))
        self.audio[at : at + len(audio)] = audio

    def cut(self, at: int) -> None:
        """Forget what lies beyond a sample."""
        del self.audio[max(at, 0) :]


class CallerTrack(Track):
    """The caller's side, and which of their frames the model was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []
        self._base: int | None = None
        self._places: dict[str, int] = {}
        self._silence = fingerprint(SILENCE * FRAME_BYTES)["hash"]

    def restart(self) -> None:
        """Begin another stream: its timestamps count from 0."""
        self._base = None

    def hear(self, recording: Recording, now_at: int, media: dict[str, Any]) -> None:
        """Take a frame of the caller's."""
        where = media["payload"]
        offset = int(media.get("timestamp") or 0) * RATE_HZ // 1000
        if self._base is None:
            self._base = now_at - offset
        at = max(self._base + offset, 0)
        if "at" in where:
            audio = recording.audio.get(CALLER_FILE, b"")
            self.put(at, audio[where["at"] : where["at"] + where["bytes"]])
        self._places[where["hash"]] = at

    def give(self, now_at: int, where: dict[str, Any]) -> None:
        """Note that the model was given a frame; silence between words is left out."""
        if where["hash"] == self._silence:
            return
        at = self._places.get(where["hash"], now_at)
        self.given.append(at if now_at - at <= GIVEN_LATE_BYTES else now_at)


class AiTrack(Track):
    """The AI's side, as the caller heard it, and where each item's frames stand."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, list[int]] = {}
        self.total_frames: dict[str, int] = {}
        self._said: dict[str, bytearray] = {}
        self._frames: dict[str, bytes] = {}
        # The items that have such a frame; silence stands in many.
        self._items: dict[str, list[str]] = {}
        self._current = ""

    def say(self, recording: Recording, event: dict[str, Any]) -> None:
        """Take a piece of what the model says, which may be sent later."""
        where, item = event["delta"], event["item_id"]
        if "at" not in where or model_file(recording.header.plan).endswith(".pcm"):
            return
        audio = recording.audio.get(model_file(recording.header.plan), b"")
        said = self._said.setdefault(item, bytearray())
        said += audio[where["at"] : where["at"] + where["bytes"]]
        self.total_frames[item] = self.total_frames.get(item, 0)
        while len(said) >= FRAME_BYTES:
            self._add(item, bytes(said[:FRAME_BYTES]))
            del said[:FRAME_BYTES]

    def finish(self, item: str) -> None:
        """Take the rest of an item, which fills no frame."""
        said = self._said.pop(item, b"")
        if said:
            self._add(item, bytes(said).ljust(FRAME_BYTES, SILENCE))

    def join(self, recording: Recording, where: dict[str, Any]) -> None:
        """Take what an operator says in place of the AI."""
        if "at" not in where:
            return
        audio = recording.audio.get(OPERATOR_FILE, b"")
        said = audio[where["at"] : where["at"] + where["bytes"]]
        for at in range(0, len(said), FRAME_BYTES):
            frame = said[at : at + FRAME_BYTES].ljust(FRAME_BYTES, SILENCE)
            self._frames[fingerprint(frame)["hash"]] = frame

    def _add(self, item: str, frame: bytes) -> None:
        name = fingerprint(frame)["hash"]
        self._frames[name] = frame
        items = self._items.setdefault(name, [])
        if items[-1:] != [item]:
            items.append(item)
        self.total_frames[item] += 1

    def send(self, now_at: int, where: dict[str, Any]) -> None:
        """Take a frame that was sent to the caller."""
        at = max(len(self.audio), now_at, 0)
        self.put(at, self._frames.get(where["hash"], SILENCE * where["bytes"]))
        items = self._items.get(where["hash"])
        if items:
            self._current = self._item_among(items)
            self.places.setdefault(self._current, []).append(at)

    def _item_among(self, items: list[str]) -> str:
        """Return the item that a frame belongs to: the one that plays, if it has more
        to play."""
        item = self._current
        rest = self.total_frames.get(item, 0) - len(self.places.get(item, ()))
        return item if item in items and rest > 0 else items[-1]

    def clear(self, now_at: int) -> None:
        """Forget what was not played; nothing of it is sent again."""
        self.cut(now_at)
        self._items.clear()
        self._current = ""
        for places in self.places.values():
            while places and places[-1] >= now_at:
                places.pop()


def spans(starts: Iterable[int], most_apart: int) -> Iterator[tuple[float, float]]:
    """Join frames, by their first samples, into spans of s; small gaps are closed."""
    begin = end = -1
    for at in sorted(starts):
        if begin >= 0 and at - end <= most_apart:
            end = max(end, at + FRAME_BYTES)
            continue
        if begin >= 0:
            yield begin / RATE_HZ, end / RATE_HZ
        begin, end = at, at + FRAME_BYTES
    if begin >= 0:
        yield begin / RATE_HZ, end / RATE_HZ
