"""The pages of the login by a provider: whom they log in, and where they are."""

import asyncio
import subprocess
import sys
from urllib.parse import parse_qsl, urlsplit

import pytest

from bridge.settings.process import SettingsError, load
from crm import accounts
from tests.bridge.console.conftest import add_user
from tests.bridge.console.provider import CLIENT, provided


async def begin(at, provider, path="/console/oidc"):
    """Go to the provider; return the query that it would be asked with."""
    status, _ = await at.nobody.get(path)
    assert status == 303
    where = urlsplit(at.nobody.headers["Location"])
    assert where.path == "/authorize"
    provider.asked = dict(parse_qsl(where.query))
    assert provider.asked["code_challenge_method"] == "S256"
    assert provider.asked["scope"] == "openid email"
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
            assert provider.problems == []

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


def test_a_stranger_is_not_logged_in(desk):
    async def story(at, provider, login):
        asked = await begin(at, provider)
        back = f"/console/oidc/back?code=the-code&state={asked['state']}"
        assert (await at.nobody.get(back))[0] == 401
        assert (await at.nobody.get(at.path("")))[0] == 303

    run(story, desk, email="stranger@example.com")


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


def test_an_attempt_that_is_no_text_is_none(desk, caplog):
    async def story(at, provider, login):
        for kept in (b"\xff|b|c|/", b"a|\xff|c|/", b"a|b|\xff|/"):
            data = b"GET /console/oidc/back?code=x&state=a HTTP/1.1\r\nHost: x\r\n"
            cookie = b"Cookie: kolbridge_oidc=" + kept
            status, _ = await at.service.request(data + cookie + b"\r\n\r\n")
            assert status == 401
        assert "Traceback" not in caplog.text

    run(story, desk)


def test_a_disabled_account_stays_closed(desk):
    async def story(at, provider, login):
        user = await accounts.find(at.database, login)
        await accounts.disable(at.database, user.id)
        asked = await begin(at, provider)
        back = f"/console/oidc/back?code=the-code&state={asked['state']}"
        assert (await at.nobody.get(back))[0] == 401

    run(story, desk)


def test_a_provider_that_is_away_refuses_the_login_and_nothing_else(desk, caplog):
    async def story():
        async with desk(oidc_issuer="http://127.0.0.1:9", **CLIENT) as at:
            assert (await at.nobody.get("/console/oidc"))[0] == 401
            # The console serves all others.
            assert (await at.nobody.get("/console/login"))[0] == 200

    asyncio.run(story())

    assert "the provider's login failed: ClientConnectorError" in caplog.text


def test_authlib_is_imported_only_where_a_provider_is_set():
    program = (
        "import sys, bridge.service.server, bridge.console.application\n"
        "print([name for name in sys.modules if name in ('authlib', 'joserfc')])"
    )
    found = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True
    )

    assert found.stdout == "[]\n"


def test_calls_are_taken_without_authlib_and_the_log_says_what_lacks(
    desk, monkeypatch, caplog
):
    async def story():
        async with desk(oidc_issuer="https://id.example", **CLIENT) as at:
            assert at.nobody is not None

    monkeypatch.setitem(sys.modules, "authlib", None)
    with caplog.at_level("INFO"), pytest.raises(AssertionError):
        asyncio.run(story())

    assert "there is no console: authlib is not installed" in caplog.text


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
