"""A writer over real sockets, against the smallest bridge for messages."""

import asyncio

import pytest
from twilio.request_validator import RequestValidator, get_signature_algorithm

from bridge.sandbox.messaging import webhooks
from bridge.sandbox.messaging.webhooks import Signer
from bridge.sandbox.messaging.writer import Writer
from bridge.sandbox.sign import sha256_signature, signature
from tests.sandbox.messaging.message_bridge import (
    BUSINESS,
    BUTTONS,
    DANA,
    EMPTY,
    ROWS,
    desk,
    run,
)


def test_message_has_twilios_fields_and_is_signed_over_the_public_url():
    async def story():
        async with desk(writes=False) as d:
            public = "https://bridge.example.com"
            async with Writer(d.api, d.bridge.url, public_url=public) as dana:
                sid = await dana.write("Hello", repeats=1)

                path, form, headers = d.bridge.posts[0]
                assert path == "/twilio/whatsapp"
                assert form["From"] == f"whatsapp:{DANA}"
                assert form["To"] == f"whatsapp:{BUSINESS}"
                assert form["WaId"] == DANA[1:]
                assert {form[name] for name in ("MessageSid", "SmsSid")} == {sid}
                assert (form["NumMedia"], form["SmsStatus"]) == ("0", "received")
                assert headers["X-Twilio-Signature"] == signature(
                    d.api.account.signer.auth_token, f"{public}/twilio/whatsapp", form
                )
                assert dana.problems == []
                again = d.bridge.posts[1]
                assert again[1] == form
                name = "I-Twilio-Idempotency-Token"
                assert again[2][name] == headers[name]

    run(story())


@pytest.mark.parametrize("key", ["", "webhooks_sharedkey_1"])
@pytest.mark.parametrize("body", ["", "a&b=c d+e\n%", "שלום 👋 at 9:00", "x" * 1_600])
def test_twilios_library_takes_the_signature_of_any_text(key, body):
    async def story():
        async with desk(writes=False) as d:
            token = d.api.account.signer.auth_token
            signer = Signer(token, key, "secret" if key else "")
            async with Writer(d.api, d.bridge.url, signer=signer) as dana:
                await dana.write(body)
                _, form, headers = d.bridge.posts[0]
                settings = headers.get("X-Twilio-Webhooks-Signature-Settings")
                judge = RequestValidator("secret" if key else token)
                assert form["Body"] == body
                assert judge.validate(
                    dana.url,
                    form,
                    headers["X-Twilio-Signature"],
                    get_signature_algorithm(settings),
                )

    run(story())


def test_answer_that_does_not_come_in_time_is_a_problem(monkeypatch):
    monkeypatch.setattr(webhooks, "ANSWER_S", 0.05)

    async def story():
        async with desk(writes=False) as d:
            d.bridge.stall_s = 0.2
            await d.writer.write("Hello")
            assert d.writer.problems == ["11200 /twilio/whatsapp: TimeoutError"]
            assert d.writer.answers[0].seconds >= 0.05

    run(story())


def test_shared_key_signs_with_sha256():
    async def story():
        async with desk(writes=False) as d:
            signer = Signer("", "webhooks_sharedkey_1", "secret")
            async with Writer(d.api, d.bridge.url, signer=signer) as dana:
                await dana.write("Hello")
                _, form, headers = d.bridge.posts[0]
                assert headers["X-Twilio-Webhooks-Signature-Settings"] == (
                    "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
                )
                assert headers["X-Twilio-Signature"] == sha256_signature(
                    "secret", dana.url, form
                )

    run(story())


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"status": 204}, "expected HTTP 200"),
        ({"status": 500}, "11200 /twilio/whatsapp: HTTP 500"),
        ({"text": EMPTY, "content_type": "text/html"}, "12300"),
        ({"text": "<Response>", "content_type": "text/xml"}, "12100"),
        ({"text": "<Response>Hi</Response>", "content_type": "text/xml"}, "12200"),
        ({"text": "<Respond/>", "content_type": "text/xml"}, "12200"),
        (
            {"text": "<Response><Message/></Response>", "content_type": "text/xml"},
            "12200",
        ),
    ],
)
def test_all_but_an_empty_document_is_a_problem(answer, problem):
    async def story():
        async with desk(writes=False) as d:
            d.bridge.answer = answer
            await d.writer.write("Hello")
            assert d.writer.problems[0].startswith(problem)

    run(story())


def test_delivery_that_nobody_takes_is_repeated_as_the_account_has_it():
    async def story():
        async with desk(writes=False) as d:
            await d.writer.write("Hello")
            d.bridge.statuses = [503]
            await d.writer.write("Hello")
            assert len(d.writer.problems) == 1
            d.bridge.statuses = [503, 502]
            async with Writer(d.api, d.bridge.url, retries=2, retry_s=0) as dana:
                sid = await dana.write("Again")
                assert dana.problems == []
                assert [one["MessageSid"] for one in d.bridge.forms()[-3:]] == 3 * [sid]
        async with desk(writes=False) as d, Writer(d.api, "http://127.0.0.1:1") as dana:
            await dana.write("Hello")
            assert dana.problems[0].startswith("11200 /twilio/whatsapp")

    run(story())


def test_repeats_may_come_together_with_the_first():
    async def story():
        async with desk(writes=False) as d:
            d.bridge.stall_s = 0.1
            sid = await d.writer.write("Hello", repeats=2, together=True)
            assert d.bridge.at_once_max == 3
            assert [form["MessageSid"] for form in d.bridge.forms()] == 3 * [sid]
            assert d.writer.problems == []

    run(story())


def test_pieces_come_one_after_the_other_without_waiting_for_answers():
    async def story():
        async with desk(writes=False) as d:
            began = asyncio.get_running_loop().time()
            sids = await d.writer.write_pieces("Mo", "at nine", apart_s=0.05)
            assert asyncio.get_running_loop().time() - began >= 0.05
            assert [form["Body"] for form in d.bridge.forms()] == ["Mo", "at nine"]
            assert [form["MessageSid"] for form in d.bridge.forms()] == sids

    run(story())


def test_row_and_button_come_back_with_their_ids():
    async def story():
        async with desk() as d:
            for kind, fields, values in (
                ("twilio/list-picker", ROWS, '{"1":"Tu 10:00"}'),
                ("twilio/quick-reply", BUTTONS, "{}"),
            ):
                _, content = await d.content(kind, fields)
                _, body = await d.send(
                    ContentSid=content["sid"], ContentVariables=values
                )
                seen = await d.writer.next()
                await d.writer.pick(seen, seen.shown.choices[1])
                form = d.bridge.forms()[-1]
                assert form["OriginalRepliedMessageSid"] == body["sid"]
                if kind == "twilio/list-picker":
                    assert (form["ListId"], form["ListTitle"]) == ("s2", "Tu 10:00")
                    assert form["Body"] == "Tu 10:00"
                else:
                    assert (form["ButtonPayload"], form["ButtonText"]) == ("no", "No")
            with pytest.raises(ValueError, match="no choice"):
                await d.writer.pick(seen, (seen.shown.choices[0]._replace(id="x")))
            await d.send()
            text = await d.writer.next()
            with pytest.raises(ValueError, match="no choice"):
                await d.writer.pick(text, seen.shown.choices[0])
            d.writer.inbox.seen.remove(seen)
            with pytest.raises(ValueError, match="not received"):
                await d.writer.pick(seen, seen.shown.choices[0])

    run(story())


def test_only_a_confirmation_may_follow_a_stop():
    async def story():
        async with desk() as d:
            await d.send(Body="before")
            await d.writer.stop()
            await d.send(Body="You are off the list.")
            assert d.writer.problems == []
            await d.send(Body="But we have a place!")
            assert d.writer.problems == ["2 messages after STOP"]
            assert [form["Body"] for form in d.bridge.forms()] == ["Hello", "STOP"]
            await d.writer.start_again()
            await d.send(Body="Welcome")
            await d.send(Body="back")
            assert [len(found) for found in d.writer.after_stops] == [2]

    run(story())


def test_start_without_a_stop_is_a_message():
    async def story():
        async with desk(writes=False) as d:
            await d.writer.start_again()
            assert d.bridge.forms()[0]["Body"] == "START"
            assert d.writer.after_stops == []

    run(story())


@pytest.mark.parametrize(
    "how", ["no signature", "other token", "other text", "other key"]
)
def test_forgery_must_be_refused(how):
    async def story():
        async with desk(writes=False) as d:
            d.bridge.statuses = [403]
            assert (await d.writer.forge("Hello", how)).status == 403
            assert d.writer.problems == []
            await d.writer.forge("Hello", how)
            assert d.writer.problems == [f"a forgery ({how}) was answered 200"]
            _, form, headers = d.bridge.posts[0]
            right = signature(d.api.account.signer.auth_token, d.writer.url, form)
            assert headers.get("X-Twilio-Signature") != right
            # It opens no window.
            assert d.writer.inbox.wrote_at == {}

    run(story())


def test_wait_for_a_message_has_a_deadline_and_says_what_was_seen():
    async def story():
        async with desk() as d:
            await d.send(Body="one")
            assert (await d.writer.next()).body == "one"
            with pytest.raises(TimeoutError, match=r"has seen \['one'\]"):
                await d.writer.next(within_s=0.02)
            with pytest.raises(TimeoutError, match="typing"):
                await d.writer.sees_typing(within_s=0.02)

    run(story())


def test_repeat_that_is_answered_wrongly_is_a_problem():
    async def story():
        async with desk(writes=False) as d:
            sid = await d.writer.write("Hello")
            d.bridge.statuses = [409]
            await d.writer.repeat(sid)
            assert d.writer.problems == ["a repeat: 11200 /twilio/whatsapp: HTTP 409"]
            assert [answer.status for answer in d.writer.answers] == [200, 409]

    run(story())
