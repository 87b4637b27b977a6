"""Which worker answers a webhook: the owner of its call, or any one for a message."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from bridge.ports.authentication import BODY, FORM
from bridge.ports.workers import Workers

MESSAGE = {"MessageSid": "SM" + "1" * 32}


async def answered_here(workers, path, form):
    """Tell whether this worker answers; the other one is not there."""

    async def handler(request):
        return web.Response(text="here")

    asked = []

    async def forward(*args):
        asked.append(args)
        return 200, "text/xml", b"there"

    workers._forward = forward
    request = make_mocked_request("POST", path)
    request[BODY], request[FORM] = b"", form
    await workers.to_owner(request, handler)
    return not asked


@pytest.mark.parametrize("path", ["/twilio/whatsapp", "/twilio/message-status?m=1&b=2"])
def test_any_worker_answers_the_webhooks_of_messages(tmp_path, path):
    for index in range(2):
        workers = Workers(tmp_path, index, 2)
        assert asyncio.run(answered_here(workers, path, MESSAGE))


def test_a_call_that_a_message_names_changes_nothing(tmp_path):
    form = {**MESSAGE, "CallSid": "CA1"}
    workers = [Workers(tmp_path, index, 2) for index in range(2)]

    for one in workers:
        assert asyncio.run(answered_here(one, "/twilio/whatsapp", form))


def test_a_call_s_webhook_is_answered_by_its_owner(tmp_path):
    workers = [Workers(tmp_path, index, 2) for index in range(2)]
    here = [
        asyncio.run(answered_here(one, "/twilio/voice", {"CallSid": "CA1"}))
        for one in workers
    ]

    assert here[workers[0].owner_of("CA1")]
    assert sorted(here) == [False, True]
