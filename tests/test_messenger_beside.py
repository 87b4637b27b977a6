"""The messenger beside `kolbridge serve`: one for all workers, whatever dies."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from urllib.request import urlopen

import pytest

from bridge.cli.demo.service import free_port
from bridge.sandbox.messaging.messages_api import MessagingApi
from bridge.sandbox.messaging.writer import Writer
from bridge.sandbox.responses.server import ResponsesServer
from crm import businesses
from crm.database import Database
from tests.test_workers import business, workers

pytest.importorskip("agents")
WAIT_S = 90.0
RUNS, STOPPED = "[MESSAGE] the messenger runs", "[MESSAGE] the messenger has stopped"


class Model:
    """Where calls would go: there are none here."""

    url = "ws://127.0.0.1:9/v1/realtime"
    api_key = "sk-sandbox"


@asynccontextmanager
async def sandbox(url):
    """A business that answers messages, what it sends through, and what it asks."""
    database = await Database.open(url, pool_max=2)
    try:
        business_id, number = await business(database)
        await businesses.set_setting(database, business_id, "whatsapp", True)
        async with (
            MessagingApi(senders={number}) as api,
            ResponsesServer(api_key=Model.api_key) as model,
        ):
            env = {"TWILIO_API_URL": api.url, "OPENAI_API_URL": model.url}
            yield number, api, env
    finally:
        await database.close()


def where(service):
    """Return the address of a service, as it says it itself."""
    return f"http://{service.said('listening')[0]['message'].split()[2]}"


async def fetched(url):
    return await asyncio.to_thread(lambda: urlopen(url).read().decode())


async def until_answered(writer, text):
    await writer.write(text)
    return (await writer.next(60)).body


def test_one_messenger_serves_all_workers_and_is_started_again(embedded_url, tmp_path):
    async def told():
        async with sandbox(embedded_url) as (number, api, env):
            admin = str(free_port())
            env |= {"ADMIN_PORT": admin}
            async with workers(embedded_url, tmp_path, Model, **env) as service:
                api.connect(where(service))
                async with Writer(
                    api, where(service), number="+15550177001", business=number
                ) as writer:
                    await until_answered(writer, "hello")
                    pid = int(service.said(RUNS)[0]["message"].rpartition(" ")[2])
                    os.kill(pid, signal.SIGKILL)
                    await until_answered(writer, "hello again")
                    await service.until_said(RUNS, 2)
                    await asyncio.sleep(3)
                    page = await fetched(f"http://127.0.0.1:{admin}/metrics")
                    ready = await fetched(f"{where(service)}/readyz")
                service.process.terminate()
                code = await asyncio.wait_for(service.process.wait(), WAIT_S)
            return page, ready, code, service, writer, api

    found = asyncio.run(asyncio.wait_for(told(), 2 * WAIT_S))
    page, _, code, service, writer, api = found
    assert "kolbridge_messenger_restarts_total 1.0" in page
    assert "kolbridge_conversations_active 0.0" in page
    assert code == 0
    assert len(service.said(STOPPED)) == 1
    assert len(service.said("ended by signal 9; it is started again")) == 1
    assert len(writer.inbox.seen) == 2
    assert not writer.problems
    assert not api.problems


def test_the_service_that_takes_over_has_the_messenger(embedded_url, tmp_path):
    async def told():
        async with sandbox(embedded_url) as (number, api, env):
            env |= {"WORKERS": "1"}
            async with workers(embedded_url, tmp_path, Model, **env) as old:
                api.connect(where(old))
                async with Writer(
                    api, where(old), number="+15550177002", business=number
                ) as writer:
                    await until_answered(writer, "hello")
                    env |= {"PORT": where(old).rpartition(":")[2]}
                    async with workers(
                        embedded_url, tmp_path, Model, "--take-over", **env
                    ) as new:
                        await old.until_said(STOPPED, 1)
                        await until_answered(writer, "hello again")
                        code = await asyncio.wait_for(old.process.wait(), WAIT_S)
                        new.process.kill()
                        await new.process.wait()
                        # It sees that its service is gone.
                        await new.until_said(STOPPED, 1)
            return code, new, writer

    code, new, writer = asyncio.run(asyncio.wait_for(told(), 2 * WAIT_S))
    assert code == 0
    assert len(new.said(RUNS)) == 1
    assert len(writer.inbox.seen) == 2
