"""An operator takes a call over in the middle of the greeting, and hands it back.

Real sockets, the sandbox's Twilio and its model, which refuses what the API refuses.
"""

import asyncio
from contextlib import asynccontextmanager
from time import monotonic

from bridge.call.plan import HandBack, TakeOver, Whisper
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.clips import clip
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.responses.server import ResponsesServer
from bridge.sandbox.script import Reply, Script
from bridge.sandbox.timeline import HangUp, Say, Wait, WaitForAi
from bridge.service.server import Server
from bridge.settings.process import Settings
from bridge.switchboard.live_calls import Lines
from crm import businesses, calls
from crm.database import Database
from tests.test_whole_call import until, written

NUMBER, OTHER_NUMBER = "+12025550178", "+12025550176"
GREETING = Reply(clip("ai-en-greeting").audio, "Hello. How can I help you today?")
OFFER = Reply(clip("ai-en-offer").audio[:16_000], "So ten percent it is.")
OPERATOR = clip("human-en-reader-1").audio
SILENCE = b"\xff" * 160
SAID = "You get ten percent, since you have come for years."
STEPS = [
    Wait(3_000),
    Say(clip("human-en-command-1")),
    Wait(2_000),
    WaitForAi(),
    HangUp(),
]


@asynccontextmanager
async def served(url, home, number=NUMBER):
    db = await Database.open(url)
    business_id = await businesses.create(db, "Salon", greeting="Hello.")
    await businesses.add_number(db, business_id, number)
    model = RealtimeServer(Script(greeting=[GREETING], turns=([OFFER], [OFFER])))
    await model.start()
    api = ResponsesServer(api_key=model.api_key, words=SAID)
    await api.start()
    settings = Settings(
        port=0,
        kolbridge_home=str(home),
        twilio_account_sid=SANDBOX_ACCOUNT_SID,
        twilio_auth_token=SANDBOX_AUTH_TOKEN,
        openai_realtime_url=model.url,
        openai_api_url=api.url,
        openai_api_key=model.api_key,
        max_busy_percent=100,
        lag_budget_ms=10_000,
    )
    server = Server(settings, db)
    await server.start()
    try:
        yield server, model, api, db, business_id
    finally:
        await server.close()
        await api.close()
        await model.close()
        await db.close()


def caller_of(server, number):
    """Return somebody who calls one of the server's numbers."""
    url = f"http://127.0.0.1:{server.port}"
    return Caller(url, to_number=number, public_url=server.public_url)


async def speak(line, seconds):
    """Let the operator speak in real time."""
    began_at = monotonic()
    for number in range(round(seconds / 0.02)):
        await line.speak(OPERATOR[number * 160 : number * 160 + 160])
        await asyncio.sleep(max(0.0, began_at + (number + 1) * 0.02 - monotonic()))


async def opened(server, business_id):
    """Return the operator's line to a call, as soon as the greeting is heard."""
    board = server.switchboard
    await until(lambda: any(one.playout.frames_sent > 30 for one in board.live_calls()))
    [driver] = board.live_drivers()
    lines = Lines(server.metrics, board.live_drivers, board.find_driver, {})
    call_sid = driver.call.plan.call_sid
    return lines.open(call_sid, str(business_id), "Dana", "", hears=True), driver


async def step_in(server, business_id):
    """Take the call over as soon as the greeting is heard; hand it back after 6 s."""
    line, driver = await opened(server, business_id)
    await line.obey(Whisper(text="The caller is a regular."))
    ordered_at = monotonic()
    await line.obey(TakeOver())
    requested = len(driver.call.responses._ended)
    await speak(line, 6.0)
    assert len(driver.call.responses._ended) <= requested + 1  # the greeting's own
    await line.obey(HandBack(note="She gets ten percent."))
    await until(lambda: not driver.call.takeover.is_on)
    await line.close()
    return ordered_at, driver


async def step_out_into_words(server, business_id):
    """Take the call over, and hand it back in the middle of what the caller says."""
    line, driver = await opened(server, business_id)
    await line.obey(TakeOver())
    uplink, began_at, number = driver.call.uplink, monotonic(), 0
    while not (uplink.is_gate_open and uplink.speech_frames > 10):
        await line.speak(SILENCE)
        number += 1
        await asyncio.sleep(max(0.0, began_at + number * 0.02 - monotonic()))
    await line.obey(HandBack(note="She gets ten percent."))
    assert not driver.call.takeover.is_on
    await line.close()
    return driver


def test_a_caller_who_speaks_at_the_hand_back_is_answered_once(embedded_url, tmp_path):
    async def story():
        async with served(embedded_url, tmp_path, OTHER_NUMBER) as (
            server,
            model,
            _,
            db,
            business_id,
        ):
            caller = caller_of(server, OTHER_NUMBER)
            stepping = asyncio.ensure_future(step_out_into_words(server, business_id))
            said = Say(clip("human-en-command-1"))
            steps = [Wait(3_000), said, WaitForAi("ends"), Wait(4_000), HangUp()]
            await caller.call(steps, max_s=30)
            driver = await stepping
            await written(db, business_id)
            [session] = model.sessions
            return driver.record(), session

    record, session = asyncio.run(story())

    assert (session.errors, session.violations) == ([], [])
    turns = [(turn.role, turn.text) for turn in record.turns]
    at = [role for role, _ in turns].index("caller")
    assert [text for role, text in turns[at:] if role == "ai"] == [OFFER.transcript]


def test_an_operator_steps_in_and_the_ai_goes_on(embedded_url, tmp_path):
    async def story():
        async with served(embedded_url, tmp_path) as (
            server,
            model,
            api,
            db,
            business_id,
        ):
            caller = caller_of(server, NUMBER)
            stepping = asyncio.ensure_future(step_in(server, business_id))
            found = await caller.call(STEPS, max_s=30)
            ordered_at, driver = await stepping
            await written(db, business_id)
            [row] = await calls.recent(db, business_id)
            record = driver.record()
            [session] = model.sessions
            return found, row, record, session, api, ordered_at

    found, row, record, session, api, ordered_at = asyncio.run(story())

    assert found.warnings + found.problems == []
    assert (session.errors, session.violations) == ([], [])
    assert row["end_reason"] == "caller_hung_up"
    # The caller hears the AI no more within 200 ms of the order.
    [cleared_ms] = found.clears_ms
    assert cleared_ms - (ordered_at - found.started_at) * 1e3 < 200
    # What the operator said is heard, frame by frame. One may come late, because one
    # process does all that is done here; the caller then hears silence before it.
    said = [OPERATOR[at : at + 160] for at in range(16_000, 17_600, 160)]
    places = [found.far.find(frame) for frame in said]
    assert -1 not in places
    assert places == sorted(places)
    turns = [(turn.role, turn.text) for turn in record.turns]
    roles = [role for role, _ in turns]
    assert roles[:3] == ["ai", "told", "told"]
    assert turns[0][1] != GREETING.transcript
    assert record.turns[0].interrupted
    # What both said meanwhile, then what the model was told, and how it went on.
    assert set(roles[3:-2]) == {"operator", "caller"}
    assert ("operator", SAID) in turns[3:-2]
    assert roles[-2:] == ["told", "ai"]
    assert "She gets ten percent." in turns[-2][1]
    assert (
        "What both said meanwhile is in this conversation: keep to it."
        in (turns[-2][1])
    )
    assert turns[-1][1] == OFFER.transcript
    # The model was told the operator's words before it was asked to go on.
    items = [
        one.event["item"]["content"][0]["text"]
        for one in session.received
        if one.event["type"] == "conversation.item.create"
    ]
    assert items[-1] == turns[-2][1]
    assert any(SAID in item for item in items[:-1])
    # It was paid for, and the API was asked as it wants to be.
    asked_s = sum(one["seconds"] for one in api.recordings)
    assert asked_s >= 5
    assert record.usage["transcription.seconds"] >= asked_s
    assert api.problems == []
