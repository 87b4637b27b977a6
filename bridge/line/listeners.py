"""Listeners: people who hear both sides of a running call, live.

The caller's frames come in real time. They are the clock: with each, a listener gets
the frame that the caller hears then, of what was sent ahead. Audio that a `clear` has
removed is not heard. A listener who is slow loses the oldest audio, which is counted;
nothing of the call waits for a listener.

A call with listeners takes the slow path, which has whole messages. A call without any
pays nothing.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

from bridge.call.plan import Action
from bridge.line.fast_path import SocketFastPath
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES

SILENCE = b"\xff" * FRAME_BYTES
# A listener hears at most this much later than the line: 200 ms.
LISTENER_FRAMES_MAX = 10
LISTENERS_MAX = 8
# More than the lead of any playout: what was sent and is not heard yet.
AHEAD_FRAMES_MAX = 250
# The caller's frame and the frame that the caller hears.
PAIR_BYTES = 2 * FRAME_BYTES


class Listener:
    """One listener; `take` returns what has come since the last time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dropped_frames = 0
        self._pairs: deque[bytes] = deque()
        self._has_news = asyncio.Event()
        self._is_over = False

    def put(self, pair: bytes) -> None:
        """Give the listener a frame of each side."""
        if len(self._pairs) >= LISTENER_FRAMES_MAX:
            self._pairs.popleft()
            self.dropped_frames += 1
        self._pairs.append(pair)
        self._has_news.set()

    def end(self) -> None:
        """Note that the call is over."""
        self._is_over = True
        self._has_news.set()

    async def take(self) -> bytes:
        """Return pairs of frames, each the caller's and then what the caller hears.

        The result is empty once the call is over.
        """
        while not self._pairs and not self._is_over:
            self._has_news.clear()
            await self._has_news.wait()
        heard = b"".join(self._pairs)
        self._pairs.clear()
        return heard


class Listeners:
    """The listeners of one call."""

    def __init__(
        self, metrics: Metrics, fast_path: SocketFastPath, *, is_fast: bool
    ) -> None:
        """`is_fast`: the call takes the fast path when nobody listens."""
        # Somebody listens; read for each input of the call.
        self.is_wanted = False
        self._is_over = False
        self._is_fast = is_fast
        self._fast_path = fast_path
        self._metrics = metrics
        self._listeners: list[Listener] = []
        # Frames that were sent to the caller, who has yet to hear them.
        self._ahead: deque[bytes] = deque(maxlen=AHEAD_FRAMES_MAX)

    @property
    def names(self) -> list[str]:
        """Who listens."""
        return [listener.name for listener in self._listeners]

    def add(self, name: str) -> Listener | None:
        """Return a new listener; None if there are LISTENERS_MAX, or it is over."""
        if self._is_over or len(self._listeners) >= LISTENERS_MAX:
            return None
        listener = Listener(name)
        self._listeners.append(listener)
        self._follow()
        return listener

    def remove(self, listener: Listener) -> None:
        """Forget a listener, and count the audio that it was too slow for."""
        self._listeners.remove(listener)
        self._metrics.count("dropped", listener.dropped_frames, limit="listener_frames")
        self._follow()

    def note(self, what: tuple[Any, ...], actions: Iterable[Action]) -> None:
        """Take an input of the call, and the actions that it caused."""
        for action in actions:
            if type(action) is twilio.OutboundAudio:
                self._ahead.extend(_frames(action.frames))
            elif type(action) is twilio.Clear:
                self._ahead.clear()
        if what and type(what[0]) is twilio.Media:
            for frame in _frames(what[0].media.payload):
                heard = self._ahead.popleft() if self._ahead else SILENCE
                for listener in self._listeners:
                    listener.put(frame + heard)

    def end(self) -> None:
        """Tell all listeners that the call is over."""
        self._is_over = True
        for listener in self._listeners:
            listener.end()

    def _follow(self) -> None:
        """Take the slow path while somebody listens."""
        if not self._listeners:
            self._ahead.clear()
        self.is_wanted = bool(self._listeners)
        self._fast_path.is_open = self._is_fast and not self.is_wanted


def _frames(audio: bytes) -> Iterable[bytes]:
    for at in range(0, len(audio), FRAME_BYTES):
        yield audio[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\xff")
