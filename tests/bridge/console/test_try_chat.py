"""Try it in writing: a chat through the queue of all messages, sent to nobody."""

from uuid import uuid4

import msgspec
import pytest

from bridge.console import try_chat, try_page
from crm import conversations
from tests.bridge.console.test_live_page import acts
from tests.bridge.console.test_messages_page import (
    LIST,
    answered,
    messages_of,
    sql,
    told,
    wrote,
)


async def said(browser, at, **fields):
    """Write as the page does; return the status and the answer."""
    status, text = await browser.post(at.path("try", "chat"), **fields)
    return status, msgspec.json.decode(text) if text.startswith("{") else text


@told
async def test_chat_is_a_conversation_without_a_number_that_waits_for_its_answer(at):
    status, begun = await said(at.staff, at, text=" Hello ")
    assert status == 201
    (found,) = await messages_of(at, begun["conversation"])
    assert (found.body, found.status) == ("Hello", "received")
    own = await conversations.get(at.database, at.ours, found.conversation_id)
    assert (own.channel, own.phone, own.lead_id) == ("console", None, None)
    assert own.profile_name == "Staff"
    assert await sql(at, "select count(*) from message_work") == 1
    _, again = await said(
        at.staff, at, text="Again", conversation=begun["conversation"]
    )
    assert again["conversation"] == begun["conversation"]
    _, other = await said(at.staff, at, text="Another chat")
    assert other["conversation"] != begun["conversation"]
    # A chat is written down when it begins.
    assert await acts(at) == ["conversation.tried"] * 2
    assert await sql(at, "select count(*) from leads") == 0


@told
async def test_choice_is_sent_by_its_id_while_it_is_offered(at):
    _, begun = await said(at.owner, at, text="Hello")
    own = begun["conversation"]
    chosen = {"choice": "time:10", "conversation": own}
    assert (await said(at.owner, at, **chosen))[0] == 422
    conversation_id = (await messages_of(at, own))[0].conversation_id
    await answered(at, conversation_id, "Which?", LIST)
    _, part = await at.owner.get(begun["part"])
    assert '<button type="button" class="outline small" data-choice="time:10">' in part
    assert "<html" not in part
    assert (await said(at.owner, at, choice="time:99", conversation=own))[0] == 422

    assert (await said(at.owner, at, **chosen))[0] == 201
    taken = (await messages_of(at, own))[-1]
    assert (taken.body, taken.choice) == ("Ten o'clock", "time:10")
    _, part = await at.owner.get(begun["part"])
    assert "data-choice" not in part
    assert 'class="is-taken"' in part
    # It is no longer the last message.
    status, fault = await said(at.owner, at, **chosen)
    assert (status, "no longer" in fault["faults"]["text"]) == (422, True)


@told
async def test_chat_of_somebody_else_and_a_writer_s_conversation_are_404(at):
    _, begun = await said(at.owner, at, text="Hello")
    real = await wrote(at)
    for own in (begun["conversation"], str(real), str(uuid4()), "x"):
        browser = at.staff
        status, _ = await said(browser, at, text="Hello", conversation=own)
        assert status == 404
        assert (await browser.get(at.path("try", "chat", own)))[0] == 404
    assert (await at.other.post(at.path("try", "chat"), text="Hello"))[0] == 404
    assert len(await messages_of(at, real)) == 1


@told
async def test_wrong_text_is_refused_and_a_flood_waits(at):
    for text in ("", "  ", "x" * 4_097):
        status, fault = await said(at.owner, at, text=text)
        assert (status, bool(fault["faults"]["text"])) == (422, True)
    for _ in range(try_chat.MESSAGES_MAX):
        assert (await said(at.owner, at, text="x"))[0] == 201
    status, fault = await said(at.owner, at, text="x")
    assert (status, "many messages" in fault["faults"]["text"]) == (422, True)
    assert (await said(at.staff, at, text="x"))[0] == 201


@pytest.mark.parametrize("is_installed", [True, False])
def test_page_says_what_to_install_where_nothing_answers(
    desk, monkeypatch, is_installed
):
    name = "sys" if is_installed else "no_such_package"
    monkeypatch.setattr(try_page, "PACKAGE", name)

    @told
    async def story(at):
        _, text = await at.owner.get(at.path("try"))
        assert ('id="try-chat"' in text) == is_installed
        assert ("pip install" in text) != is_installed

    story(desk)
