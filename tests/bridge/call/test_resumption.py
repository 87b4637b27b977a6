"""A stream that is lost without a word, and the call that goes on."""

import random

import pytest

from bridge.call.greeting import GREETING_WAIT_S
from bridge.call.last_words import LAST_WORDS_S
from bridge.call.machine import Call
from bridge.call.plan import HangUp
from bridge.call.streams import ASK_S, LOSSES_MAX, RETURN_S, Transport
from bridge.realtime import openai
from bridge.records.summary import outcome_of
from bridge.telephony import twilio
from tests.bridge import builders
from tests.bridge.builders import of

LATE = "[REALTIME] No greeting came: listening"
OTHER_STREAM = "MZ" + "7" * 32


def another_start():
    return twilio.Start(stream_sid=OTHER_STREAM, start=builders.start().start)


def lose(call, now):
    return call.receive_transport(Transport.GONE, now)


def want(call, now):
    return call.receive_transport(Transport.WANTED, now)


def come_back(call, now):
    return call.receive_twilio(another_start(), now)


def heard(actions):
    return [(one.stream_sid, len(one.frames)) for one in of_audio(actions)]


def of_audio(actions):
    return [one for one in actions if isinstance(one, twilio.OutboundAudio)]


def bytes_of(actions):
    return b"".join(one.frames for one in of_audio(actions))


def reply(ms):
    """An answer whose bytes tell where they stand in it."""
    return bytes(at // 160 % 251 for at in range(8 * ms))


def call_in_mid_reply(ms=2_000):
    """Return a call one second into a reply, the reply, and what was sent of it."""
    call = builders.answered_call()
    builders.speak(call, [builders.SILENCE] * 49, 0.0)
    call.receive_openai(builders.created(), 1.0)
    said = reply(ms)
    delta = openai.AudioDelta(
        response_id="r1", item_id="i1", content_index=0, delta=said
    )
    actions = call.receive_openai(delta, 1.0)
    actions += call.receive_openai(builders.audio_done("i1"), 1.0)
    actions += call.receive_openai(builders.done(), 1.0)
    actions += builders.fire(call, 1.5)
    return call, said, bytes_of(actions)


def test_reply_goes_on_from_the_very_next_byte():
    call, said, sent = call_in_mid_reply()
    assert of(HangUp, lose(call, 1.5)) == []
    actions = builders.fire(call, 3.0)
    actions += want(call, 3.0)
    actions += builders.fire(call, 5.0)
    assert bytes_of(actions) == b""

    back = come_back(call, 5.0)
    back += builders.fire(call, 9.0)

    assert sent + bytes_of(back) == said
    assert {stream_sid for stream_sid, _ in heard(back)} == {OTHER_STREAM}
    assert of(openai.ResponseCreate, back) == []
    record = call.record(9.0)
    assert record.stream_sid == OTHER_STREAM
    assert (call.counters.lost_streams, call.counters.resumed_streams) == (1, 1)


def test_caller_who_was_not_spoken_to_hears_that_the_line_is_back():
    call = builders.answered_call()
    lose(call, 1.0)
    want(call, 1.2)
    (asked,) = of(openai.ResponseCreate, come_back(call, 2.0))

    assert "line was lost" in asked.response.instructions
    assert asked.response.tool_choice == "none"


def test_caller_of_whom_twilio_says_nothing_is_gone():
    call = builders.answered_call()
    lose(call, 1.0)
    actions = builders.fire(call, 1.0 + ASK_S)

    assert of(HangUp, actions) == [HangUp("caller_leg_lost", failed=False)]


def test_caller_who_is_there_and_does_not_come_back_was_lost_by_us():
    call = builders.answered_call()
    lose(call, 1.0)
    want(call, 2.0)
    assert of(HangUp, builders.fire(call, 1.9 + RETURN_S)) == []
    actions = builders.fire(call, 2.0 + RETURN_S)

    assert of(HangUp, actions) == [HangUp("transport_lost", failed=True)]
    assert outcome_of(call.record(20.0)) == "failed"


def test_question_may_come_before_the_loss_is_known():
    call, said, sent = call_in_mid_reply()
    want(call, 1.5)
    assert not call.streams.sid
    # The socket that Twilio has left tells of its end at last.
    assert lose(call, 1.6) == []
    back = come_back(call, 2.0) + builders.fire(call, 9.0)

    assert sent + bytes_of(back) == said


def test_call_that_never_had_a_stream_is_not_one_that_lost_it():
    call = Call(builders.plan(), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.1)
    call.receive_openai(openai.SessionUpdated(session=builders.session()), 0.2)

    assert lose(call, 1.0) == want(call, 2.0) == []
    assert of(HangUp, builders.fire(call, 40.0)) == [HangUp("no_stream", failed=False)]


def test_second_start_of_a_stream_that_is_there_changes_nothing():
    call = builders.answered_call()
    come_back(call, 1.0)

    assert call.streams.sid == builders.STREAM_SID
    assert call.counters.malformed_twilio == 1


def test_tool_answers_while_the_line_is_lost_and_the_caller_hears_it_after():
    call = builders.answered_call()
    builders.speak(call, [builders.SILENCE] * 49, 0.0)
    call.receive_openai(builders.created(), 1.0)
    call.receive_openai(builders.tool_item(), 1.1)
    call.receive_openai(builders.done(), 1.2)
    lose(call, 1.3)
    asked = call.receive_tool_result(builders.tool_result(), 1.4)
    assert of(openai.ResponseCreate, asked)
    call.receive_openai(builders.created("r2"), 1.5)
    silent = call.receive_openai(builders.audio_delta("i2", 400, "r2"), 1.6)
    assert bytes_of(silent) == b""
    want(call, 1.7)

    assert bytes_of(come_back(call, 3.0))


def test_greeting_that_nobody_has_heard_is_heard_after_the_loss():
    call = builders.answered_call(greeting="Hello.")
    lose(call, 0.1)
    call.receive_openai(builders.created(), 0.2)
    assert bytes_of(call.receive_openai(builders.audio_delta("i1", 400), 0.3)) == b""
    want(call, 0.4)
    back = come_back(call, 1.0)

    assert bytes_of(back)
    assert not call.greeting.is_due


def test_loss_before_the_session_is_ready_costs_nothing():
    call = Call(builders.plan("Hello."), 0.0)
    call.receive_twilio(builders.start(), 0.0)
    lose(call, 0.1)
    want(call, 0.2)
    come_back(call, 0.5)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.6)
    (asked,) = of(
        openai.ResponseCreate,
        call.receive_openai(openai.SessionUpdated(session=builders.session()), 0.7),
    )

    assert "Hello." in asked.response.instructions
    assert call.is_talking


def test_caller_is_listened_to_again():
    call = builders.answered_call()
    lose(call, 1.0)
    want(call, 1.0)
    come_back(call, 2.0)
    call.receive_twilio(builders.media(builders.SILENCE, "0"), 2.0)
    rx_frames = call.fast_path.rx_frames
    # The new stream counts its time from 0: no gap, whatever the old one had come to.
    call.receive_twilio(builders.media(builders.SILENCE, "20"), 2.1)

    assert call.fast_path.rx_frames == rx_frames + 1
    assert call.counters.gap_frames == 0


def test_time_of_the_call_goes_on_while_the_line_is_lost():
    call = builders.answered_call(max_call_seconds=30)
    lose(call, 10.0)
    want(call, 10.0)
    come_back(call, 15.0)
    builders.fire(call, 29.0)
    assert call.is_talking
    builders.fire(call, 30.1)

    assert call.ending.reason == "max_duration"


def test_call_that_must_end_while_the_line_is_lost_does():
    call = builders.answered_call(max_call_seconds=30)
    lose(call, 28.0)
    want(call, 28.0)
    builders.fire(call, 30.1)
    actions = builders.fire(call, 31.0 + LAST_WORDS_S)

    assert [one.reason for one in of(HangUp, actions)] == ["max_duration"]


def test_line_that_is_lost_in_the_last_words_is_not_waited_for():
    call = builders.answered_call()
    call.receive_hangup("silence", 1.0, politely=True)
    (hang_up,) = of(HangUp, lose(call, 2.0))

    assert not hang_up.failed


def test_line_that_is_lost_again_and_again_fails_the_call():
    call = builders.answered_call()
    now = 1.0
    for _ in range(LOSSES_MAX):
        lose(call, now)
        want(call, now + 0.1)
        assert of(HangUp, come_back(call, now + 0.2)) == []
        now += 1.0

    assert of(HangUp, lose(call, now)) == [HangUp("transport_lost", failed=True)]


@pytest.mark.parametrize("what", Transport)
def test_what_comes_after_the_end_is_dropped(what):
    call = builders.answered_call()
    call.receive_hangup("tested", 1.0)
    call.receive_transport(what, 2.0)

    assert call.ending.reason == "tested"


def test_false_alarm_of_before_the_loss_does_not_set_the_reply_free():
    call, _, _ = call_in_mid_reply(ms=5_000)
    builders.speak(call, builders.loud(3), 1.5)
    lose(call, 1.6)

    assert bytes_of(builders.fire(call, 4.0)) == b""


@pytest.mark.parametrize("seed", range(20))
def test_replies_reach_the_caller_whole_and_in_order_whatever_is_lost(seed):
    rng = random.Random(seed)
    call = builders.answered_call(max_call_seconds=600)
    builders.speak(call, [builders.SILENCE] * 49, 0.0)
    now, said, actions, is_there = 1.0, b"", [], True
    for number in range(6):
        piece = reply(rng.randrange(200, 2_000, 20))
        response_id, item_id = f"r{number}", f"i{number}"
        actions += call.receive_openai(builders.created(response_id), now)
        for at in range(0, len(piece), 1_600):
            now += rng.choice((0.0, 0.01, 0.3))
            actions += builders.fire(call, now)
            delta = openai.AudioDelta(
                response_id=response_id,
                item_id=item_id,
                content_index=0,
                delta=piece[at : at + 1_600],
            )
            actions += call.receive_openai(delta, now)
            if rng.random() < 0.1 and call.streams.losses < LOSSES_MAX:
                if is_there:
                    actions += lose(call, now)
                    actions += want(call, now)
                else:
                    actions += come_back(call, now)
                is_there = not is_there
        said += piece
        actions += call.receive_openai(builders.audio_done(item_id, response_id), now)
        actions += call.receive_openai(builders.done(response_id), now)
    if not is_there:
        actions += come_back(call, now)
    actions += builders.fire(call, now + 14.0)

    assert bytes_of(actions) == said


def test_a_caller_who_comes_back_and_is_silent_is_asked_whether_they_are_there():
    call = builders.answered_call(idle_prompt_ms=5_000)
    lose(call, 1.0)
    want(call, 2.0)
    come_back(call, 2.0)
    builders.begun(call, "r1", 2.1)
    call.receive_openai(builders.done("r1"), 2.2)
    assert of(openai.ResponseCreate, builders.fire(call, 6.9)) == []

    (asked,) = of(openai.ResponseCreate, builders.fire(call, 8.1))
    assert "still there" in asked.response.instructions


def test_a_new_stream_whose_first_frame_is_late_has_no_gap():
    call = builders.answered_call()
    call.receive_twilio(builders.media(builders.SILENCE, "0"), 0.5)
    lose(call, 1.0)
    want(call, 1.0)
    come_back(call, 2.0)
    call.receive_twilio(builders.media(builders.SILENCE, "400"), 2.4)

    assert call.counters.gap_frames == 0


def test_a_greeting_is_not_late_while_the_line_is_lost():
    call = builders.answered_call(greeting="Hello.")
    lose(call, GREETING_WAIT_S - 1.0)
    want(call, GREETING_WAIT_S - 0.5)
    told = builders.fire(call, GREETING_WAIT_S + 3.0)

    assert call.greeting.is_due
    assert LATE not in builders.texts(told)


def test_a_greeting_is_waited_for_anew_once_the_line_is_back():
    call = builders.answered_call(greeting="Hello.")
    lose(call, 1.0)
    want(call, 1.1)
    come_back(call, 2.0)
    assert LATE not in builders.texts(builders.fire(call, 1.9 + GREETING_WAIT_S))

    assert LATE in builders.texts(builders.fire(call, 2.1 + GREETING_WAIT_S))


def test_a_session_that_becomes_ready_while_the_line_is_lost_serves_after_it():
    call = Call(builders.plan("Hello."), 0.0)
    call.receive_twilio(builders.start(), 0.0)
    lose(call, 0.1)
    want(call, 0.2)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.3)
    call.receive_openai(openai.SessionUpdated(session=builders.session()), 0.4)
    assert not call.is_talking
    come_back(call, 0.6)

    assert call.is_talking
