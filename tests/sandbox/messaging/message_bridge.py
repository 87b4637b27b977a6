"""The smallest bridge for messages, and requests made by hand."""

import asyncio
from contextlib import asynccontextmanager

from aiohttp import ClientSession, web

from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID
from bridge.sandbox.messaging.messages_api import MessagingApi
from bridge.sandbox.messaging.writer import Writer

BUSINESS, DANA = "+15550100002", "+15550100001"
BASE = f"/2010-04-01/Accounts/{SANDBOX_ACCOUNT_SID}"
EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
ROWS = {
    "body": "When?",
    "button": "Times",
    "items": [
        {"id": "s1", "item": "Mo 9:00", "description": "with Noa"},
        {"id": "s2", "item": "{{1}}"},
    ],
}
BUTTONS = {
    "body": "Mo 9:00?",
    "actions": [{"title": "Yes", "id": "yes"}, {"title": "No", "id": "no"}],
}


class MessageBridge:
    """Answers both webhooks, and records them; serves files."""

    def __init__(self):
        self.url = ""
        self.posts = []
        self.answer = {"text": EMPTY, "content_type": "text/xml"}
        self.statuses = []  # HTTP statuses of the next answers
        self.files = {}
        self.stall_s = 0.0
        self.at_once = self.at_once_max = 0

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/{path:.*}", self._post)
        app.router.add_get("/files/{name}", self._get)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error):
        await self._runner.cleanup()

    async def _post(self, request):
        fields = {name: str(value) for name, value in (await request.post()).items()}
        self.posts.append((request.path_qs, fields, dict(request.headers)))
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        await asyncio.sleep(self.stall_s)
        self.at_once -= 1
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        return web.Response(**self.answer)

    async def _get(self, request):
        content, kind = self.files[request.match_info["name"]]
        return web.Response(body=content, headers={"Content-Type": kind})

    def forms(self):
        """The messages that were delivered."""
        return [form for path, form, _ in self.posts if path == "/twilio/whatsapp"]

    def reports(self):
        """The statuses that were told, in the order in which they came."""
        found = (form for path, form, _ in self.posts if "/message-status" in path)
        return [form["MessageStatus"] for form in found]


class Desk:
    """A sandbox, a bridge, a writer who wrote, and an HTTP client."""

    def __init__(self, api, bridge, writer, http):
        self.api, self.bridge, self.writer, self._http = api, bridge, writer, http
        self.callback = f"{bridge.url}/twilio/message-status?m=1&b=2"

    async def ask(self, method, path, **options):
        """Return the status and the JSON of an answer."""
        options.setdefault("headers", {"Authorization": self.api.account.credentials})
        url = self.api.url + path
        async with self._http.request(
            method, url, allow_redirects=False, **options
        ) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else answer

    async def send(self, **fields):
        """Create a message, a text if nothing else is asked for."""
        form = {"To": f"whatsapp:{DANA}", "From": f"whatsapp:{BUSINESS}"}
        if not fields.keys() & {"Body", "ContentSid", "MediaUrl"}:
            fields["Body"] = "At nine"
        form = {**form, **fields}
        shown = {name: value for name, value in form.items() if value is not None}
        return await self.ask("POST", f"{BASE}/Messages.json", data=shown)

    async def refused(self, **fields):
        """Return the code of a message that is refused."""
        status, body = await self.send(**fields)
        assert status == body["status"] == 400, body
        return body["code"]

    async def content(self, kind, fields, **more):
        """Create a Content resource."""
        body = {"language": "en", "types": {kind: fields}, **more}
        return await self.ask("POST", "/v1/Content", json=body)


@asynccontextmanager
async def desk(writes=True, **options):
    """Open a desk; the writer has written, so that the window is open."""
    async with (
        MessagingApi(senders={BUSINESS}, **options) as api,
        MessageBridge() as bridge,
        Writer(api, bridge.url) as writer,
        ClientSession() as http,
    ):
        api.connect(bridge.url)
        if writes:
            await writer.write("Hello")
        yield Desk(api, bridge, writer, http)


def run(story):
    """Run a test's coroutine to its end, within a time limit."""
    return asyncio.run(asyncio.wait_for(story, 20))
