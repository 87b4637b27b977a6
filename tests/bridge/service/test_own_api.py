"""The API and the feeds on the service's own port, beside Twilio's webhooks."""

import asyncio

from aiohttp import ClientSession

from crm import access_tokens, notices
from tests.bridge.running_service import served


def test_api_and_feeds_are_below_the_port(embedded_url, tmp_path):
    async def story():
        async with served(embedded_url, tmp_path) as service, ClientSession() as http:
            db, whose = service.database, service.business_id
            base = f"http://127.0.0.1:{service.server.port}"
            made = await access_tokens.make(db, whose, "api", "x", ("read", "write"))
            headers = {"Authorization": f"Bearer {made.secret}"}
            body = {"kind": "email", "target": "dana@example.com"}
            url = f"{base}/api/v1/notices/endpoints"
            async with http.post(url, json=body, headers=headers) as answer:
                assert answer.status == 201
            async with http.post(url, json=body) as answer:
                assert answer.status == 401
            async with http.get(f"{base}/api/v1/openapi.json") as answer:
                document = await answer.json()
                assert document["servers"] == [{"url": f"{base}/api/v1"}]
            assert len(await notices.endpoints(db, whose)) == 1
            feed = await access_tokens.make(db, whose, "feed", "Salon")
            async with http.get(f"{base}/feeds/{feed.secret}.ics") as answer:
                assert answer.content_type == "text/calendar"
            for path in ("/feeds/x", "/api/v2", "/api/v1/x"):
                async with http.post(base + path, data=b"x" * 99) as answer:
                    assert answer.status == 404

    asyncio.run(story())
