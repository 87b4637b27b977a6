"""A call of the pure core on simulated time: the caller's frames, and an AI that talks.

Nothing here depends on the machine. It leaves out the network, and the microseconds a
frame takes (`bench.walks`).
"""

from collections.abc import Sequence

import numpy as np

from bench.cases import RATE
from bench.gate import subset
from bench.walks import answered
from bridge.call.plan import Action
from bridge.realtime import openai
from bridge.settings.options import CallOptions, merge
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES, FRAME_MS

FRAME_S = FRAME_MS / 1e3
SPEECH_DBOV = -20.0
# The model is far ahead: ten seconds of its speech come at once.
DELTA_FRAMES = 500
VOICES = (
    "ai-en-greeting",
    "ai-he-offer",
    "ai-en-offer",
    "ai-he-greeting",
    "ai-en-booked",
    "ai-he-booked",
)


class Talk:
    """A call whose AI says `speech`, in step with the caller's frames.

    `speech` is as long as the call. After an interruption the AI continues where it
    would be by then, so that the recorded echo still belongs to its speech. The lead is
    longer than a hold, so that a held feed does not change that either.
    """

    def __init__(self, options: CallOptions, speech: bytes) -> None:
        longer = {"playout_lead_ms": 2_000, "idle_prompt_ms": 600_000}
        self.call = answered(merge(options, longer))
        self._speech = speech
        self._pushed = 0
        self._responses = 0
        self.frames = 0
        self.is_talking = False

    @property
    def now(self) -> float:
        """When the caller's last frame arrived, in s."""
        return self.frames * FRAME_S

    @property
    def is_reacting(self) -> bool:
        """Tell whether the AI is stopped, or its feed held on first evidence."""
        return self.call.playout.is_held or not self.is_talking

    def begin(self) -> None:
        """Let the AI talk from the next frame on."""
        self._responses += 1
        self._pushed = self.frames
        self.is_talking = True
        response = openai.Response(id=f"r{self._responses}")
        self.call.receive_openai(openai.ResponseCreated(response=response), self.now)

    def say(self, speech: bytes) -> None:
        """Let the AI say `speech` from the next frame on, and nothing after it."""
        self._responses += 1
        name = f"r{self._responses}"
        response = openai.Response(id=name, status="completed")
        for event in (
            openai.ResponseCreated(response=response),
            openai.AudioDelta(name, name, 0, speech),
            openai.AudioDone(name, name),
            openai.ResponseDone(response=response),
        ):
            self.call.receive_openai(event, self.now)

    def step(self, frame: bytes) -> Sequence[Action]:
        """Take the caller's next frame; return all actions of the core until then."""
        if self.is_talking and self._pushed <= self.frames + DELTA_FRAMES // 2:
            self._push()
        self.frames += 1
        actions: list[Action] = []
        while self.call.deadline is not None and self.call.deadline <= self.now:
            at = max(self.call.deadline, self.call.now)
            actions += self.call.receive_timeout(at)
        media = twilio.Media(media=twilio.MediaBody(payload=frame, timestamp=""))
        actions += self.call.receive_twilio(media, self.now)
        if self.is_talking and any(type(one) is twilio.Clear for one in actions):
            self._end()
        return actions

    def _push(self) -> None:
        first = self._pushed * FRAME_BYTES
        delta = self._speech[first : first + DELTA_FRAMES * FRAME_BYTES]
        self._pushed += DELTA_FRAMES
        name = f"r{self._responses}"
        self.call.receive_openai(openai.AudioDelta(name, name, 0, delta), self.now)

    def _end(self) -> None:
        self.is_talking = False
        response = openai.Response(id=f"r{self._responses}", status="cancelled")
        self.call.receive_openai(openai.ResponseDone(response=response), self.now)


def ai_speech(seconds: float, seed: int) -> subset.Audio:
    """Return the speech of a talkative AI: packaged clips with pauses between."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * RATE))
    place_s = 0.0
    while place_s < seconds:
        voice = subset.samples(VOICES[int(rng.integers(len(VOICES)))])
        level = 10 ** (SPEECH_DBOV / 20)
        subset.put(out, place_s, voice / subset.active_rms(voice) * level)
        place_s += len(voice) / RATE + rng.uniform(0.1, 0.5)
    return out
