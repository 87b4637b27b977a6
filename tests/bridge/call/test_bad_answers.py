"""An answer that fails, or of which nothing is heard, is asked for again."""

from itertools import pairwise

import pytest

from bridge.call.plan import HangUp, Log, OpenModel, Phase
from bridge.call.recovery import FAILURES_MAX, Mute
from bridge.realtime import openai
from bridge.realtime.openai_events import OutputItem, OutputPart, StatusDetails
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio
from tests.bridge import builders
from tests.bridge.builders import answered_call, created, done, fire, of, texts

TEXT = (OutputItem(type="message", content=(OutputPart(type="output_text"),)),)
SILENT = {"byte": 0xFF}


def asked(actions):
    """What the model is asked for, in short: its instructions, or nothing."""
    return [
        "" if one.response is openai.UNSET else one.response.instructions
        for one in of(openai.ResponseCreate, actions)
    ]


def pressed(**options):
    """A call whose caller has pressed a key, and awaits the answer since 1.0."""
    call = answered_call(idle_prompt_ms=60_000, **options)
    call.receive_twilio(builders.dtmf("#"), 1.0)
    assert asked(fire(call, 1.0)) == [""]
    return call


def mute(call, now, response_id="r1", **more):
    """Let what was asked for begin and end without a sound."""
    call.receive_openai(created(response_id), now)
    return call.receive_openai(done(response_id, **more), now)


def renew(call, now):
    call.receive_openai(openai.SessionCreated(session=openai.Session()), now)
    return call.receive_openai(openai.SessionUpdated(session=builders.session()), now)


# --- what is no answer ---


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, Mute.EMPTY),
        ({"output": ()}, Mute.EMPTY),
        ({"output": (OutputItem(type="message"),)}, Mute.EMPTY),
        ({"output": TEXT}, Mute.TEXT),
        ({"status": "incomplete"}, Mute.TOKENS),
        ({"status": "cancelled"}, Mute.CANCELLED),
        (
            {
                "status": "incomplete",
                "status_details": StatusDetails(reason="content_filter"),
            },
            Mute.FILTERED,
        ),
    ],
)
def test_an_answer_without_sound_is_asked_for_once_more_and_counted(more, kind):
    call = pressed()
    actions = mute(call, 1.5, **more)

    assert asked(actions) == [""]
    assert f"[REALTIME] an answer without sound: {kind.value}" in texts(actions)
    assert getattr(call.counters, f"mute_{kind.value}") == 1


@pytest.mark.parametrize(("name", "call_id"), [(None, "t1"), ("", "t1"), ("f", None)])
def test_a_tool_that_cannot_be_answered_is_no_answer(name, call_id):
    call = pressed()
    call.receive_openai(created(), 1.1)
    item = openai.Item(id="f1", type="function_call", name=name, call_id=call_id)
    call.receive_openai(openai.OutputItemDone(response_id="r1", item=item), 1.2)

    assert asked(call.receive_openai(done(), 1.3)) == [""]
    assert call.counters.mute_nameless == 1


def test_an_answer_of_silence_is_cleared_and_asked_for_once_more():
    call = pressed()
    call.receive_openai(created(), 1.1)
    call.receive_openai(builders.audio_delta("i1", 2_500, **SILENT), 1.1)
    actions = call.receive_openai(done(), 1.2)

    assert of(twilio.Clear, actions)
    assert asked(actions) == [""]
    assert not call.playout.is_playing(1.2)
    assert call.counters.mute_silent == 1


def test_an_answer_of_silence_that_has_played_out_is_not_cleared():
    call = pressed()
    call.receive_openai(created(), 1.1)
    call.receive_openai(builders.audio_delta("i1", 100, **SILENT), 1.1)
    call.receive_openai(builders.audio_done("i1"), 1.1)
    actions = call.receive_openai(done(), 1.5)

    assert asked(actions) == [""]
    assert not of(twilio.Clear, actions)


def test_a_greeting_of_silence_that_waits_for_its_caller_is_dropped():
    call = builders.Call(builders.plan("Hello."), 0.0)
    renew(call, 0.1)
    call.receive_openai(created(), 0.2)
    call.receive_openai(builders.audio_delta("i1", 2_500, **SILENT), 0.2)
    actions = call.receive_openai(done(), 0.3)

    assert "Hello." in asked(actions)[0]
    assert not call.playout.has_unsent
    assert not of(twilio.Clear, actions)


def test_silence_before_words_is_part_of_an_answer():
    call = pressed()
    call.receive_openai(created(), 1.1)
    call.receive_openai(builders.audio_delta("i1", 100, **SILENT), 1.1)
    call.receive_openai(builders.audio_delta("i1", 100), 1.2)

    assert asked(call.receive_openai(done(), 1.3)) == []


@pytest.mark.parametrize("status", ["completed", "cancelled", "incomplete"])
def test_what_the_caller_has_stopped_is_not_asked_for_again(status):
    call = pressed()
    call.receive_openai(created(), 1.1)
    call.actions += call.responses.cancel(call.now)

    assert asked(call.receive_openai(done(status=status), 1.2)) == []


def test_what_was_called_off_before_it_began_is_not_asked_for_again():
    call = pressed()
    call.responses.cancel(call.now)

    assert asked(call.receive_openai(done("r1", "cancelled"), 1.2)) == []
    assert not call.responses.is_busy


def test_every_kind_has_its_counter_and_shows_in_the_metrics():
    call, metrics = answered_call(), Metrics()
    for kind in Mute:
        setattr(call.counters, f"mute_{kind.value}", 2)
    (family,) = (one for one in metrics.counters([call]) if "bad_answers" in one.name)

    assert {one.labels["kind"]: one.value for one in family.samples} == {
        "failed": 0,
        **{kind.value: 2 for kind in Mute},
    }


# --- what is done about it ---


def test_a_second_one_is_replaced_by_a_sentence_of_ours():
    call = pressed()
    mute(call, 1.5)
    (sentence,) = asked(mute(call, 2.0, "r2"))

    assert sentence.startswith("Say exactly the following")
    assert "Could you please say it again?" in sentence


def test_others_are_asked_of_other_sessions_and_then_the_call_fails():
    call, now = pressed(), 2.0
    mute(call, 1.5)
    mute(call, 1.6, "r2")
    for number in range(3, FAILURES_MAX + 1):
        assert of(OpenModel, mute(call, now, f"r{number}"))
        (again,) = asked(renew(call, now + 0.5))
        assert "say it again" in again
        now += 1.0

    actions = mute(call, now, "last")
    assert of(HangUp, actions) == [HangUp("model_mute", failed=True)]


def test_an_answer_that_is_heard_begins_the_row_anew():
    call = pressed()
    mute(call, 1.5)
    builders.begun(call, "r2", 1.6)
    call.receive_openai(done("r2"), 1.7)
    call.receive_twilio(builders.dtmf("#"), 5.0)
    fire(call, 5.0)

    assert asked(mute(call, 5.5, "r3")) == [""]


def test_a_tool_that_answers_meanwhile_is_the_second_try():
    call = pressed()
    call.receive_openai(created(), 1.1)
    call.receive_openai(builders.tool_item(), 1.1)
    call.receive_openai(done(), 1.2)
    call.receive_tool_result(builders.tool_result(), 1.3)

    assert asked(mute(call, 1.5, "r2")) == [""]


def test_a_greeting_without_sound_is_greeted_by_us_at_last():
    call = answered_call(greeting="Hello, this is Dana.")
    assert "Dana" in asked(mute(call, 0.5))[0]
    (own,) = asked(mute(call, 0.9, "r2"))

    assert "you have reached Salon" in own
    assert not call.greeting.is_due


def test_a_caller_who_speaks_is_not_talked_over_by_a_second_try():
    call = answered_call()
    _, now = builders.speak(call, [builders.SILENCE] * 100, 0.0)
    call.receive_openai(created(), now)
    _, now = builders.speak(call, builders.clip("human-en-reader-1")[20:70], now)
    actions = call.receive_openai(done(), now)
    assert asked(actions) == []
    more, _ = builders.speak(call, [builders.SILENCE] * 60, now)

    assert asked(more) == [""]


def test_a_goodbye_without_sound_is_said_once_more_and_no_more():
    call = answered_call()
    call.receive_hangup("drain", 1.0, politely=True)
    assert "goodbye" in asked(mute(call, 1.1))[0]
    actions = mute(call, 1.3, "r2")

    assert of(HangUp, actions) == [HangUp("drain", failed=False)]


def test_a_session_that_answers_nothing_but_errors_is_left_for_another():
    call = pressed()
    mute(call, 1.1, status="failed")
    assert asked(fire(call, 2.2)) == [""]
    assert of(OpenModel, mute(call, 2.3, "r2", status="failed"))
    assert asked(renew(call, 2.8)) == [""]
    builders.begun(call, "r3", 3.0)
    call.receive_openai(done("r3"), 3.1)

    assert call.recovery.failures == 0


def test_the_log_says_how_an_answer_has_failed():
    call = pressed()
    details = StatusDetails(error=openai.ErrorBody(code="server_error"))
    actions = mute(call, 1.1, status="failed", status_details=details)

    (line,) = (one for one in of(Log, actions) if "server_error" in one.text)
    assert line.level == "warning"
    assert line.text.startswith("[REALTIME] response failed: server_error")


def test_failures_have_an_end():
    call, now, actions = pressed(), 1.1, []
    for number in range(FAILURES_MAX + 1):
        actions = mute(call, now, f"r{number}", status="failed")
        if of(OpenModel, actions):
            renew(call, now + 0.2)
        else:
            fire(call, now + 3.1)
        now += 3.2

    assert of(HangUp, actions) == [HangUp("model_failed", failed=True)]
    assert call.counters.failed_answers == FAILURES_MAX + 1


def test_what_is_over_a_limit_is_tried_for_ten_seconds_in_the_same_session():
    call, now, tries = pressed(), 1.1, []
    details = StatusDetails(error=openai.ErrorBody(code="rate_limit_exceeded"))
    actions = []
    while not of(HangUp, actions):
        tries.append(now)
        more = {"status": "failed", "status_details": details}
        actions = mute(call, now, f"r{now}", **more)
        assert not of(OpenModel, actions)
        if not of(HangUp, actions):
            now = call.deadline
            assert asked(fire(call, now)) == [""]

    assert [after - before for before, after in pairwise(tries)] == pytest.approx(
        [1.0, 3.0, 3.0, 3.0]
    )


def test_a_greeting_that_fails_twice_is_asked_of_another_session():
    call = builders.Call(builders.plan("Hello."), 0.0)
    renew(call, 0.1)
    mute(call, 0.2, status="failed")
    assert "Hello." in asked(fire(call, 1.3))[0]
    assert of(OpenModel, mute(call, 1.4, "r2", status="failed"))
    (greeting,) = asked(renew(call, 1.9))

    assert "Hello." in greeting


def test_a_call_that_ends_goes_on_without_its_goodbye():
    call = answered_call()
    call.receive_hangup("drain", 1.0, politely=True)
    for number in range(2):
        mute(call, 1.1 + number, f"r{number}", status="failed")
        fire(call, 2.2 + number)

    assert call.phase is Phase.ENDED
    assert not call.ending.failed
