"""Whatever comes in whatever order: the AI is silent while an operator has the call."""

from random import Random

import pytest

from bridge.call.machine import Call
from bridge.call.plan import (
    HandBack,
    HangUp,
    Leg,
    OperatorWords,
    Phase,
    RunTool,
    TakeOver,
    Transcribe,
    Whisper,
)
from bridge.call.streams import State, Transport
from bridge.realtime import openai
from bridge.telephony import twilio
from tests.bridge import builders

STEPS = 250
SEEDS = range(120)
REASONS = ("caller_hung_up", "caller_leg_lost", "transport_lost", "model_lost")
VOICE = b"\x42" * 160
SENTENCE = builders.clip("ai-en-greeting")[:90]


class Story:
    """A call to which a server, a caller and an operator do what they please."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        mode = rng.choice(("server_vad", "semantic_vad", "gate"))
        greeting = rng.choice(("", "Hello."))
        self.call: Call = builders.answered_call(
            0.0,
            greeting,
            turn_detection=mode,
            idle_prompt_ms=3_000,
            max_call_seconds=rng.choice((30, 1_800)),
            tool_filler=True,
        )
        self.now = 0.0
        self.number = 0
        self.runs = ["r0"]
        self.tools: list[str] = []
        self.portions: list[str] = []
        self.speech = builders.clip("caller-en-1")

    def receive(self, method, *what):
        was_on, phase = self.call.takeover.is_on, self.call.phase
        actions = method(*what, self.now)
        self.check(method, was_on, phase, actions)
        for action in builders.of(RunTool, actions):
            self.tools.append(action.tool_call_id)
        for portion in builders.of(Transcribe, actions):
            self.portions.append(portion.item_id)

    def check(self, method, was_on, phase, actions):
        name = method.__name__
        is_over = self.call.phase is Phase.ENDED
        if was_on and self.call.takeover.is_on and not is_over:
            assert not builders.of(openai.ResponseCreate, actions), name
            if name != "receive_operator_audio":
                assert not builders.of(twilio.OutboundMedia, actions), name
            assert self.call.phase is phase is Phase.TALKING, name
        if was_on and is_over and phase is not Phase.ENDED:
            [hang_up] = builders.of(HangUp, actions)
            # The caller left; or the call was handed back, and had no model.
            assert hang_up.reason in REASONS, hang_up
        for sent in builders.of(twilio.OutboundMedia, actions):
            assert len(sent.media.payload) == 160

    def step(self) -> None:
        self.now += self.rng.choice((0.0, 0.02, 0.02, 0.1, 0.6))
        call, rng = self.call, self.rng
        for _ in range(50):
            if call.deadline is None or call.deadline > self.now:
                break
            self.receive(call.receive_timeout)
        rng.choice((self.model, self.model, self.caller, self.caller, self.operator))()

    def operator(self) -> None:
        call, rng = self.call, self.rng
        kind = rng.random()
        if kind < 0.4:
            self.receive(call.receive_operator_audio, VOICE * rng.choice((1, 1, 4)))
            return
        if kind < 0.5:
            for frame in SENTENCE:
                self.now += builders.FRAME_S
                self.receive(call.receive_operator_audio, frame)
            return
        if kind < 0.6 and self.portions:
            words = OperatorWords(
                item_id=self.portions.pop(rng.randrange(len(self.portions))),
                text=rng.choice(("", "Ten percent.")),
                failed=rng.random() < 0.2,
            )
            self.receive(call.receive_operator_words, words)
            return
        orders = (TakeOver(), TakeOver(), HandBack(note="x"), Whisper(text="h"))
        spoken = Whisper(text="h", speaks=True)
        self.receive(call.receive_operator, rng.choice((*orders, spoken)))

    def caller(self) -> None:
        call, rng, kind = self.call, self.rng, self.rng.random()
        if kind < 0.75:
            first = rng.randrange(len(self.speech) - 30)
            for frame in self.speech[first : first + rng.randrange(30)]:
                self.now += builders.FRAME_S
                self.receive(call.receive_twilio, builders.media(frame))
        elif kind < 0.9:
            self.receive(call.receive_twilio, builders.dtmf(rng.choice("12#")))
        elif kind < 0.93:
            self.receive(call.receive_transport, Transport.GONE)
        elif call.streams.state in (State.LOST, State.WANTED):
            self.receive(call.receive_twilio, builders.start())

    def model(self) -> None:
        call, rng, run = self.call, self.rng, self.rng.choice(self.runs[-2:])
        self.number += 1
        number = self.number
        hear = call.receive_openai
        kind = rng.randrange(12)
        if kind < 2:
            self.runs.append(f"r{number}")
            self.receive(hear, builders.created(self.runs[-1]))
        elif kind < 4:
            ms = rng.choice((40, 400, 2_000))
            self.receive(hear, builders.audio_delta(f"i{run}", ms, run))
        elif kind == 4:
            self.receive(hear, builders.audio_done(f"i{run}", run))
        elif kind == 5:
            status = rng.choice(("completed", "cancelled", "failed", "incomplete"))
            self.receive(hear, builders.done(run, status))
        elif kind == 6:
            end = '{"reason": "goodbye"}'
            tool = rng.choice((("end_call", end), ("leads_upsert", "{}")))
            self.receive(hear, builders.tool_item(f"t{number}", *tool))
        elif kind == 7 and self.tools:
            result = builders.tool_result(self.tools.pop())
            self.receive(call.receive_tool_result, result)
        elif kind == 8:
            began, item = number * 100, f"c{number}"
            started = openai.SpeechStarted(audio_start_ms=began, item_id=item)
            self.receive(hear, started)
            stopped = openai.SpeechStopped(audio_end_ms=began + 90, item_id=item)
            self.receive(hear, stopped)
        elif kind == 9:
            committed = openai.Committed(item_id=f"c{number}", previous_item_id=None)
            self.receive(hear, committed)
        elif kind == 10:
            code = rng.choice(
                (
                    "server_error",
                    "conversation_already_has_active_response",
                    "response_cancel_not_active",
                    "input_audio_buffer_commit_empty",
                )
            )
            self.receive(hear, builders.error(code))
        elif rng.random() < 0.3:
            self.receive(call.receive_disconnect, Leg.OPENAI, "gone")
            created = openai.SessionCreated(session=openai.Session())
            self.receive(hear, created)
            self.receive(hear, openai.SessionUpdated(session=builders.session()))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ai_is_silent_while_an_operator_has_the_call(seed):
    story = Story(seed)
    if seed % 2:
        story.receive(story.call.receive_operator, TakeOver())
    for _ in range(STEPS):
        if story.call.phase is Phase.ENDED:
            break
        story.step()

    story.receive(story.call.receive_twilio, twilio.Stop())
    assert story.call.phase is Phase.ENDED
    assert story.call.counters.takeovers >= seed % 2
