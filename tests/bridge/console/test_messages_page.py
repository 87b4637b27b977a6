"""Messages: the list, a conversation live, and what people of the business do in it."""

import asyncio
import re
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec

from crm import (
    audit,
    claims,
    conversations,
    message_turns,
    message_work,
    messages,
    opting_out,
)
from crm.claims import Claimant
from crm.conversations import CONSOLE, Arrived
from crm.message_turns import ToolRun
from crm.messages import Draft
from tests.bridge.console.test_live_page import acts

OWN = "+15550009999"
LIST = {
    "kind": "list",
    "button": "Times",
    "choices": [
        {"id": "time:10", "title": "Ten o'clock", "description": "with Maya"},
        {"id": "time:11", "title": "Eleven", "description": ""},
    ],
}


def told(story):
    def test(desk):
        async def whole():
            async with desk() as at, asyncio.timeout(40):
                await story(at)

        asyncio.run(whole())

    test.__name__ = story.__name__
    return test


def new_number():
    return f"+1202{uuid4().int % 10**7:07}"


async def wrote(at, body="hello", writer=None, business=None, **more):
    """Let somebody write; return the conversation's id."""
    arrived = Arrived(
        f"SM{uuid4().hex}", body, OWN, "AC1", writer or new_number(), **more
    )
    received = await conversations.receive(at.database, business or at.ours, arrived)
    return received.conversation_id


@asynccontextmanager
async def claimed(at, conversation_id):
    """Hold a conversation as the messenger's process does."""
    holder = uuid4()
    await sql(
        at,
        "update message_work set due_at = now() where conversation_id = $1",
        conversation_id,
    )
    found = await message_work.claim(at.database, holder, 1_000)
    try:
        yield next(one for one in found if one.conversation_id == conversation_id)
    finally:
        await message_work.free(at.database, holder)


async def answered(at, conversation_id, body="At ten?", content=None, tool=None):
    async with claimed(at, conversation_id) as held:
        turn = await message_turns.begin(at.database, held, "gpt")
        if tool is not None:
            await message_turns.begin_tool(at.database, held, turn.id, tool)
            await message_turns.end_tool(at.database, held, tool)
        draft = Draft(body, content)
        await message_turns.end(at.database, held, turn.id, [draft], cost=0.0042)


async def sql(at, text, *values):
    async with at.database.tenant(at.ours) as connection:
        return await connection.fetchval(text, *values)


@told
async def test_conversations_are_listed_searched_and_filtered(at):
    _, text = await at.owner.get(at.path("messages"))
    assert "No message yet." in text
    phone = new_number()
    own = await wrote(at, "I would like a haircut", phone, profile_name="Dana")
    other = await wrote(at, "שלום")
    await answered(at, own)
    async with at.database.tenant(at.ours) as connection:
        await conversations.hold(connection, at.ours, other, "")

    async def listed(query):
        status, text = await at.staff.get(at.path(f"messages{query}"))
        assert status == 200
        assert phone not in text
        return {one for one in (own, other) if at.path("messages", one) in text}

    assert await listed("") == {own, other}
    assert await listed("?words=hairc") == await listed("?words=dana") == {own}
    assert await listed(f"?number={phone[-4:]}") >= {own}
    assert await listed("?state=waits") == await listed("?state=held") == {other}
    assert await listed("?state=nonsense&position=x&id=y") == {own, other}
    assert await listed(f"?position={'9' * 18}&id={uuid4()}") == {own, other}
    assert await listed("?position=1&id=x") == {own, other}
    assert await listed(f"?position={2**64}&id={uuid4()}") == {own, other}
    _, text = await at.owner.get(at.path("messages?words=nobody"))
    assert "No conversation fits." in text
    _, text = await at.owner.get(at.path("messages/rows?state=held"))
    assert text.count("waits for a person") == 1
    async with at.database.tenant(at.ours) as connection:
        await conversations.hold(connection, at.ours, own, "asks for a person")
    # The assistant's words are the last, and the writer waits all the same.
    _, text = await at.owner.get(at.path("messages/rows?state=waits"))
    assert text.count("waits for a person") == 2
    assert "<html" not in text
    assert at.path("messages", other) in text


@told
async def test_list_is_paged_by_keyset(at):
    ids = [str(await wrote(at, f"m{one}")) for one in range(53)]
    _, first = await at.owner.get(at.path("messages"))
    older = re.search(r'href="([^"]+)" rel="next"', first)[1].replace("&amp;", "&")
    _, last = await at.owner.get(older)
    assert 'id="rows"' in first
    # A page that is not the first does not change under its reader.
    assert 'id="rows"' not in last
    assert [one for one in ids if one in last] == ids[:3]
    assert not [one for one in ids[:3] if one in first]
    assert 'rel="next"' not in last


@told
async def test_conversation_shows_messages_tools_choices_and_cost(at):
    phone = new_number()
    media = [{"url": "https://x", "content_type": "audio/ogg"}]
    own = await wrote(at, "תור ל-<b>haircut</b>?", phone, media=media)
    tool = ToolRun("k:0", "calendar_find_slots", '{"a":1}', '{"slots":[]}', True, 12.0)
    await answered(at, own, "Which?", LIST, tool)
    await wrote(at, "Ten o'clock", phone, choice="time:10")
    (reply,) = [one for one in await messages_of(at, own) if one.direction == "out"]
    await messages.note_status(
        at.database, at.ours, reply.id, "SM9", "undelivered", 63024, "not a user"
    )

    status, text = await at.staff.get(at.path("messages", own))
    assert status == 200
    assert phone not in text
    assert "&lt;b&gt;haircut" in text
    assert '<div class="thread-body" dir="auto">' in text
    assert "voice note" in text
    assert "calendar_find_slots" in text
    assert "{&#34;slots&#34;:[]}" in text
    assert "with Maya" in text
    taken = re.findall(r'<li class="is-taken"><bdi>([^<]+)', text)
    assert taken == ["Ten o&#39;clock"]
    assert "not delivered" in text
    assert "63024 not a user" in text
    assert text.count("$0.0042") == 2
    assert "data-choice" not in text
    _, text = await at.staff.post(at.path("messages", own, "phone"))
    assert phone in text
    headers = {"HX-Request": "true"}
    _, text = await at.staff.post(at.path("messages", own, "phone"), headers=headers)
    assert (phone in text, "<html" in text) == (True, False)
    seen = "conversation.phone_seen"
    assert await acts(at) == ["conversation.seen", seen, seen]


async def messages_of(at, own):
    async with at.database.tenant(at.ours) as connection:
        return await messages.of_conversation(connection, at.ours, own, 50)


@told
async def test_long_conversation_is_read_in_parts(at):
    phone = new_number()
    for one in range(103):
        own = await wrote(at, f"number-{one}.", phone)
    _, text = await at.owner.get(at.path("messages", own))
    assert "number-3." in text
    assert "number-2." not in text
    (earlier,) = set(re.findall(r'href="([^"]+\?before=\d+)"', text))
    _, text = await at.owner.get(earlier)
    assert "number-2." in text
    assert "number-3." not in text
    # What is past does not change, and nothing is written there.
    assert "data-events" not in text
    assert 'id="composer"' not in text


@told
async def test_person_holds_writes_and_hands_back(at):
    own = await wrote(at)
    here = at.path("messages", own)
    await at.staff.get(here)
    assert (await at.staff.post(f"{here}/hold"))[0] == 303
    assert (await at.staff.post(f"{here}/hold"))[0] == 303
    _, text = await at.staff.get(here)
    assert "People answer this conversation." in text
    assert (await at.staff.post(f"{here}/write", text=" I am here. "))[0] == 303
    (_, written) = await messages_of(at, own)
    assert (written.author, written.made_by, written.body, written.status) == (
        *("person", "Staff"),
        *("I am here.", "waiting"),
    )
    assert (await at.staff.post(f"{here}/hand-back"))[0] == 303
    assert (await at.staff.post(f"{here}/hand-back"))[0] == 303
    _, text = await at.staff.get(here)
    assert "The assistant answers this conversation." in text
    assert await acts(at) == [
        "conversation.seen",
        "conversation.held",
        "conversation.seen",
        "conversation.written",
        "conversation.handed_back",
        "conversation.seen",
    ]
    entries = await audit.recent(at.database, at.ours)
    assert "I am here" not in msgspec.json.encode(entries).decode()


@told
async def test_what_is_sent_again_because_its_answer_was_lost_is_one_message(at):
    own = await wrote(at)
    here = at.path("messages", own)
    await at.staff.get(here)
    for text, key in (("Yes.", "1-2"), ("Yes.", "1-2"), ("Yes.", "3-4")):
        status, _ = await at.staff.post(f"{here}/write", text=text, key=key)
        assert status == 303

    bodies = [one.body for one in await messages_of(at, own) if one.author == "person"]
    assert bodies == ["Yes.", "Yes."]


@told
async def test_nothing_is_written_outside_the_window_or_after_stop(at):
    late, stopped = await wrote(at), await wrote(at)
    day = "update conversations set last_inbound_at = now() - interval '24 h'"
    await sql(at, f"{day} where id = $1", late)
    async with at.database.tenant(at.ours) as connection:
        await opting_out.stop(connection, at.ours, stopped)
    for own, why in (
        (late, "older than 24 hours"),
        (stopped, "The writer wants no messages."),
    ):
        here = at.path("messages", own)
        _, text = await at.owner.get(here)
        assert why in text
        assert "<fieldset disabled>" in text
        status, text = await at.owner.post(f"{here}/write", text="keep <this>")
        assert (status, why in text, "keep &lt;this&gt;" in text) == (422, True, True)
        headers = {"Accept": "*/*"}
        status, text = await at.owner.post(f"{here}/write", headers=headers, text="x")
        assert status == 422
        assert why in msgspec.json.decode(text)["faults"]["text"]
        assert len(await messages_of(at, own)) == 1
    own = await wrote(at)
    for text in ("", " ", "x" * 4_097):
        status, _ = await at.owner.post(at.path("messages", own, "write"), text=text)
        assert status == 422


@told
async def test_conversation_of_another_business_is_404(at):
    theirs = await wrote(at, business=at.theirs)
    for business in (at.ours, at.theirs):
        here = at.path("messages", theirs, business=business)
        for path in (here, f"{here}/part", f"{here}/events"):
            assert (await at.owner.get(path))[0] == 404
        for act in ("phone", "write", "hold", "hand-back"):
            assert (await at.owner.post(f"{here}/{act}", text="x"))[0] == 404, act
    for one in ("x", "-" * 36, uuid4()):
        assert (await at.owner.get(at.path("messages", one)))[0] == 404
    path = at.path("messages", "events", business=at.theirs)
    assert (await at.owner.get(path))[0] == 404
    assert (await at.nobody.get(path, headers={"Accept": "*/*"}))[0] == 401


@told
async def test_lead_has_one_history_and_overview_names_who_waits(at):
    phone = new_number()
    own = await wrote(at, "a person, please", phone, profile_name="Dana")
    lead_id = (await conversations.get(at.database, at.ours, own)).lead_id
    _, text = await at.owner.get(at.path("leads", lead_id))
    assert at.path("messages", own) in text
    assert "1 message" in text
    assert "a person, please" in text
    _, text = await at.owner.get(at.path(""))
    assert "A conversation waits for a person:" not in text
    async with at.database.tenant(at.ours) as connection:
        await conversations.hold(connection, at.ours, own, "wants <to> talk")
    _, text = await at.owner.get(at.path(""))
    assert "A conversation waits for a person:" in text
    assert at.path("messages", own) in text
    assert "wants &lt;to&gt; talk" in text
    for _ in range(5):
        other = await wrote(at)
        async with at.database.tenant(at.ours) as connection:
            await conversations.hold(connection, at.ours, other, "")
    _, text = await at.owner.get(at.path(""))
    assert "All conversations that wait for a person" in text


@told
async def test_message_s_name_leads_to_its_conversation(at):
    own, theirs = await wrote(at), await wrote(at, business=at.theirs)
    sid = (await messages_of(at, own))[0].sid
    assert (await at.staff.get(at.path("messages", "sid", sid)))[0] == 302
    assert at.staff.headers["Location"] == at.path("messages", own)
    async with at.database.tenant(at.theirs) as connection:
        sid = await connection.fetchval(
            "select sid from messages where conversation_id = $1", theirs
        )
    for foreign in (sid, "SMx"):
        assert (await at.staff.get(at.path("messages", "sid", foreign)))[0] == 404


@told
async def test_message_that_may_not_be_sent_says_why(at):
    own = await wrote(at)
    message_id = await messages.write_by_hand(at.database, at.ours, own, "D", "Hi")
    async with claimed(at, own) as held:
        await messages.give_up(
            at.database, held, message_id, "dropped", None, "do_not_contact"
        )
    _, text = await at.owner.get(at.path("messages", own))
    assert "This person is not to be contacted." in text


@told
async def test_what_an_erased_person_wrote_or_claimed_is_gone(at):
    phone = new_number()
    own = await wrote(at, "hello", phone)
    lead_id = (await conversations.get(at.database, at.ours, own)).lead_id
    arrived = Arrived(f"try-{uuid4().hex}", phone, writer="try:x", channel=CONSOLE)
    tried = await conversations.receive(at.database, at.ours, arrived)
    claimant = Claimant(str(tried.conversation_id))
    await claims.write(at.database, at.ours, claimant, phone, {"name": "Eve"})
    _, text = await at.owner.get(at.path("leads"))
    assert at.path("messages", tried.conversation_id) in text

    path = at.path("leads", lead_id, "erase")
    status, _ = await at.owner.post(path, digits=phone[-4:])
    assert status == 200
    for gone in (own, tried.conversation_id):
        assert (await at.owner.get(at.path("messages", gone)))[0] == 404
    assert await sql(at, "select count(*) from messages") == 0


@told
async def test_test_chat_is_marked_in_the_list_and_has_no_number(at):
    arrived = Arrived(
        f"try-{uuid4().hex}",
        "hello",
        writer="try:x",
        channel=CONSOLE,
        profile_name="Owner",
    )
    received = await conversations.receive(at.database, at.ours, arrived)
    _, text = await at.owner.get(at.path("messages"))
    assert "<small>test</small>" in text
    assert "try:x" not in text
    here = at.path("messages", received.conversation_id)
    _, text = await at.owner.get(here)
    assert "Show the number" not in text
    assert "try:x" not in text
