"""Whether Twilio sends a number's calls here, asked of a REST API like its own."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import msgspec
import pytest
from aiohttp import encode_basic_auth, web

from bridge.cli.doctor.twilio_checks import check_numbers
from bridge.settings.process import Settings
from crm import businesses
from tests.bridge import ws_peer

ACCOUNT, SUBACCOUNT = "AC" + "1" * 32, "AC" + "2" * 32
TOKENS = {ACCOUNT: "token", SUBACCOUNT: "subtoken"}
NUMBER = "+12025550123"
APPLICATION = "AP" + "3" * 32
GOOD = {
    "voice_url": "https://bridge.example/twilio/voice",
    "voice_method": "POST",
    "status_callback": "https://bridge.example/twilio/call-status",
    "status_callback_method": "POST",
    "voice_application_sid": "",
    "trunk_sid": None,
}
SETTINGS = Settings(
    public_url="https://bridge.example/",
    twilio_account_sid=ACCOUNT,
    twilio_auth_token="token",
)


@asynccontextmanager
async def twilio(numbers, applications=None, status=200):
    """A REST API with the numbers of each account; yields its URL."""

    def owner_of(request):
        account = request.match_info["account"]
        allowed = encode_basic_auth(account, TOKENS[account])
        if request.headers["Authorization"] != allowed:
            raise web.HTTPUnauthorized
        if status != 200:
            raise web.HTTPServiceUnavailable
        return account

    async def list_numbers(request):
        account = owner_of(request)
        assert set(request.query) == {"PhoneNumber"}
        assert "+" not in request.query_string, "a plus is a space in a query"
        found = numbers.get((account, request.query["PhoneNumber"]))
        return web.json_response({"incoming_phone_numbers": [found] if found else []})

    async def show_application(request):
        owner_of(request)
        return web.json_response(applications[request.match_info["sid"]])

    app = web.Application()
    base = "/2010-04-01/Accounts/{account}"
    app.router.add_get(f"{base}/IncomingPhoneNumbers.json", list_numbers)
    app.router.add_get(f"{base}/Applications/{{sid}}.json", show_application)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def told(monkeypatch):
    """Ask about NUMBER, the one of the one business; return the lines."""
    own = {}

    async def list_all(db):
        return [("id", "Salon")]

    async def get(db, business_id):
        return SimpleNamespace(numbers=(NUMBER,), settings=own)

    monkeypatch.setattr(businesses, "list_all", list_all)
    monkeypatch.setattr(businesses, "get", get)

    def ask(numbers, settings=SETTINGS, number_account="", **api):
        found = []
        own["number_account"] = number_account

        async def story():
            async with twilio(numbers, **api) as url:
                asked = msgspec.structs.replace(settings, twilio_api_url=url)
                found.extend(await check_numbers(asked, None))

        ws_peer.run(story)
        return [str(check) for check in found]

    return ask


def test_number_that_leads_here_is_well(told):
    assert told({(ACCOUNT, NUMBER): GOOD}) == [
        "✓ Twilio: sends the calls of 1 numbers here"
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"voice_url": "https://demo.twilio.com/welcome"},
            "its voice webhook is https://demo.twilio.com/welcome: set it to "
            "https://bridge.example/twilio/voice",
        ),
        ({"voice_url": ""}, "its voice webhook is not set: set it to"),
        (
            {"voice_method": "GET"},
            "its voice webhook is asked with GET: set it to POST",
        ),
        (
            {"status_callback": None},
            "its status callback is not set: set it to "
            "https://bridge.example/twilio/call-status",
        ),
        ({"status_callback_method": "GET"}, "its status callback is asked with GET"),
        ({"trunk_sid": "TK1"}, "its calls go to a SIP trunk"),
    ],
)
def test_number_that_leads_elsewhere_is_told_what_to_set(told, changed, words):
    (line,) = told({(ACCOUNT, NUMBER): {**GOOD, **changed}})

    assert line.startswith("✗ Twilio +120…23: ")
    assert words in line


def test_application_of_a_number_takes_the_place_of_its_urls(told):
    number = {**GOOD, "voice_url": "", "voice_application_sid": APPLICATION}
    numbers = {(ACCOUNT, NUMBER): number}

    assert told(numbers, applications={APPLICATION: GOOD})[0].startswith("✓")
    (line,) = told(numbers, applications={APPLICATION: {**GOOD, "voice_url": "x"}})
    assert "its voice webhook is x" in line


def test_number_of_a_subaccount_is_found_with_its_token(told):
    settings = Settings(
        public_url="https://bridge.example",
        twilio_account_sid=ACCOUNT,
        twilio_auth_token="token",
        twilio_subaccounts=f"{SUBACCOUNT}=subtoken",
    )

    (line,) = told({(SUBACCOUNT, NUMBER): GOOD}, settings)
    assert line.startswith("! Twilio +120…23: whoever has a token of another account")
    assert line.endswith(f"set its business's NUMBER_ACCOUNT to {SUBACCOUNT}")
    (line,) = told({(SUBACCOUNT, NUMBER): GOOD}, settings, SUBACCOUNT)
    assert line.startswith("✓")
    (line,) = told({(SUBACCOUNT, NUMBER): GOOD}, settings, ACCOUNT)
    assert line == (
        f"✗ Twilio +120…23: is {SUBACCOUNT}'s, and its calls are refused: "
        f"NUMBER_ACCOUNT is {ACCOUNT}"
    )
    (line,) = told({}, settings)
    assert line.startswith("! Twilio +120…23: no account of these credentials has it")


def test_credentials_that_are_refused_are_said(told):
    settings = Settings(
        public_url="https://bridge.example",
        twilio_account_sid=ACCOUNT,
        twilio_auth_token="wrong",
    )

    (line,) = told({}, settings)
    assert line.startswith("✗ Twilio: refuses the credentials of AC1111…: check")
    (line,) = told({}, status=503)
    assert line == "✗ Twilio: answers 503 where IncomingPhoneNumbers is asked"


def test_twilio_that_cannot_be_reached_is_said(told, monkeypatch):
    async def story():
        nowhere = msgspec.structs.replace(SETTINGS, twilio_api_url="http://127.0.0.1:9")
        (check,) = await check_numbers(nowhere, None)
        assert check.text.startswith("its REST API cannot be asked: ")

    ws_peer.run(story)


def test_without_credentials_nobody_is_asked(told):
    (line,) = told({}, Settings(public_url="https://bridge.example"))
    assert line.startswith("! Twilio: not asked where it sends the calls: ")
    assert told({}, Settings(twilio_account_sid=ACCOUNT, twilio_auth_token="x")) == []
