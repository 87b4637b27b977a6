"""The event streams of messages: a page is told of news, and of nothing else."""

import re
from uuid import uuid4

from bridge.console import message_hub
from tests.bridge.console.test_live_page import events_of
from tests.bridge.console.test_messages_page import answered, new_number, told, wrote


class Away:
    """A database that does not answer."""

    def tenant(self, business_id):
        raise ConnectionError("away")


@told
async def test_page_is_told_of_what_is_new_and_of_nothing_else(at):
    own, phone = await wrote(at), new_number()
    _, text = await at.owner.get(at.path("messages", own))
    shown = re.search(r'data-revision="([^"]+)"', text)[1]
    async with (
        events_of(at.owner, at.path("messages", own, "events")) as next_event,
        events_of(at.staff, at.path("messages", "events")) as next_of_list,
    ):
        # The page shows what the stream names first.
        assert await next_event("revision") == ("revision", shown)
        before = (await next_of_list("revision"))[1]
        await wrote(at, "another conversation", phone)
        assert (await next_of_list("revision"))[1] != before
        await answered(at, own)
        revision = (await next_event("revision"))[1]
        _, text = await at.owner.get(at.path("messages", own, "part"))
        assert "At ten?" in text
        assert "<html" not in text
        # Its transactions may have been seen one by one.
        while revision != re.search(r'data-revision="([^"]+)"', text)[1]:
            revision = (await next_event("revision"))[1]


@told
async def test_stream_ends_with_the_session_and_pages_have_a_limit(at):
    own = await wrote(at)
    path = at.path("messages", own, "events")
    async with events_of(at.owner, path) as next_event:
        await next_event("revision")
        await at.owner.post("/console/logout")
        assert (await next_event("over"))[0] == "over"
    before, message_hub.PAGES_MAX = message_hub.PAGES_MAX, 0
    try:
        assert (await at.staff.get(path))[0] == 503
    finally:
        message_hub.PAGES_MAX = before


@told
async def test_hub_asks_for_nothing_while_no_page_is_open(at):
    own = await wrote(at)
    hub = message_hub.MessageHub(at.database, at.server.metrics)
    watched = message_hub.Watched(at.ours, own)
    assert hub.revisions == {}
    for _ in range(2):
        with hub.watching(watched), hub.watching(watched):
            await hub.next_look()
            assert list(hub.revisions) == [watched]
            gone = message_hub.Watched(at.ours, uuid4())
            with hub.watching(gone):
                while gone not in hub.revisions:
                    await hub.next_look()
                assert hub.revisions[gone] == ""
        assert hub.revisions == {}
        assert not hub.is_full


@told
async def test_pages_wait_while_the_database_does_not_answer(at):
    own = await wrote(at)
    hub = message_hub.MessageHub(Away(), at.server.metrics)
    with hub.watching(message_hub.Watched(at.ours, own)):
        for _ in range(2):
            await hub.next_look()
        assert hub.revisions == {}
    assert at.server.metrics.value("task_failures", task="message_hub") == 0
