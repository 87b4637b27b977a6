"""What was heard is right to 60 ms against the caller's own recording.

The recording is the sandbox's: a phone that plays in real time, some way off. Each item
sounds of one byte of its own, so that the recording says how much of each was heard.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import pytest

from bridge.call.machine import Call
from bridge.realtime import openai
from bridge.sandbox.playout import PhonePlayout
from bridge.telephony import twilio
from tests.bridge import builders
from tests.bridge.builders import (
    SILENCE,
    answered_call,
    audio_done,
    clip,
    created,
    done,
)

WAY_S = 0.04
STEP_S = 0.005
RIGHT_MS = 60
VOICE = clip("human-en-reader-1")[20:]
COUGH = VOICE[:12]
# How much later than it should an echo leaves the phone: by its number.
MARKS: dict[str, Callable[[int, float], float | None]] = {
    "prompt": lambda number, now: 0.0,
    "late": lambda number, now: 0.4 - 0.1 * (number % 4),
    "bunched": lambda number, now: -now % 1.0,
    "never": lambda number, now: None,
}
BYTES = {"a": 0x11, "b": 0x22, "c": 0x33, "d": 0x44}


class CallDriver:
    """A call and a phone, `WAY_S` apart."""

    def __init__(self, marks: str, call: Call | None = None) -> None:
        self.call = call or answered_call()
        self.now = 0.0
        self.told: list[tuple[str, int]] = []
        # Parts of items that have a sound of their own.
        self.names: dict[tuple[str, int], str] = {}
        self.phone = PhonePlayout(0.0)
        self._lateness = MARKS[marks]
        self._echoes = count()
        self._queue: list[tuple[float, int, Callable[..., list], tuple]] = []
        self._ties = count()
        self.wait(3.0)

    def wait(self, seconds: float, frames: list[bytes] = ()) -> None:
        """Let time pass; the caller says the frames, and is quiet after them."""
        said, until = list(frames), self.now + seconds
        while self.now < until - 1e-9:
            self.now = round(self.now + STEP_S, 6)
            while self._queue and self._queue[0][0] <= self.now:
                _, _, act, args = heappop(self._queue)
                self._perform(act(*args, self.now))
            while self.call.deadline is not None and self.call.deadline <= self.now:
                self._perform(self.call.receive_timeout(self.now))
            self._echo(self.phone.advance(self.now))
            if round(self.now / STEP_S) % 4 == 0:
                frame = said.pop(0) if said else SILENCE
                self.from_phone(builders.media(frame))

    def say(self, response: str, *items: tuple[str, int], is_done: bool = True) -> None:
        """Let the model say items of so many ms, all at once."""
        self.from_model(created(response))
        for name, ms in items:
            delta = bytes([BYTES[name]]) * (8 * ms)
            self.from_model(openai.AudioDelta(response, name, 0, delta))
            self.from_model(audio_done(name, response))
        if is_done:
            self.from_model(done(response))

    def from_model(self, event: openai.Inbound) -> None:
        self._perform(self.call.receive_openai(event, self.now))

    def from_phone(self, message: twilio.Inbound, late_s: float = 0.0) -> None:
        self._later(late_s, self.call.receive_twilio, message)

    def heard_ms(self, item: str) -> float:
        return self.phone.heard.count(BYTES[item]) / 8

    def check(self, *items: str) -> None:
        """Compare what the model was told with the recording, once all has arrived."""
        self.wait(0.2)
        assert [item for item, _ in self.told] == list(items)
        for item, told_ms in self.told:
            assert abs(told_ms - self.heard_ms(item)) <= RIGHT_MS

    def _later(self, late_s: float, act: Callable[..., list], *args: object) -> None:
        at = self.now + WAY_S + late_s
        heappush(self._queue, (at, next(self._ties), act, args))

    def _perform(self, actions: list) -> list:
        for action in twilio.messages_of(actions):
            if type(action) is twilio.OutboundMedia:
                self._later(0.0, self._play, action.media.payload)
            elif type(action) is twilio.OutboundMark:
                self._later(0.0, self._mark, action.mark.name)
            elif type(action) is twilio.Clear:
                self._later(0.0, self._clear)
            elif type(action) is openai.ConversationItemTruncate:
                part = action.item_id, action.content_index
                name = self.names.get(part, action.item_id)
                self.told.append((name, action.audio_end_ms))
        return []

    def _play(self, audio: bytes, now: float) -> list:
        return self._echo(self.phone.receive_media(audio, now))

    def _mark(self, name: str, now: float) -> list:
        return self._echo(self.phone.receive_mark(name, now))

    def _clear(self, now: float) -> list:
        return self._echo(self.phone.receive_clear(now))

    def _echo(self, echoes: list) -> list:
        for echo in echoes:
            late_s = self._lateness(next(self._echoes), self.now)
            if late_s is not None:
                self.from_phone(builders.mark(echo.name), late_s)
        return []


@pytest.fixture(params=list(MARKS))
def line(request):
    return CallDriver(request.param)


def test_several_items_of_one_response(line):
    line.say("r1", ("a", 1_000), ("b", 1_500), ("c", 2_000), is_done=False)
    line.wait(1.7)
    line.from_phone(builders.dtmf("1"))

    line.check("b", "c")
    assert line.heard_ms("a") == 1_000 and line.heard_ms("c") == 0


def test_several_parts_of_one_item(line):
    line.from_model(created("r1"))
    for index, (name, ms) in enumerate((("a", 1_010), ("b", 1_500), ("c", 2_000))):
        line.names["item", index] = name
        delta = bytes([BYTES[name]]) * (8 * ms)
        line.from_model(openai.AudioDelta("r1", "item", index, delta))
        line.from_model(openai.AudioDone("r1", "item", index))
    line.wait(1.7)
    line.from_phone(builders.dtmf("1"))

    line.check("b", "c")
    assert line.heard_ms("a") == 1_010 and line.heard_ms("b") > 500


@pytest.mark.parametrize("marks", list(MARKS))
@pytest.mark.parametrize("way", ["voice", "key"])
def test_a_reply_that_was_held_for_nothing(marks, way):
    line = CallDriver(marks, answered_call(min_consecutive_voice_frames=20))
    line.say("r1", ("a", 6_000), ("b", 1_000))
    line.wait(1.5)
    line.wait(0.8, COUGH)
    assert line.call.counters.barge_ins_false == 1
    if way == "key":
        line.from_phone(builders.dtmf("1"))
    else:
        line.wait(1.0, VOICE[:50])

    line.check("a", "b")
    assert line.call.counters.barge_ins == (way == "voice")


def test_a_response_that_is_already_done(line):
    line.say("r1", ("a", 4_000))
    line.wait(1.5)
    line.wait(1.0, VOICE[:50])

    line.check("a")
    assert line.call.counters.barge_ins == 1


def test_the_greeting():
    line = CallDriver("prompt", Call(builders.plan("Hello."), 0.0))
    line.from_model(openai.SessionCreated(session=openai.Session()))
    line.from_model(openai.SessionUpdated(session=builders.session()))
    line.from_phone(builders.start())
    line.wait(0.5)
    line.say("r1", ("a", 4_000))
    line.wait(1.2)
    line.wait(1.0, VOICE[:50])

    line.check("a")


def test_the_filler_of_a_tool(line):
    line.say("r1", is_done=False)
    line.from_model(builders.tool_item())
    line.from_model(done("r1"))
    line.wait(0.9)
    line.say("r2", ("a", 1_500))
    line.wait(0.8)
    line.from_phone(builders.dtmf("1"))
    line.wait(0.1)
    line.call.receive_tool_result(builders.tool_result(), line.now)

    line.check("a")


def test_the_last_100_ms(line):
    line.say("r1", ("a", 2_000))
    line.wait(1.92)
    line.from_phone(builders.dtmf("1"))

    line.check("a")
    assert 1_900 <= line.heard_ms("a") < 2_000


def test_two_interruptions_in_a_row(line):
    line.say("r1", ("a", 6_000), ("b", 1_000))
    line.wait(1.5)
    line.wait(1.0, VOICE[:50])
    line.say("r2", ("c", 6_000), ("d", 1_000))
    line.wait(0.7)
    line.from_phone(builders.dtmf("1"))

    line.check("a", "b", "c", "d")
    assert 0 < line.heard_ms("c") < 1_000


@pytest.mark.parametrize("marks", ["prompt", "late", "bunched"])
@pytest.mark.parametrize("way_s", [0.005, 0.025, 0.04, 0.055])
def test_a_caller_who_hangs_up_while_he_is_answered(monkeypatch, marks, way_s):
    monkeypatch.setattr("tests.bridge.call.test_heard.WAY_S", way_s)
    line = CallDriver(marks)
    line.say("r1", ("a", 9_000))
    line.from_model(openai.TranscriptDone("r1", "a", "One two three four five six."))
    line.wait(5.3)
    line.from_phone(twilio.Stop())
    heard_ms = line.heard_ms("a")
    line.wait(0.2)

    (turn,) = line.call.record(line.now).turns
    assert abs(turn.heard_ms - heard_ms) <= RIGHT_MS
