"""Whole calls through real sockets: the bridge between the strict sandbox's two sides.

Three calls run at once, one for each way of detecting turns, in about fifteen seconds
of real time. The database is there; nothing of the bridge is replaced.
"""

import asyncio
import os

import pytest

from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.clips import clip
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.script import Reply, Script, ToolUse
from bridge.sandbox.timeline import (
    Digit,
    InterruptAfter,
    Noise,
    Say,
    StayOnLine,
    WaitForAi,
)
from bridge.service.server import Server
from bridge.settings.options import CallOptions
from bridge.settings.process import Settings
from crm import businesses, calls, leads
from crm.database import Database
from tests.schemas import checker, load, needed

MODES = ("server_vad", "semantic_vad", "gate")
OFFER = clip("ai-en-offer").audio
SHORT = Reply(OFFER[:9_600], "Nine o'clock?")
# The offer comes in two audio parts of one item.
REST = Reply(OFFER[8_000:64_000], "I have nine, ten and eleven o'clock.")
SCRIPT = Script(
    greeting=[Reply(clip("ai-en-greeting").audio[:9_600], "Hello.")],
    turns=(
        [Reply(OFFER[:8_000], "On Tuesday", more=(REST,))],
        [ToolUse("leads_upsert", {"name": "Dana"})],
        [SHORT],
        [SHORT, ToolUse("end_call", {"reason": "goodbye"})],
    ),
)
STEPS = (
    Noise(clip("noise-fan"), -6.0),
    WaitForAi("ends"),
    Say(clip("human-en-command-1")),
    InterruptAfter(1_200),
    Say(clip("human-en-command-2")),
    WaitForAi("ends"),
    Digit("4"),
    Digit("#"),
    StayOnLine(),
)
STRICT = "openai-realtime.client-strict.schema.json"


async def business(db, mode, number):
    business_id = await businesses.create(
        db, f"Salon {mode}", greeting="Hello.", required_fields=["name"]
    )
    await businesses.add_number(db, business_id, number)
    await businesses.set_setting(db, business_id, "turn_detection", mode)
    return business_id


async def until(is_so):
    for _ in range(3_000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never became so")


async def written(db, business_id):
    for _ in range(500):
        if await calls.recent(db, business_id):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the call was never written")


async def place_calls(url, home):
    """Run one call in each mode; return what both sides and the database know."""
    db = await Database.open(url)
    model = RealtimeServer(SCRIPT)
    await model.start()
    server = Server(
        Settings(
            port=0,
            kolbridge_home=str(home),
            twilio_account_sid=SANDBOX_ACCOUNT_SID,
            twilio_auth_token=SANDBOX_AUTH_TOKEN,
            openai_api_key=model.api_key,
            openai_realtime_url=model.url,
            call=CallOptions(),
            # Three callers, the model and the bridge share one loop here.
            max_busy_percent=100,
            lag_budget_ms=10_000,
        ),
        db,
    )
    await server.start()
    try:
        ids, results = [], []
        for at, mode in enumerate(MODES):
            number = f"+1555{os.getpid() % 10**4:04}{id(db) % 10**4:04}{at}"
            ids.append(await business(db, mode, number))
            caller = Caller(server.public_url, to_number=number)
            results.append(asyncio.ensure_future(caller.call(STEPS, max_s=60)))
            # The sandbox's sessions come in the order of the calls.
            await until(lambda at=at: len(model.sessions) > at)
        done = await asyncio.gather(*results)
        for business_id in ids:
            await written(db, business_id)
        rows = [await calls.recent(db, business_id) for business_id in ids]
        turns = [
            await calls.turns(db, business_id, row[0]["call_sid"])
            for business_id, row in zip(ids, rows, strict=True)
        ]
        found = [await leads.find(db, one, "+15550100001") for one in ids]
        return done, model.sessions, [row[0] for row in rows], turns, found
    finally:
        await server.close()
        await model.close()
        await db.close()


@pytest.fixture(scope="module")
def told(request, tmp_path_factory):
    url = request.getfixturevalue("embedded_url")
    home = tmp_path_factory.mktemp("home")
    seen = asyncio.run(asyncio.wait_for(place_calls(url, home), 90))
    return dict(zip(MODES, zip(*seen, strict=True), strict=True))


@pytest.fixture(params=MODES)
def call(request, told):
    return told[request.param]


def test_neither_side_has_anything_to_complain_of(call):
    result, session, *_ = call
    assert result.warnings == []
    assert result.problems == []
    assert session.violations == []
    errors = [event["error"]["code"] for event in session.sent_events("error")]
    assert set(errors) <= {"response_cancel_not_active"}


def test_the_bridge_ends_the_call_after_the_last_words(call):
    result, _, row, *_ = call
    assert result.ended_by == "bridge"
    assert result.close_code == 1000
    assert row["end_reason"] == "end_call:goodbye"


def heard_ms(far):
    """How much of the offer the caller's recording has, up to its first other byte."""
    first = next(at for at, sample in enumerate(OFFER) if sample != 0xFF)
    begin = far.index(OFFER[first : first + 800]) - first
    whole = zip(far[begin:], OFFER, strict=False)
    return next(at for at, (heard, said) in enumerate(whole) if heard != said) / 8


def test_one_interruption_is_cleared_and_truncated_where_it_was_heard(call):
    result, session, row, turns, _ = call
    (cut,) = session.events("conversation.item.truncate")
    assert row["barge_ins"] == 1
    assert len(result.clears_ms) == 1
    said = [turn for turn in turns if turn.interrupted]
    # It falls into the second part, whose time is its own: the first is a second long.
    assert cut["content_index"] == 1
    told_ms = 1_000 + cut["audio_end_ms"]
    assert [turn.heard_ms for turn in said] == [told_ms]
    assert 1_200 <= told_ms <= 2_400
    assert told_ms == pytest.approx(heard_ms(result.far), abs=60)


def test_every_frame_is_counted(call):
    result, _, row, *_ = call
    assert 0 <= result.frames_sent - row["rx_frames"] <= 2
    assert row["tx_frames"] == result.frames_received


def test_all_media_comes_in_whole_frames_of_the_documented_form(call):
    result, *_ = call
    assert {piece.size_bytes for piece in result.media} == {160}
    media = [frame for frame in result.raw if '"event":"media"' in str(frame)]
    prefix = f'{{"event":"media","streamSid":"{result.stream_sid}","media":{{"payload":'
    assert all(str(frame).startswith(prefix) for frame in media)


def test_the_noise_between_turns_is_not_forwarded(call):
    _, _, row, *_ = call
    assert row["forwarded_frames"] < 0.6 * row["rx_frames"]
    assert row["dropped_frames"] > 100


def test_the_tool_the_keypad_and_the_transcript_arrive(call):
    _, session, row, turns, lead = call
    assert lead.name == "Dana"
    items = [event["item"] for event in session.events("conversation.item.create")]
    assert any(item["type"] == "function_call_output" for item in items)
    texts = [part["text"] for item in items for part in item.get("content", ())]
    assert texts == ["Keypad: 4 #"]
    roles = [turn.role for turn in turns]
    assert roles.count("caller") == 2
    assert "keypad" in roles
    assert row["answer_ms"]


@needed
def test_what_was_sent_to_the_model_fits_the_public_schema(call):
    validate = checker(STRICT, "client", "type")
    _, session, *_ = call
    for name in load(STRICT)["x-index"]["client"]:
        for event in session.events(name):
            validate(event)
