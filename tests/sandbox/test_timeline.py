from bridge.sandbox.clips import Clip, clip
from bridge.sandbox.mulaw import level_dbfs, mixed
from bridge.sandbox.playout import PhonePlayout
from bridge.sandbox.timeline import (
    Digit,
    HangUp,
    InterruptAfter,
    Noise,
    Raw,
    Say,
    StayOnLine,
    Step,
    Tick,
    Timeline,
    Wait,
    WaitForAi,
)

VOICE = Clip("voice", b"\x10" * 400)
QUIET = b"\xff" * 160


class Phone:
    """Runs a timeline against a playout, 20 ms at a time."""

    def __init__(self, *steps: Step) -> None:
        self.playout = PhonePlayout(0.0)
        self.timeline = Timeline(steps)
        self.ticks: list[Tick] = []

    def run(self, ms: int) -> list[Tick]:
        """Let this much time pass; return the frames said in it."""
        begin = len(self.ticks)
        while (len(self.ticks) - begin) * 20 < ms:
            self.playout.advance((len(self.ticks) + 1) * 0.02)
            self.ticks.append(self.timeline.next_frame(self.playout))
        return self.ticks[begin:]

    def hear(self, ms: int) -> None:
        self.playout.receive_media(b"\x01" * (8 * ms), len(self.ticks) * 0.02)

    def said(self) -> bytes:
        return b"".join(tick.audio for tick in self.ticks)

    def kinds(self) -> list[tuple[float, str]]:
        return [(event.at_ms, event.kind) for event in self.timeline.happenings]


def test_a_recording_is_said_whole_and_padded_to_a_frame():
    phone = Phone(Wait(40), Say(VOICE), StayOnLine())
    phone.run(120)
    assert phone.said() == QUIET * 2 + VOICE.audio + b"\xff" * 80 + QUIET
    assert phone.kinds() == [(40, "says"), (100, "has said")]


def test_what_follows_speech_comes_in_the_very_next_frame():
    phone = Phone(Say(VOICE), Say(b"\x20" * 160), HangUp())
    phone.run(60)
    assert phone.run(20)[0].audio == b"\x20" * 160
    assert phone.run(20)[0].hangs_up


def test_the_end_of_the_steps_is_a_hang_up():
    phone = Phone(Wait(20))
    assert [tick.hangs_up for tick in phone.run(40)] == [False, True]
    assert [tick.hangs_up for tick in Phone(StayOnLine()).run(200)] == [False] * 10


def test_he_waits_until_the_other_side_starts():
    phone = Phone(WaitForAi("starts"), Say(VOICE))
    assert phone.run(400)[-1].audio == QUIET
    phone.hear(100)
    assert phone.run(20)[0].audio == VOICE.audio[:160]


def test_he_waits_until_the_other_side_has_spoken():
    phone = Phone(WaitForAi("ends", quiet_ms=200), Say(VOICE), StayOnLine())
    phone.run(100)
    phone.hear(300)
    assert phone.run(480)[-1].audio == QUIET
    assert phone.run(40)[-1].audio == VOICE.audio[:160]


def test_speech_that_goes_on_counts_and_speech_that_is_over_does_not():
    phone = Phone(Wait(100), WaitForAi("starts"), Say(VOICE), StayOnLine())
    phone.hear(200)
    phone.run(120)
    assert phone.ticks[-1].audio == VOICE.audio[:160]

    phone = Phone(Wait(1000), WaitForAi("starts", timeout_ms=500), StayOnLine())
    phone.hear(200)
    phone.run(1600)
    assert phone.kinds() == [(1500, "waited in vain")]


def test_he_interrupts_after_so_much_of_an_utterance():
    phone = Phone(InterruptAfter(500), Say(VOICE), StayOnLine())
    phone.run(100)
    phone.hear(2000)
    phone.run(480)
    assert phone.ticks[-1].audio == QUIET
    phone.run(20)
    assert phone.ticks[-1].audio == VOICE.audio[:160]


def test_noise_lies_under_speech_and_goes_on_alone():
    fan = clip("noise-fan")
    phone = Phone(Noise(fan), Wait(20), Say(VOICE), Noise(None), StayOnLine())
    phone.run(100)
    assert phone.ticks[0].audio == fan.audio[:160]
    assert phone.ticks[1].audio == mixed(VOICE.audio[:160], fan.audio[160:320])
    assert phone.ticks[4].audio == QUIET


def test_noise_of_any_length_repeats_without_a_gap():
    phone = Phone(Noise(bytes(range(1, 101))), StayOnLine())
    phone.run(100)
    assert phone.said()[:200] == bytes(range(1, 101)) * 2
    assert phone.said()[:100] == phone.said()[700:800]


def test_noise_can_be_louder_or_quieter():
    fan = clip("noise-fan")
    levels = []
    for gain_db in (-6, 0, 6):
        phone = Phone(Noise(fan, gain_db), StayOnLine())
        phone.run(1000)
        levels.append(level_dbfs(phone.said()))
    assert abs(levels[1] - levels[0] - 6) < 0.5
    assert abs(levels[2] - levels[1] - 6) < 0.5


def test_keys_are_pressed_one_after_another():
    phone = Phone(Digit("4"), Digit("#"), StayOnLine())
    ticks = phone.run(400)
    assert [(n * 20, t.digit) for n, t in enumerate(ticks) if t.digit] == [
        (0, "4"),
        (160, "#"),
    ]
    assert phone.said() == QUIET * 20


def test_a_key_may_be_heard_as_its_two_tones():
    phone = Phone(Digit("1", ms=100, is_audible=True), StayOnLine())
    phone.run(200)
    assert -14 < level_dbfs(phone.said()[:800]) < -11
    assert phone.said()[800:] == QUIET * 5


def test_raw_frames_go_out_with_the_next_frame_or_after_the_hang_up():
    before, after = Raw("{"), Raw(b"x")
    phone = Phone(Wait(20), before, before, HangUp(), after)
    ticks = phone.run(40)
    assert [tick.raw for tick in ticks] == [(), (before, before)]
    assert phone.timeline.rest() == [after]
