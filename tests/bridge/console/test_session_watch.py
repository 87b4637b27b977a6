"""Whether users of open pages are still logged in: asked at once for all of them."""

import asyncio
from contextlib import ExitStack
from uuid import uuid4

import pytest

from bridge.console import session_watch
from bridge.console.console import Viewer
from bridge.telemetry.metrics import Metrics
from crm import open_sessions
from crm.database import Database
from tests.bridge import loopback


def test_many_pages_cost_one_question(embedded_url, monkeypatch):
    asked = []
    real = open_sessions.look

    async def counted(database, tokens):
        asked.append(len(tokens))
        return await real(database, tokens)

    monkeypatch.setattr(session_watch, "LOOK_S", 0.01)
    monkeypatch.setattr(open_sessions, "look", counted)

    async def story():
        database = await Database.open(embedded_url, pool_max=1)
        watch = session_watch.SessionWatch(database, Metrics())
        with ExitStack() as stack:
            for token in ("one", "one", "one", "another"):
                stack.enter_context(watch.watched(token))
            await loopback.ws_peer.until(lambda: asked and watch._asked)
            assert set(asked) == {2}
            nobody = Viewer(uuid4(), "x", "X", "operator", None, None)
            assert not watch.is_still("another", nobody)
            assert watch.is_still("a third, not asked of yet", nobody)
        assert watch._task.done()
        await database.close()

    asyncio.run(story())


def test_a_database_that_does_not_answer_says_of_nobody(monkeypatch):
    async def away(database, tokens):
        raise TimeoutError

    monkeypatch.setattr(session_watch, "LOOK_S", 0.01)
    monkeypatch.setattr(open_sessions, "look", away)

    async def story():
        watch = session_watch.SessionWatch(None, Metrics())
        nobody = Viewer(uuid4(), "x", "X", "operator", None, None)
        with watch.watched("one"):
            assert watch.is_still("one", nobody)
            await loopback.ws_peer.until(lambda: watch._open is None)
            with pytest.raises(session_watch.Unknown):
                watch.is_still("one", nobody)
        assert watch.is_still("one", nobody)

    asyncio.run(story())


def test_a_look_that_fails_is_tried_again_and_counted(monkeypatch):
    metrics, looks = Metrics(), []

    async def odd(database, tokens):
        looks.append(tokens)
        if len(looks) == 1:
            raise ValueError("a bug")
        return {}

    monkeypatch.setattr(session_watch, "LOOK_S", 0.01)
    monkeypatch.setattr(open_sessions, "look", odd)

    async def story():
        watch = session_watch.SessionWatch(None, metrics)
        nobody = Viewer(uuid4(), "x", "X", "operator", None, None)
        with watch.watched("one"):
            await loopback.ws_peer.until(lambda: not watch.is_still("one", nobody))
        assert metrics.value("task_failures", task="session_watch") == 1

    asyncio.run(story())
