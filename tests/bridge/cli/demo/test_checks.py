"""The demo's checklist: a good call passes, and each flaw fails its own line."""

from datetime import timedelta

import pytest
from msgspec import structs

from bridge.cli.demo.checks import check
from bridge.sandbox.options import TimedAudio
from bridge.sandbox.timeline import Happening
from tests.bridge import demo_call


def failed(seen):
    return [one.text for one in check(seen) if not one.ok]


def figure(seen, text):
    return next(one.figure for one in check(seen) if one.text == text)


def with_result(**changes):
    seen = demo_call.evidence()
    for name, value in changes.items():
        setattr(seen.result, name, value)
    return seen


def test_good_call_passes_every_check():
    seen = demo_call.evidence()

    assert failed(seen) == []
    assert len(check(seen)) == 14
    assert figure(seen, "rx = frames sent") == "rx=799 sent=800"
    assert figure(seen, "no warning from either side, a proper end") == (
        "ended by the bridge"
    )


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"log": ["WS_STOP sid=x rx=799 tx=500"]}, "tx > 500"),
        ({"log": ["WS_STOP sid=x rx=797 tx=812"]}, "rx = frames sent"),
        ({"log": ["WS_STOP sid=x rx=801 tx=812"]}, "rx = frames sent"),
        ({"lead": demo_call.lead("Dan")}, "lead written"),
        ({"foreign": ["the other's lead"]}, "nothing of the other business seen"),
    ],
)
def test_what_the_bridge_and_the_database_lack_is_told(changes, flaw):
    assert failed(demo_call.evidence(**changes)) == [flaw]


def test_call_without_a_lead_has_no_appointment():
    seen = demo_call.evidence(lead=None)

    assert failed(seen) == ["lead written", "appointment in the calendar"]
    assert figure(seen, "appointment in the calendar") == "none"


def test_another_hour_than_the_wanted_one_is_told():
    late = structs.replace(
        demo_call.lead(), next_appointment_at=demo_call.BOOKED_AT + timedelta(hours=1)
    )
    seen = demo_call.evidence(lead=late)

    assert failed(seen) == ["appointment in the calendar"]
    assert figure(seen, "appointment in the calendar") == "Tuesday 11:00"


def test_offer_of_what_is_not_free_is_told():
    seen = demo_call.evidence()
    seen.session.received.pop()

    assert failed(seen) == ["offered what is free"]


def test_real_model_is_judged_by_what_can_be_seen_of_it():
    seen = demo_call.evidence(session=None)

    assert failed(seen) == []
    assert len(check(seen)) == 10


def test_call_without_a_stop_line_was_not_counted():
    assert failed(demo_call.evidence(log=[])) == ["tx > 500", "rx = frames sent"]


def test_greeting_must_be_heard_within_three_seconds():
    late = demo_call.track((3_200, demo_call.clip("ai-en-greeting").audio[:8_000]))
    silent = demo_call.track()

    assert "greeting heard" in failed(with_result(far=late))
    assert figure(with_result(far=silent), "greeting heard") == "never"


@pytest.mark.parametrize(
    ("clears_ms", "flaw"),
    [
        ([], "no clear came"),
        ([demo_call.FIRST_AT_MS * 1.0], "no clear came"),
        ([demo_call.CLEAR_MS + 200], " ms"),
    ],
)
def test_interruption_must_clear_soon_after_its_onset(clears_ms, flaw):
    seen = with_result(clears_ms=clears_ms)

    assert "barge-in under 200 ms" in failed(seen)
    assert flaw in figure(seen, "barge-in under 200 ms")


def test_truncate_must_come_and_fit_the_recording():
    text = "truncate within 60 ms of the recording"
    seen = demo_call.evidence()
    seen.session.received[0].event["audio_end_ms"] += 100
    assert failed(seen) == [text]

    del seen.session.received[0]
    assert failed(seen) == [text]
    assert figure(seen, text) == "no truncate came"


@pytest.mark.parametrize("offer_at_ms", [6_000, 11_500])
def test_answer_must_come_neither_at_once_nor_late(offer_at_ms):
    far = demo_call.track(
        (demo_call.GREETING_AT_MS, demo_call.clip("ai-en-greeting").audio[:8_000]),
        (offer_at_ms, demo_call.clip("ai-en-offer").audio[:16_000]),
    )

    assert "calendar's answer in 2 s" in failed(with_result(far=far))


def test_noise_that_was_forwarded_is_told():
    seen = demo_call.evidence()
    seen.session.audio.append(TimedAudio(15.9, b"\x21" * 320))

    assert failed(seen) == ["no line noise forwarded"]
    assert figure(seen, "no line noise forwarded").startswith("2 of ")


@pytest.mark.parametrize("loops", [1, -1])
def test_noise_is_told_by_its_place_though_the_same_lies_beside_speech(loops):
    fan = bytes((at * 7) % 100 for at in range(1_600))
    loop_ms, beside_ms = 3_000, demo_call.FIRST_AT_MS - 250
    elsewhere_ms = beside_ms - loop_ms if loops == 1 else 15_000
    near = bytearray(demo_call.result().near)
    for at_ms in (beside_ms, elsewhere_ms):
        near[at_ms * 8 : at_ms * 8 + len(fan)] = fan
    seen = with_result(near=bytes(near))
    place = 0 if loops == 1 else len(seen.session.audio)
    stray = TimedAudio((elsewhere_ms + 200) / 1e3, fan)
    seen.session.audio.insert(place, stray)

    assert failed(seen) == ["no line noise forwarded"]
    assert figure(seen, "no line noise forwarded").startswith("10 of ")


def test_soft_end_of_a_turn_is_no_noise():
    goodbye, at_ms = demo_call.clip("caller-he-goodbye"), 14_400
    seen = demo_call.evidence()
    near = bytearray(seen.result.near)
    near[at_ms * 8 : at_ms * 8 + len(goodbye.audio)] = goodbye.audio
    seen.result.near = bytes(near[: demo_call.LENGTH_MS * 8])
    seen.result.happenings += [
        Happening(at_ms, "says", goodbye.name),
        Happening(demo_call.LENGTH_MS, "has said", goodbye.name),
    ]
    seen.session.audio.append(TimedAudio(16.0, seen.result.near[at_ms * 8 :]))

    assert failed(seen) == []


def test_call_whose_speech_was_not_forwarded_is_told():
    seen = demo_call.evidence()
    del seen.session.audio[:]

    assert failed(seen) == ["no line noise forwarded"]


def test_digits_must_reach_the_model_once():
    seen = demo_call.evidence()
    seen.session.received.append(seen.session.received[1])

    assert failed(seen) == ["DTMF reached the model"]


@pytest.mark.parametrize(
    ("side", "wrong"),
    [("warnings", "31951 no such mark"), ("problems", "second start")],
)
def test_complaints_of_either_side_are_shown(side, wrong):
    seen = with_result(**{side: [wrong]})
    text = "no warning from either side, a proper end"

    assert failed(seen) == [text]
    assert figure(seen, text) == wrong


def test_violations_and_other_endings_are_told():
    seen = demo_call.evidence()
    seen.session.violations.append("append before session.updated")
    assert failed(seen) == ["no warning from either side, a proper end"]

    seen = with_result(ended_by="network", frames_sent=799)
    assert failed(seen) == ["no warning from either side, a proper end"]
    assert figure(seen, "no warning from either side, a proper end") == (
        "ended by the network"
    )


def test_frames_in_flight_are_forgiven_only_when_the_bridge_hung_up():
    assert "rx = frames sent" in failed(with_result(ended_by="caller"))


def test_on_a_busy_machine_any_number_of_frames_may_cross_the_hanging_up():
    seen = with_result(frames_sent=840)
    assert failed(seen) == []

    seen.result.frames_at_last_mark = 800
    assert failed(seen) == ["rx = frames sent"]
