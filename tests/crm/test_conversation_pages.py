"""Lists of conversations, one with its turns and tools, and what tells of a change."""

from uuid import uuid4

import pytest

from crm import conversation_pages, conversations, message_turns, messages
from crm.conversation_pages import Place, Wish
from crm.conversations import Arrived
from crm.message_turns import ToolRun
from crm.messages import Draft
from tests.crm.test_conversations import Salon, told


async def write_to(salon, *bodies, **more):
    """Let somebody new write; return the conversation's id."""
    other = Salon(salon.db, salon.id)
    for body in bodies:
        arrived = Arrived(
            f"SM{uuid4().hex}", body, "+15550009999", "AC1", other.writer, **more
        )
        received = await conversations.receive(salon.db, salon.id, arrived)
    return received.conversation_id


async def found(salon, **wish):
    rows = await conversation_pages.listed(salon.db, salon.id, Wish(**wish))
    return [row.id for row in rows]


@told
async def test_conversations_are_listed_by_their_last_message_and_paged(salon):
    ids = [await write_to(salon, f"hello {at}") for at in range(5)]
    await messages.write_by_hand(salon.db, salon.id, ids[1], "Dana", "Good morning")

    order = [ids[1], ids[4], ids[3], ids[2], ids[0]]
    assert await found(salon) == order
    seen, before = [], None
    while page := await conversation_pages.listed(
        salon.db, salon.id, Wish(), 2, before
    ):
        seen += [row.id for row in page]
        before = page[-1].place
    assert seen == order
    (first, *_) = await conversation_pages.listed(salon.db, salon.id, Wish())
    assert (first.last_author, first.last_body) == ("person", "Good morning")
    assert isinstance(first.place, Place)


@told
async def test_conversations_are_found_by_their_words_names_and_numbers(salon):
    own = await write_to(salon, "אני רוצה תור", "לתספורת", profile_name="Noa Levy")
    other = await write_to(salon, "a beard trim, please")
    writer = (await conversations.get(salon.db, salon.id, own)).writer

    assert await found(salon, words="תספורת") == [own]
    assert await found(salon, words="noa") == [own]
    assert await found(salon, words="beard tri") == [other]
    assert await found(salon, words="?!") == []
    assert await found(salon, number=writer[-7:]) == [own]
    assert await found(salon, number=writer[2:]) == [own]


@told
async def test_message_in_which_no_word_begins_so_is_not_read_word_by_word(salon):
    own = await write_to(salon, "colour")
    async with salon.db.tenant(salon.id) as connection:
        # More words than PostgreSQL reads of one text.
        await connection.execute(
            "update messages set body = 'colour ' || (select string_agg(md5(n::text), "
            "' ') from generate_series(1, 50000) n)"
        )

    assert await found(salon, words="olour") == []
    other = await write_to(salon, "see example.comתפר, colour (olour)")
    assert own != other
    assert await found(salon, words="תפר") == [other]


@told
async def test_what_is_held_waits_until_a_person_writes(salon):
    own, other = await write_to(salon, "a person!"), await write_to(salon, "hello")
    async with salon.db.tenant(salon.id) as connection:
        await conversations.hold(connection, salon.id, own, "")

    assert await found(salon, state="waits") == [own]
    assert set(await found(salon, state="unanswered")) == {own, other}
    (waiting,) = await conversation_pages.waiting(salon.db, salon.id, 5)
    assert waiting.id == own
    await messages.write_by_hand(salon.db, salon.id, own, "Dana", "Here I am")
    assert await found(salon, state="waits") == []
    assert await found(salon, state="held") == [own]
    assert await found(salon, state="unanswered") == [other]


@told
async def test_what_was_not_delivered_is_found(salon):
    own = await write_to(salon, "hello")
    await write_to(salon, "hello")
    message_id = await messages.write_by_hand(salon.db, salon.id, own, "Dana", "Hi")
    assert await found(salon, state="failed") == []

    await messages.note_status(salon.db, salon.id, message_id, "SM9", "failed", 63016)
    assert await found(salon, state="failed") == [own]


@told
async def test_merged_leads_have_one_list_of_conversations(salon):
    own, other = await write_to(salon, "one"), await write_to(salon, "two")
    leads = [
        (await conversations.get(salon.db, salon.id, one)).lead_id
        for one in (own, other)
    ]
    await salon.sql("update leads set merged_into = $1 where id = $2", *leads)

    for lead_id in leads:
        assert await found(salon, lead_id=lead_id) == [other, own]
    written = await conversation_pages.written_by(salon.db, salon.id, leads)
    assert [written[one].messages for one in leads] == [1, 1]


@told
async def test_conversation_is_read_with_its_turns_and_tools(salon):
    received = await salon.receive("a haircut", sid="SM1")
    held = await salon.claim()
    turn = await message_turns.begin(salon.db, held, "gpt")
    run = ToolRun("SM1:0", "calendar_find_slots", "{}")
    await message_turns.begin_tool(salon.db, held, turn.id, run)
    own = (salon.db, salon.id, received.conversation_id)

    shown = await conversation_pages.messages_of(*own, 10)
    (read,), (tool,) = await conversation_pages.turns_of(*own, shown)
    assert (read.id, read.state, read.model) == (turn.id, "running", "gpt")
    assert (tool.name, tool.output, tool.turn_id) == (run.name, None, turn.id)

    await message_turns.end_tool(salon.db, held, run._replace(output="{}", ok=True))
    await message_turns.end(salon.db, held, turn.id, [Draft("Ten?")], cost=0.25)
    shown = await conversation_pages.messages_of(*own, 10)
    assert [one.body for one in shown] == ["a haircut", "Ten?"]
    (first,) = await conversation_pages.messages_of(*own, 10, shown[1].position)
    assert first.body == "a haircut"
    assert await conversation_pages.cost_of(*own) == pytest.approx(0.25)
    # Another conversation's id shows no turns of this one.
    other = await write_to(salon, "hello")
    assert await conversation_pages.turns_of(salon.db, salon.id, other, shown) == (
        [],
        [],
    )


@told
async def test_revision_changes_with_all_that_a_page_shows(salon):
    received = await salon.receive("a haircut", sid="SM1")
    own = received.conversation_id
    seen, lists = set(), set()

    async def look(*, is_list_news=True):
        revisions = await conversation_pages.revisions(salon.db, salon.id, [own])
        assert revisions[own] not in seen
        seen.add(revisions[own])
        whole = await conversation_pages.revision_of_list(salon.db, salon.id)
        assert (whole not in lists) == is_list_news
        lists.add(whole)

    await look()
    held = await salon.claim()
    turn = await message_turns.begin(salon.db, held, "m")
    await look(is_list_news=False)
    run = ToolRun("SM1:0", "leads_upsert", "{}")
    await message_turns.begin_tool(salon.db, held, turn.id, run)
    await look(is_list_news=False)
    await message_turns.end_tool(salon.db, held, run._replace(output="{}", ok=True))
    await look(is_list_news=False)
    await message_turns.end(salon.db, held, turn.id, [Draft("Ten?")], cost=None)
    await look()
    (_, reply) = await conversation_pages.messages_of(salon.db, salon.id, own, 10)
    await messages.begin_try(salon.db, held, reply.id)
    await look(is_list_news=False)
    await messages.note_given(salon.db, salon.id, reply.id, "SM2", "queued")
    await look(is_list_news=False)
    async with salon.db.tenant(salon.id) as connection:
        await conversations.hold(connection, salon.id, own, "")
    await look()
    assert await conversation_pages.revisions(salon.db, salon.id, [uuid4()]) == {}


@told
async def test_messages_of_a_day_are_counted_in_the_business_s_zone(salon):
    await write_to(salon, "one", "two")
    today = await salon.sql("select (now() at time zone 'Asia/Jerusalem')::date")

    count = conversation_pages.written_on
    assert await count(salon.db, salon.id, today, "Asia/Jerusalem") == 2
    past = today.replace(year=today.year - 1)
    assert await count(salon.db, salon.id, past, "Asia/Jerusalem") == 0
