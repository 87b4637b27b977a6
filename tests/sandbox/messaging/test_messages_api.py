"""The Messages API of the sandbox: who may ask, what is refused, what is answered."""

import asyncio
from urllib.parse import quote

import pytest
from aiohttp import ClientConnectionError, encode_basic_auth

from bridge.sandbox.messaging.faults import (
    CUT,
    ERROR_AFTER,
    LATE_ANSWER,
    LOST_ANSWER,
    NO_ANSWER,
    TOO_MANY,
    UNAVAILABLE,
    Fault,
)
from bridge.sandbox.messaging.messages_api import MessagingApi
from tests.sandbox.messaging.message_bridge import BASE, BUSINESS, DANA, desk, run

SERVICE = "MG" + "1" * 32
TO, FROM = f"whatsapp:{DANA}", f"whatsapp:{BUSINESS}"


def test_only_the_account_may_ask():
    async def story():
        async with desk() as d:
            forged = {"Authorization": encode_basic_auth(d.api.account.sid, "guess")}
            for headers in ({}, forged):
                path = f"{BASE}/Messages.json"
                status, body = await d.ask("POST", path, headers=headers)
                assert status == 401
                assert body == {
                    "code": 20003,
                    "message": "Authenticate",
                    "more_info": "https://www.twilio.com/docs/errors/20003",
                    "status": 401,
                }
            other = "/2010-04-01/Accounts/AC" + "1" * 32
            assert (await d.ask("GET", f"{other}/Messages.json"))[0] == 404
            assert (await d.ask("GET", "/2010-04-01/Other.json"))[1]["code"] == 20404
            assert (await d.ask("PUT", f"{BASE}/Messages.json"))[1]["code"] == 20004

    run(story())


def test_accepted_message_is_answered_as_twilio_answers():
    async def story():
        async with desk() as d:
            status, body = await d.send(Body="At nine")

            assert status == 201
            assert (body["status"], body["direction"]) == ("queued", "outbound-api")
            assert (body["to"], body["from"], body["body"]) == (TO, FROM, "At nine")
            assert body["date_sent"] is body["error_code"] is None
            assert body["uri"] == f"{BASE}/Messages/{body['sid']}.json"
            await d.api.settle()
            found = await d.ask("GET", body["uri"])
            assert (found[0], found[1]["status"]) == (200, "read")
            assert found[1]["date_sent"].endswith("+0000")
            gone = f"{BASE}/Messages/SM{'0' * 32}.json"
            assert (await d.ask("GET", gone))[1]["code"] == 20404

    run(story())


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"To": None}, 21604),
        ({"From": None}, 21603),
        ({"To": "whatsapp:5550100001"}, 21211),
        ({"To": "whatsapp:+1 555"}, 21211),
        ({"From": "whatsapp:business"}, 21212),
        ({"To": DANA}, 21910),
        ({"From": BUSINESS}, 21910),
        ({"From": BUSINESS, "To": DANA}, 21606),
        ({"From": "whatsapp:+15550100009"}, 63007),
        ({"To": FROM}, 63031),
        ({"From": None, "MessagingServiceSid": "MG0"}, 21705),
        ({"From": None, "MessagingServiceSid": "MG" + "0" * 32}, 21701),
        ({"Body": ""}, 21619),
        ({"Body": " \n"}, 21619),
        ({"Body": "x" * 1_601}, 21617),
        ({"Body": "\N{TOOTH}" * 801}, 21617),
        ({"ContentVariables": "{}"}, 21654),
        ({"ContentSid": "HX" + "0" * 32}, 21655),
        ({"StatusCallback": "/twilio/message-status"}, 21609),
        ({"StatusCallback": "ftp://bridge.example.com/"}, 21609),
        ({"StatusCallback": "https://my_bridge.example.com/"}, 21609),
        ({"StatusCallback": "https://bridge.example.com/a b"}, 21609),
        ({"StatusCallback": f"https://bridge.example.com/{'x' * 4_000}"}, 21609),
        ({"StatusCallback": "https://[::1/"}, 21609),
        ({"MediaUrl": "picture.png"}, 21620),
        ({"PersistentAction": "geo:north"}, 20001),
        ({"ValidityPeriod": "36001"}, 20001),
        ({"ContentRetention": "forget"}, 20001),
        ({"SendAt": "2026-12-01T10:00:00Z"}, 20001),
        ({"body": "At nine"}, 20001),
    ],
)
def test_message_is_refused_with_twilios_code(fields, code):
    async def story():
        async with desk() as d:
            assert await d.refused(**fields) == code
            assert [refusal.code for refusal in d.api.refusals] == [code]
            await d.api.settle()
            assert d.api.sent == d.writer.inbox.seen == []

    run(story())


def test_what_is_at_the_limit_is_accepted():
    async def story():
        async with desk() as d:
            for fields in (
                {"Body": "x" * 1_600},
                {"Body": "\N{TOOTH}" * 800},
                {"ValidityPeriod": "36000", "RiskCheck": "disable"},
                {"PersistentAction": "geo:32.08,-34.78|Office"},
                {"StatusCallback": "https://bridge.example.com:8443/s?m=1&b=%20"},
            ):
                assert (await d.send(**fields))[0] == 201

    run(story())


def test_form_that_is_no_form_or_says_a_thing_twice_is_refused():
    async def story():
        async with desk() as d:
            path = f"{BASE}/Messages.json"
            assert (await d.ask("POST", path, json={}))[1]["code"] == 20001
            twice = [("To", TO), ("From", FROM), ("Body", "a"), ("Body", "b")]
            assert (await d.ask("POST", path, data=twice))[1]["code"] == 20001
            two = [("To", TO), ("From", FROM)]
            two += [("MediaUrl", f"https://e.com/{name}.png") for name in "ab"]
            assert (await d.ask("POST", path, data=two))[1]["code"] == 21623

    run(story())


def test_messaging_service_chooses_the_sender():
    async def story():
        async with desk(services={SERVICE: BUSINESS}) as d:
            _, body = await d.send(From=None, MessagingServiceSid=SERVICE)
            assert (body["status"], body["from"]) == ("accepted", FROM)
            assert body["num_segments"] == "0"
            reply = await d.writer.next()
            assert (reply.sender, reply.service_sid) == (FROM, SERVICE)
            await d.send(
                From=None, MessagingServiceSid=SERVICE, StatusCallback=d.callback
            )
            await d.api.settle()
            assert d.bridge.reports()[0] == "accepted"
            assert d.bridge.posts[-1][1]["MessagingServiceSid"] == SERVICE

    run(story())


# --- faults ---


def test_request_fails_on_demand_before_it_is_accepted():
    async def story():
        async with desk() as d:
            d.api.faults.order(TOO_MANY, UNAVAILABLE, CUT)
            assert (await d.send())[1]["code"] == 20429
            assert (await d.send())[0] == 503
            with pytest.raises(ClientConnectionError):
                await d.send()
            assert d.api.sent == []
            assert (await d.send())[0] == 201
            assert d.api.faults.happened == [TOO_MANY, UNAVAILABLE, CUT]

    run(story())


def test_request_fails_on_demand_after_it_was_accepted():
    async def story():
        async with desk() as d:
            d.api.faults.order(LOST_ANSWER, ERROR_AFTER, NO_ANSWER)
            with pytest.raises(ClientConnectionError):
                await d.send(Body="one")
            assert (await d.send(Body="two"))[0] == 500
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(d.send(Body="three"), 0.1)
            await d.api.settle()
            assert {m.body for m in d.writer.inbox.seen} == {"one", "two", "three"}
            _, page = await d.ask("GET", f"{BASE}/Messages.json?From={quote(FROM)}")
            found = {message["body"] for message in page["messages"]}
            assert found == {"one", "two", "three"}

    run(story())


def test_answer_may_come_after_all_that_became_of_the_message():
    async def story():
        async with desk() as d:
            d.api.faults.order(LATE_ANSWER)
            status, body = await d.send(StatusCallback=d.callback)
            assert (status, body["status"]) == (201, "queued")
            assert d.bridge.reports() == ["queued", "sent", "delivered", "read"]

    run(story())


def test_server_may_be_away_and_come_back_where_it_was():
    async def story():
        async with desk() as d:
            d.api.courier.hold()
            _, body = await d.send()
            d.api.faults.order(NO_ANSWER)
            asked = asyncio.ensure_future(d.send(Body="being done"))
            while len(d.api.sent) < 2:  # noqa: ASYNC110 a list
                await asyncio.sleep(0.005)
            await d.api.cut()
            with pytest.raises(ClientConnectionError):
                await asked
            with pytest.raises(ClientConnectionError):
                await d.send()
            d.api.courier.go_on()
            await d.api.settle()
            await d.api.listen_again()
            assert (await d.ask("GET", body["uri"]))[1]["status"] == "read"
            assert len(d.writer.inbox.seen) == 2

    run(story())


def test_fault_is_for_its_own_path():
    async def story():
        async with desk() as d:
            d.api.faults.order(Fault(path="typing"), Fault(path="list"))
            assert (await d.send())[0] == 201
            assert (await d.ask("GET", f"{BASE}/Messages.json"))[0] == 503
            assert (await d.ask("GET", f"{BASE}/Messages.json"))[0] == 200

    run(story())


def test_share_of_requests_fails_by_chance_and_the_same_ones_each_time():
    async def outcomes(seed):
        async with desk(seed=seed) as d:
            d.api.faults.share = 0.5
            d.api.faults.by_chance = (TOO_MANY, UNAVAILABLE)
            return [(await d.send())[0] for _ in range(20)]

    first = run(outcomes(7))
    assert set(first) == {201, 429, 503}
    assert run(outcomes(7)) == first
    assert run(outcomes(8)) != first


def test_answers_may_be_late():
    async def story():
        async with desk() as d:
            d.api.latency_s = (0.05, 0.05)
            began = asyncio.get_running_loop().time()
            await d.send()
            assert asyncio.get_running_loop().time() - began >= 0.05

    run(story())


# --- typing ---


def test_typing_is_shown_until_a_reply_or_for_25_seconds():
    async def story():
        async with desk(writes=False) as d:
            sid = await d.writer.write("Hello")
            path, form = "/v2/Indicators/Typing.json", {"channel": "whatsapp"}
            good = form | {"messageId": sid}
            assert not d.writer.inbox.is_typing(d.api.clock.now())

            assert await d.ask("POST", path, data=good) == (200, {"success": True})
            assert (await d.writer.sees_typing()).message_sid == sid
            assert d.writer.inbox.is_typing(d.api.clock.now())
            d.api.clock.advance(seconds=25)
            assert not d.writer.inbox.is_typing(d.api.clock.now())
            await d.ask("POST", path, data=good)
            assert d.writer.inbox.is_typing(d.api.clock.now())
            _, reply = await d.send()
            await d.writer.next()
            assert not d.writer.inbox.is_typing(d.api.clock.now())

            for wrong in (
                form,
                form | {"messageId": "SM0"},
                form | {"messageId": reply["sid"]},
                good | {"channel": "sms"},
                good | {"ttl": "9"},
            ):
                assert (await d.ask("POST", path, data=wrong))[1]["code"] == 20001

    run(story())


def test_clock_goes_forward_only():
    with pytest.raises(ValueError, match="forward"):
        MessagingApi().clock.advance(hours=-1)
