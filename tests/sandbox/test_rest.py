"""Twilio's REST API of the sandbox: who may ask, and a call that is moved."""

import asyncio
from contextlib import asynccontextmanager

from aiohttp import ClientSession, encode_basic_auth

from bridge.sandbox import rest
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.clips import clip
from bridge.sandbox.rest import RestApi
from bridge.sandbox.timeline import HangUp, Say, Wait
from tests.sandbox.tiny_bridge import TinyBridge, listen, run, until

CREDENTIALS = encode_basic_auth(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)
GOODBYE = "<Response><Hangup/></Response>"


class Call:
    """A call that notes the documents it is given."""

    def __init__(self, status="in-progress"):
        self.status = status
        self.documents = []

    def replace(self, document):
        self.documents.append(document)


@asynccontextmanager
async def serving():
    async with (
        RestApi(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN) as api,
        ClientSession() as http,
    ):
        yield api, http


async def ask(api, http, sid, auth=CREDENTIALS, **form):
    url = f"{api.url}/2010-04-01/Accounts/{SANDBOX_ACCOUNT_SID}/Calls/{sid}.json"
    method = "POST" if form else "GET"
    headers = {"Authorization": auth}
    async with http.request(method, url, headers=headers, data=form or None) as answer:
        is_json = answer.content_type == "application/json"
        return answer.status, await answer.json() if is_json else {}


def test_who_may_ask_for_a_call():
    async def story():
        async with serving() as (api, http):
            api.add("CA1", Call())
            found = {"sid": "CA1", "status": "in-progress"}
            assert await ask(api, http, "CA1") == (200, found)
            assert (await ask(api, http, "CA2"))[0] == 404
            forged = encode_basic_auth(SANDBOX_ACCOUNT_SID, "guess")
            assert (await ask(api, http, "CA1", forged))[0] == 401

    run(story())


def test_update_is_refused_as_twilio_refuses_it():
    async def story():
        async with serving() as (api, http):
            api.add("CA1", Call())
            api.add("CA2", Call("completed"))
            assert (await ask(api, http, "CA1", Twiml="<Response>"))[1]["code"] == 21218
            assert (await ask(api, http, "CA1", Url="x"))[1]["code"] == 20001
            long = GOODBYE + " " * 4_000
            assert (await ask(api, http, "CA1", Twiml=long))[1]["code"] == 32018
            assert (await ask(api, http, "CA2", Twiml=GOODBYE))[1]["code"] == 21220
            assert api.updates == 0

    run(story())


def test_update_takes_effect_later(monkeypatch):
    monkeypatch.setattr(rest, "_UPDATE_S", (0.03, 0.03))

    async def story():
        async with serving() as (api, http):
            call = Call()
            api.add("CA1", call)
            assert (await ask(api, http, "CA1", Twiml=GOODBYE))[0] == 200
            assert call.documents == []
            await asyncio.sleep(0.1)
            assert call.documents == [GOODBYE.encode()]

    run(story())


def test_moved_call_opens_another_stream_and_the_caller_goes_on(monkeypatch):
    monkeypatch.setattr(rest, "_UPDATE_S", (0.0, 0.0))
    steps = (Wait(200), Say(clip("caller-en-1").audio[:1_600]), HangUp())
    sids = []

    async def talk(bridge, socket):
        await until(bridge, socket, "start")
        sids.append(bridge.messages[-1]["start"]["callSid"])
        await listen(bridge, socket)

    async def story():
        async with serving() as (api, http), TinyBridge(talk) as bridge:
            caller = Caller(bridge.url, goes_on=True, api=api)
            placed = asyncio.ensure_future(caller.call(steps, max_s=5))
            while not sids:  # noqa: ASYNC110 a list
                await asyncio.sleep(0.005)
            ws = bridge.url.replace("http", "ws")
            moved = (
                f'<Response><Connect><Stream url="{ws}/media"/></Connect></Response>'
            )
            assert (await ask(api, http, sids[0], Twiml=moved))[0] == 200
            result = await placed

            assert sids == 2 * [result.call_sid]
            assert result.ended_by == "caller"
            assert len(result.heard) == 2
            assert result.times_ms("moved") != []
            assert len(result.times_ms("says")) == 1
            assert bridge.posted("/after") == []
            assert (await ask(api, http, sids[0]))[1]["status"] == "completed"

    run(story())
