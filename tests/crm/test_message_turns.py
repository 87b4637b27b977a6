"""Turns that a person has overtaken: what they say is not sent, whatever comes next."""

from crm import conversations, message_sending, message_turns
from crm.messages import Draft
from tests.crm.test_conversations import told


async def overtaken(salon):
    """Return a turn that runs while a person takes over, writes and hands back."""
    received = await salon.receive("at ten?")
    held = await salon.claim()
    turn = await message_turns.begin(salon.db, held, "m")
    async with salon.db.tenant(salon.id) as connection:
        own = (salon.id, received.conversation_id)
        await conversations.hold(connection, *own, "")
    await conversations.hand_back(salon.db, *own)
    return held, turn


async def is_taken_over(salon, held):
    found = await message_sending.read(salon.db, salon.id, held.conversation_id)
    return found.next.body, found.is_taken_over


@told
async def test_answer_that_a_person_has_overtaken_is_stale_also_when_handed_back(salon):
    held, turn = await overtaken(salon)
    await message_turns.end(salon.db, held, turn.id, [Draft("Yes, at ten")], cost=0.1)

    assert await is_taken_over(salon, held) == ("Yes, at ten", True)


@told
async def test_what_is_written_after_the_hand_back_is_of_the_next_turn(salon):
    held, turn = await overtaken(salon)
    await salon.receive("and at eleven?")
    assert len((await message_turns.take_more(salon.db, held, turn.id)).asked) == 1
    await message_turns.end(salon.db, held, turn.id, [], cost=0.1)

    turn = await message_turns.begin(salon.db, held, "m")
    assert [one.body for one in turn.asked] == ["and at eleven?"]
    await message_turns.end(salon.db, held, turn.id, [Draft("Yes")], cost=0.1)
    assert await is_taken_over(salon, held) == ("Yes", False)


@told
async def test_turn_that_asks_for_a_person_says_so(salon):
    await salon.receive("I want a person")
    held = await salon.claim()
    turn = await message_turns.begin(salon.db, held, "m")
    draft = Draft("A person answers soon")
    await message_turns.end(
        salon.db, held, turn.id, [draft], cost=0.1, hold_why="asks for a person"
    )

    assert await is_taken_over(salon, held) == (draft.body, False)
