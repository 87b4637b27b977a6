"""`kolbridge messages`: lists, one conversation whole, and what people do in it."""

import asyncio
from uuid import uuid4

import orjson
import pytest

from bridge.cli import main
from crm import (
    businesses,
    conversations,
    message_turns,
    message_work,
    messages,
    opting_out,
)
from crm.conversations import Arrived
from crm.database import Database
from crm.message_turns import ToolRun
from crm.messages import Draft

OWN = "+15550009999"


@pytest.fixture
def salon(embedded_url, monkeypatch, tmp_path):
    """A business in which somebody new has written, and the assistant has answered."""
    name, phone = f"Salon {uuid4().hex[:8]}", f"+1555{uuid4().int % 10**7:07}"

    async def fill():
        db = await Database.open(embedded_url, pool_max=2)
        business_id = await businesses.create(db, name)
        sid = f"SM{uuid4().hex}"
        arrived = Arrived(sid, "A haircut\nplease", OWN, "AC1", phone)
        received = await conversations.receive(db, business_id, arrived)
        (held,) = [
            one
            for one in await message_work.claim(db, uuid4(), 1_000)
            if one.business_id == business_id
        ]
        turn = await message_turns.begin(db, held, "gpt")
        run = ToolRun(f"{sid}:0", "calendar_find_slots", '{"part_of_day":"any"}')
        await message_turns.begin_tool(db, held, turn.id, run)
        done = run._replace(output='{"slots":[]}', ok=True, duration_ms=3.0)
        await message_turns.end_tool(db, held, done)
        await message_turns.end(db, held, turn.id, [Draft("At ten?")], cost=0.0125)
        await message_work.free(db, held.holder)
        await db.close()
        return received.conversation_id

    conversation_id = asyncio.run(fill())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", embedded_url)
    return name, phone, conversation_id


@pytest.fixture
def ask(salon, capsys):
    """Return what runs the command for the business: its code, and what it prints."""

    def run(*words, command="messages"):
        code = main.main([command, "--business", salon[0], *words])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run


def test_conversations_are_listed_with_their_state(salon, ask):
    name, phone, conversation_id = salon
    code, shown = ask()
    assert code == 0
    assert shown.endswith(
        f"{name}  {phone}  -  answered by the assistant  "
        "assistant: At ten?  [waiting]\n"
    )
    row = orjson.loads(ask("--json")[1])
    assert (row["id"], row["last_body"]) == (str(conversation_id), "At ten?")
    assert phone in ask("--words", "hairc")[1]
    assert ask("--words", "beard") == (0, "")
    assert ask("--state", "held") == (0, "")
    for words in (("--tools",), ("--hold",), ("--send", "x")):
        code, shown = ask(*words)
        assert (code, f"{words[0]}: expected the number" in shown) == (2, True)


def test_conversation_is_shown_whole(salon, ask):
    name, phone, conversation_id = salon
    code, shown = ask(phone, "--tools")
    assert code == 0
    head, _, first, tool, last = shown.splitlines()
    assert head.startswith(f"{name}  {phone}  -  answered by the assistant  0.0125 USD")
    assert first.endswith("writer: A haircut please  [received]")
    assert tool.endswith('[calendar_find_slots] {"part_of_day":"any"} -> {"slots":[]}')
    assert last.endswith("assistant: At ten?  [waiting]")
    assert "calendar_find_slots" not in ask(str(conversation_id))[1]
    whole = orjson.loads(ask(phone, "--json")[1])
    assert [one["body"] for one in whole["messages"]] == [
        "A haircut\nplease",
        "At ten?",
    ]
    assert whole["tools"][0]["output"] == '{"slots":[]}'
    code, shown = ask("+15550000000")
    assert (code, "no such conversation" in shown) == (2, True)


def test_what_is_attached_chosen_and_refused_is_shown(salon, ask, embedded_url):
    name, phone, conversation_id = salon

    async def go_on():
        db = await Database.open(embedded_url, pool_max=1)
        (business_id,) = [
            one for one, known in await businesses.list_all(db) if known == name
        ]
        choices = [{"id": "time:1", "title": "Ten", "description": ""}]
        offer = {"kind": "buttons", "choices": choices}
        async with db.tenant(business_id) as connection:
            own = (connection, business_id, conversation_id)
            await messages.add(*own, Draft("When?", offer))
        media = [{"url": "https://x", "content_type": "image/jpeg"}]
        arrived = Arrived(
            *(f"SM{uuid4().hex}", "", OWN, "AC1", phone), media=media, choice="time:1"
        )
        await conversations.receive(db, business_id, arrived)
        async with db.tenant(business_id) as connection:
            own = (connection, business_id, conversation_id)
            content = {"kind": "template", "sid": "HX1", "variables": {}}
            draft = Draft("Tomorrow", content, "service", purpose="reminder")
            message_id = await messages.add(*own, draft)
            await opting_out.stop(*own)
        await messages.note_status(
            db, business_id, message_id, "SM1", "failed", 63016, "closed"
        )
        await db.close()

    asyncio.run(go_on())
    *_, offered, taken, reminder = ask(phone)[1].splitlines()
    assert offered.endswith("assistant: When? <Ten>  [waiting]")
    assert taken.endswith("writer: <image/jpeg> <chose time:1>  [kept]")
    assert reminder.endswith("service: Tomorrow <template HX1>  [failed: 63016 closed]")
    assert "stopped by the writer" in ask("--state", "stopped")[1]
    code, shown = ask(phone, "--send", "Hello")
    assert (code, "wants no messages" in shown) == (2, True)


def test_people_write_hold_and_hand_back(salon, ask):
    phone = salon[1]
    assert ask(phone, "--hold") == (0, "held by people\n")
    assert ask(phone, "--hold") == (0, "people held it already\n")
    assert phone in ask("--state", "waits")[1]
    assert ask(phone, "--send", "We are here.")[0] == 0
    assert ask("--state", "waits") == (0, "")
    assert "person (the command line): We are here.  [waiting]" in ask(phone)[1]
    assert ask(phone, "--hand-back") == (0, "answered by the assistant\n")
    assert ask(phone, "--hand-back") == (0, "nobody held it\n")
    for text, why in ((" ", "expected a text"), ("x" * 4_097, "4096 characters")):
        code, shown = ask(phone, "--send", text)
        assert (code, why in shown) == (2, True), shown


def test_number_that_wrote_to_two_businesses_needs_the_name_of_one(
    salon, embedded_url, capsys
):
    name, phone, _ = salon
    other = f"Salon {uuid4().hex[:8]}"

    async def write():
        db = await Database.open(embedded_url, pool_max=1)
        business_id = await businesses.create(db, other)
        arrived = Arrived(f"SM{uuid4().hex}", "Hello", OWN, "AC1", phone)
        received = await conversations.receive(db, business_id, arrived)
        async with db.tenant(business_id) as connection:
            await connection.execute("delete from message_work")
        await db.close()
        return str(received.conversation_id)

    conversation_id = asyncio.run(write())
    assert main.main(["messages", phone, "--send", "We are here."]) == 2
    told = capsys.readouterr().err
    assert "expected --business" in told
    assert name in told and other in told
    assert main.main(["messages", conversation_id]) == 0
    assert "We are here." not in capsys.readouterr().out


def test_lead_is_listed_with_what_was_written(salon, ask):
    _, phone, _ = salon
    shown = ask(command="leads")[1]
    assert f"{phone}  -  new  calls=0  messages=2  written=2" in shown
    row = orjson.loads(ask("--json", command="leads")[1])
    assert row["messages"] == 2
    assert row["last_written_at"]
