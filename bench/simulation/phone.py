"""The phone side of a simulated call: as strict as Twilio, on simulated time.

Twilio plays the received audio in real time, and echoes a mark when all audio before it
has played. At `clear` it forgets the rest and echoes every mark at once. Only this
module knows what the caller truly heard.
"""

from collections import deque
from typing import TYPE_CHECKING

from bench.simulation.scenario import QUIET, stamp
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES

if TYPE_CHECKING:
    from bench.simulation.invariants import Part
    from bench.simulation.world import World

STREAM_SID = "MZ" + "5" * 32
FRAME_S = 0.02
BUNCH_S = 1.0


class Phone:
    """The caller's phone: playout, marks and speech."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._scenario = world.scenario
        self._caller = world.scenario.caller()
        self._number = 0
        self._ends_at = 0.0
        self._bunch_at = 0.0
        self._marks: deque[tuple[float, str]] = deque()
        # When each frame of each item began to play.
        self._began: dict[Part, list[float]] = {}
        self._cleared_at: dict[Part, float] = {}
        self._is_closed = False

    # --- the caller's side ---

    def start(self) -> None:
        """Open the stream, and speak every 20 ms from then on."""
        world = self._world
        world.to_bridge(twilio.Connected())
        media_format = twilio.MediaFormat("audio/x-mulaw", 8000, 1)
        body = twilio.StartBody(STREAM_SID, "AC1", "CA1", media_format)
        world.to_bridge(twilio.Start(stream_sid=STREAM_SID, start=body))
        world.after(FRAME_S, self._speak)
        if self._scenario.hang_up_s is not None:
            world.after(self._scenario.hang_up_s, self._hang_up)
        world.after(self._scenario.rng.expovariate(1 / 10.0), self._press)

    def _speak(self) -> None:
        if self._is_closed:
            return
        rng, scenario = self._scenario.rng, self._scenario
        number, self._number = self._number, self._number + 1
        is_talking = number * FRAME_S < scenario.talks_s
        frame = stamp(next(self._caller) if is_talking else QUIET, number)
        if scenario.loss == 0.0 or rng.random() >= scenario.loss:
            pieces = [frame]
            if scenario.has_odd_payloads:
                at = rng.randrange(FRAME_BYTES)
                pieces = [frame[:at], frame[at:]]
            for piece in pieces:
                if piece:
                    text = str(number * 20)
                    body = twilio.MediaBody(payload=piece, timestamp=text)
                    self._world.to_bridge(twilio.Media(media=body))
        self._world.after(FRAME_S, self._speak)

    def _press(self) -> None:
        rng = self._scenario.rng
        if self._is_closed or self._number * FRAME_S > self._scenario.talks_s:
            return
        for digit in rng.choices("0123456789*#", k=rng.choice((1, 1, 3, 40))):
            self._world.to_bridge(twilio.Dtmf(dtmf=twilio.DtmfBody(digit=digit)))
        self._world.after(rng.expovariate(1 / 10.0), self._press)

    def _hang_up(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if not self._scenario.hangs_up_rudely:
            self._world.to_bridge(twilio.Stop())
        self._world.lose_phone()

    def close(self) -> None:
        """The bridge has closed the stream."""
        self._is_closed = True

    # --- playout ---

    def play(self, part: "Part") -> None:
        """Queue a frame, to be played after all earlier frames."""
        begins_at = max(self._world.now, self._ends_at)
        self._ends_at = begins_at + FRAME_S
        self._began.setdefault(part, []).append(begins_at)

    def mark(self, name: str) -> None:
        """Echo the name when everything before it has been played."""
        self._marks.append((self._ends_at, name))
        self._world.at(max(self._ends_at, self._world.now), self._echo, name)

    def clear(self) -> None:
        """Forget unplayed audio, and echo every waiting mark."""
        now = self._world.now
        self._ends_at = min(self._ends_at, now)
        for part in self._began:
            self._cleared_at.setdefault(part, now)
        waiting, self._marks = list(self._marks), deque()
        for _, name in waiting:
            self._send_echo(name)

    def heard_ms(self, part: "Part") -> float:
        """Return how much of a part was played, up to the clear that cut it."""
        until = self._cleared_at.get(part, self._world.now)
        began = self._began.get(part, ())
        return sum(min(max(until - at, 0.0), FRAME_S) for at in began) * 1e3

    def _echo(self, name: str) -> None:
        for waiting in self._marks:
            if waiting[1] == name:
                self._marks.remove(waiting)
                self._send_echo(name)
                return

    def _send_echo(self, name: str) -> None:
        rng, how = self._scenario.rng, self._scenario.marks
        if how == "never" or self._is_closed:
            return
        message = twilio.Mark(mark=twilio.MarkBody(name=name))
        now, at = self._world.now, self._world.now
        if how == "late":
            at += rng.uniform(0.0, 0.4)
        elif how == "bunched":
            if self._bunch_at <= now:
                self._bunch_at = now + BUNCH_S
            at = self._bunch_at
        self._world.at(at, self._world.to_bridge, message)
        if self._scenario.is_fault and rng.random() < 0.05:
            stranger = twilio.Mark(mark=twilio.MarkBody(name="nobody:0:20"))
            self._world.at(at, self._world.to_bridge, stranger)
