"""The login by a provider: what its answers must say before anybody is logged in."""

import asyncio
import base64
import hashlib
from contextlib import asynccontextmanager
from time import time
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from aiohttp import web

from bridge.settings.process import SettingsError, load
from crm import accounts
from tests.bridge.console.conftest import add_user

CLIENT = {"oidc_client_id": "us", "oidc_client_secret": "shh"}


class FakeProvider:
    """An OpenID Connect provider over loopback; `claims` overrides what it says."""

    def __init__(self):
        self.claims = {}
        self.metadata = {}
        self.asked = {}
        self.status = 200
        self.issuer = ""

    async def page(self, request):
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                **self.metadata,
            }
        )

    async def token(self, request):
        form = await request.post()
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if challenge != self.asked["code_challenge"] or form["code"] != "the-code":
            return web.Response(status=400)
        assert form["client_secret"] == "shh"
        claims = {
            "iss": self.issuer,
            "aud": "us",
            "exp": time() + 60,
            "nonce": self.asked["nonce"],
            "email_verified": True,
            **self.claims,
        }
        body = base64.urlsafe_b64encode(orjson.dumps(claims)).decode().rstrip("=")
        return web.json_response({"id_token": f"e30.{body}.x"}, status=self.status)


@asynccontextmanager
async def provided():
    provider = FakeProvider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.page)
    app.router.add_post("/token", provider.token)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    provider.issuer = f"http://127.0.0.1:{port}"
    try:
        yield provider
    finally:
        await runner.cleanup()


async def begin(at, provider, path="/console/oidc"):
    """Go to the provider; return the query that it would be asked with."""
    status, _ = await at.nobody.get(path)
    assert status == 303
    where = urlsplit(at.nobody.headers["Location"])
    assert where.path == "/authorize"
    provider.asked = dict(parse_qsl(where.query))
    return provider.asked


def run(story, desk, **claims):
    async def main():
        async with (
            provided() as provider,
            desk(oidc_issuer=provider.issuer, **CLIENT) as at,
        ):
            login = await add_user(at.database, "owner", at.ours)
            provider.claims = {"email": login.upper(), **claims}
            await story(at, provider, login)

    asyncio.run(main())


def test_the_provider_s_user_is_logged_in_to_the_page_asked_for(desk):
    async def story(at, provider, login):
        _, text = await at.nobody.get("/console/login")
        assert "Log in by 127.0.0.1" in text
        asked = await begin(at, provider, f"/console/oidc?next={at.path('audit')}")
        assert asked["redirect_uri"] == f"{at.server.public_url}/console/oidc/back"
        back = f"/console/oidc/back?code=the-code&state={asked['state']}"
        assert (await at.nobody.get(back))[0] == 303
        assert at.nobody.headers["Location"] == at.path("audit")
        assert (await at.nobody.get(at.path("audit")))[0] == 200
        # Neither the code nor the attempt is good for another session.
        assert (await at.new_browser().get(back))[0] == 401

    run(story, desk)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"aud": "others"},
        {"aud": ["us", "others"], "azp": "others"},
        {"exp": 1.0},
        {"nonce": "another"},
        {"email_verified": False},
        {"email": ""},
        {"email": "stranger@example.com"},
        {"email": 5},
    ],
    ids=str,
)
def test_who_is_not_named_rightly_is_not_logged_in(desk, claims):
    async def story(at, provider, login):
        asked = await begin(at, provider)
        back = f"/console/oidc/back?code=the-code&state={asked['state']}"
        assert (await at.nobody.get(back))[0] == 401
        assert (await at.nobody.get(at.path("")))[0] == 303

    run(story, desk, **claims)


def test_an_answer_that_nobody_here_asked_for_opens_nothing(desk):
    async def story(at, provider, login):
        asked = await begin(at, provider)
        for query in (
            "code=the-code&state=another",
            "code=the-code",
            f"state={asked['state']}",
            f"error=access_denied&state={asked['state']}",
            f"code=wrong&state={asked['state']}",
        ):
            assert (await at.nobody.get(f"/console/oidc/back?{query}"))[0] == 401
        assert at.server.metrics.value("console_logins", outcome="refused") == 5

    run(story, desk)


def test_a_disabled_account_stays_closed(desk):
    async def story(at, provider, login):
        user = await accounts.find(at.database, login)
        await accounts.disable(at.database, user.id)
        asked = await begin(at, provider)
        back = f"/console/oidc/back?code=the-code&state={asked['state']}"
        assert (await at.nobody.get(back))[0] == 401

    run(story, desk)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example"},
        {"token_endpoint": "http://other.example/token"},
        {"authorization_endpoint": None},
    ],
    ids=str,
)
def test_a_provider_s_page_that_is_not_its_own_is_refused(desk, metadata):
    async def story(at, provider, login):
        provider.metadata = metadata
        assert (await at.nobody.get("/console/oidc"))[0] == 401

    run(story, desk)


def test_without_a_provider_there_is_no_such_page(desk):
    async def story():
        async with desk() as at:
            assert (await at.nobody.get("/console/oidc"))[0] == 404
            _, text = await at.nobody.get("/console/login")
            assert "Log in by" not in text

    asyncio.run(story())


def test_the_provider_s_settings_belong_together():
    with pytest.raises(SettingsError, match="OIDC_CLIENT_SECRET to be set"):
        load({"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "us"})
    with pytest.raises(SettingsError, match="OIDC_ISSUER"):
        load({name.upper(): "x" for name in CLIENT} | {"OIDC_ISSUER": "http://id.x"})
