"""A model that fails, is late or never answers, and what the writer is told."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bridge.messaging.answering import ANSWER_WAIT_S
from bridge.messaging.messenger import ANSWER_S_MAX
from bridge.messaging.model_run import REQUEST_WAIT_S
from bridge.messaging.sentences import FAILED, LATE
from bridge.sandbox.responses.model import Say
from bridge.sandbox.responses.server import Ended, Fault
from crm import message_turns
from tests.bridge.messaging.chat import story

QUICK = {"pauses_s": (0.0, 0.0, 0.0)}


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(500), "error"),
        (Fault(429), "busy"),
        (Fault(400), "refused"),
        (Fault(status=0), "unreachable"),
        (Fault(status=200, body=b'{"id": "resp_1", "outp'), "odd"),
        (Fault(status=200, body=b"[]"), "odd"),
        (Ended("incomplete", "max_output_tokens"), "odd"),
        (Ended("failed"), "odd"),
        ([Say("")], "odd"),
        ([Say(" \n")], "odd"),
    ],
)
def test_model_that_fails_is_asked_again(embedded_url, fault, outcome):
    async def tell(chat):
        assert "How can I help" in (await chat.says("hello")).body
        assert chat.server.asked == 2
        assert chat.metrics.value("message_model_requests", outcome=outcome) == 1
        assert not chat.said

    story(embedded_url, tell, fault, **QUICK)


def test_busy_model_is_left_as_long_as_it_asks(embedded_url, monkeypatch):
    slept = []

    async def tell(chat):
        sleep = asyncio.sleep

        async def noted(seconds):
            slept.append(seconds)
            await sleep(0 if seconds < 15 else seconds)

        monkeypatch.setattr("bridge.messaging.answering.asyncio.sleep", noted)
        await chat.says("hello")

    story(embedded_url, tell, Fault(429, retry_after_s=7), pauses_s=(1.0, 2.0))
    assert 7.0 in slept
    assert 1.0 not in slept


def test_writer_is_told_when_the_model_never_answers(embedded_url):
    async def tell(chat):
        conversation = await chat.writes("hello")
        [told] = await chat.answered(conversation)
        assert (told.body, told.author) == (FAILED["en"], "service")
        [turn] = await chat.rows("select state, cost from message_turns")
        assert tuple(turn) == ("failed", 0.0)
        assert chat.metrics.value("message_answers", outcome="failed") == 1
        # The next message begins anew.
        assert "How can I help" in (await chat.says("hello?")).body

    story(embedded_url, tell, *[Fault(500)] * 4, **QUICK)


def test_late_answer_follows_one_sentence(embedded_url):
    async def tell(chat):
        sent = await chat.answered(await chat.writes("שלום"))
        late, answer = sent
        assert late.body == LATE["he"]
        assert len(chat.said) == 1
        assert "איך אפשר לעזור" in answer.body
        assert chat.metrics.value("message_answers_late") == 1

    latency = {"latency_s": 0.4}
    story(embedded_url, tell, server=latency, late_after_s=0.1, language="he")


@pytest.mark.parametrize("skew", [timedelta(minutes=1), timedelta(hours=-1)])
def test_clock_that_differs_from_the_databases_makes_no_answer_late(embedded_url, skew):
    async def tell(chat):
        [sent] = await chat.answered(await chat.writes("hello"))
        assert "How can I help" in sent.body

    latency = {"latency_s": 0.4}
    story(embedded_url, tell, server=latency, now=lambda: datetime.now(UTC) + skew)


def test_turn_that_another_process_began_is_as_late_as_it_is(embedded_url):
    async def tell(chat):
        conversation = await chat.writes("hello")
        held = await chat.held(conversation)
        turn = await message_turns.begin(chat.db, held, "gpt-6-luna")
        minute = "update message_turns set begun_at = begun_at - interval '1 minute'"
        await chat.rows(f"{minute} where id = $1 returning 1", turn.id)
        late, answer = await chat.answered(conversation, held)
        assert late.body == LATE["en"]
        assert "How can I help" in answer.body

    story(embedded_url, tell, server={"latency_s": 0.4})


def test_model_that_never_answers_is_asked_again_and_then_given_up(embedded_url):
    async def tell(chat):
        sent = await chat.answered(await chat.writes("hello"))
        assert [one.body for one in sent] == [LATE["en"], FAILED["en"]]
        assert chat.server.asked == 3
        assert chat.metrics.value("message_model_requests", outcome="late") == 3

    never = [Fault(hangs=True)] * 3
    waits = {"late_after_s": 0.1, "request_wait_s": 0.2, "pauses_s": (0.0, 0.0)}
    story(embedded_url, tell, *never, **waits)


def test_answer_after_one_that_never_came_is_sent(embedded_url):
    async def tell(chat):
        [sent] = await chat.answered(await chat.writes("hello"))
        assert "How can I help" in sent.body

    waits = {"request_wait_s": 0.2, "pauses_s": (0.0,)}
    story(embedded_url, tell, Fault(hangs=True), **waits)


def test_whole_of_a_turn_ends_before_the_messenger_gives_it_up():
    assert ANSWER_WAIT_S + REQUEST_WAIT_S < ANSWER_S_MAX


def test_sentence_comes_once_a_turn_however_often_the_model_fails(embedded_url):
    async def tell(chat):
        sent = await chat.answered(await chat.writes("hello"))
        assert [one.body for one in sent][:-1] == [LATE["en"]]
        assert len(chat.said) == 1

    faults = [Fault(500)] * 3
    story(embedded_url, tell, *faults, late_after_s=0.0, pauses_s=(0.05,) * 3)


def test_late_answer_takes_up_what_was_written_meanwhile(embedded_url):
    async def tell(chat):
        conversation = await chat.writes("hello")

        async def write_more():
            await chat.told.wait()
            await chat.writes("book, my name is Dana")

        writing = asyncio.create_task(write_more())
        sent = await chat.answered(conversation)
        await writing
        assert [one.body for one in sent] == [
            LATE["en"],
            "These times are free. Which one suits you?",
        ]
        turns = await chat.rows("select id from message_turns")
        assert len(turns) == 1
        # The late answer of the model stands before what was written after it.
        given = [one for one in chat.server.requests[-1]["input"] if "role" in one]
        roles = [one["role"] for one in given]
        assert roles == ["user", "assistant", "user", "user"]
        assert "is not sent" in given[2]["content"]

    latency = {"latency_s": 0.3}
    story(embedded_url, tell, server=latency, late_after_s=0.1)


def test_what_was_written_while_the_model_failed_is_answered_with_it(embedded_url):
    async def tell(chat):
        conversation = await chat.writes("hello")

        async def write_more():
            await chat.told.wait()
            await chat.writes("book, my name is Dana")

        writing = asyncio.create_task(write_more())
        _, sent = await chat.answered(conversation)
        await writing
        assert sent.content["kind"] == "list"
        assert len(await chat.rows("select id from message_turns")) == 1

    story(embedded_url, tell, Fault(500), late_after_s=0.1, pauses_s=(0.5,))
