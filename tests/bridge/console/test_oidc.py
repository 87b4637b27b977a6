"""The login by a provider: what its answers must say before anybody is logged in."""

import asyncio
from time import time
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from bridge.console import oidc
from bridge.settings.process import Settings
from tests.bridge.console.provider import (
    CLIENT,
    KEY,
    NEXT_KEY,
    ODD_KEY,
    OTHER_KEY,
    encoded,
    provided,
)

REDIRECT = "https://voice.example/console/oidc/back"


DANA = "dana@example.com"


def tried(story):
    """Run a story of a provider and our client of it, without the console."""

    async def main():
        async with provided() as provider:
            settings = Settings(oidc_issuer=provider.issuer, **CLIENT)
            provider.claims = {"email": DANA}
            await story(provider, oidc.Provider(settings, REDIRECT))
            assert provider.problems == []

    asyncio.run(main())


async def log_in(provider, ours):
    """Log in by the provider; return whom it names, or why nobody is logged in."""
    attempt = oidc.new_attempt()
    try:
        where = urlsplit(await ours.url_of(attempt))
        provider.asked = dict(parse_qsl(where.query))
        return await ours.email_of("the-code", attempt, time())
    except oidc.OidcError as error:
        return error


CLAIMS = (
    ({"iss": "https://other.example"}, "InvalidClaimError iss"),
    ({"aud": "others"}, "InvalidClaimError aud"),
    ({"aud": ["others"]}, "InvalidClaimError aud"),
    ({"aud": ["us", "others"]}, "MissingClaimError azp"),
    ({"aud": ["us", "others"], "azp": "others"}, "InvalidClaimError azp"),
    ({"exp": 1}, "ExpiredTokenError exp"),
    ({"exp": None}, "MissingClaimError exp"),
    ({"exp": "soon"}, "InvalidClaimError exp"),
    ({"iat": None}, "MissingClaimError iat"),
    ({"sub": None}, "MissingClaimError sub"),
    ({"nbf": 4_000_000_000}, "InvalidClaimError nbf"),
    ({"nonce": "another"}, "InvalidClaimError nonce"),
    ({"nonce": None}, "MissingClaimError nonce"),
    ({"nonce": 5}, "InvalidClaimError nonce"),
    ({"email_verified": False}, "email is not verified"),
    ({"email_verified": None}, "email is not verified"),
    ({"email": ""}, "email is not verified"),
    ({"email": 5}, "email is not verified"),
)


@pytest.mark.parametrize(("claims", "why"), CLAIMS, ids=str)
def test_who_is_not_named_rightly_is_nobody(claims, why):
    async def story(provider, ours):
        provider.claims |= claims
        found = await log_in(provider, ours)
        assert isinstance(found, oidc.OidcError), found
        assert why in str(found)

    tried(story)


def test_claims_of_a_clock_that_differs_a_little_are_taken():
    async def story(provider, ours):
        provider.claims |= {"exp": int(time()) - 30, "iat": int(time()) + 30}
        assert await log_in(provider, ours) == DANA

    tried(story)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example"},
        {"token_endpoint": "http://other.example/token"},
        {"authorization_endpoint": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://other.example/keys"},
    ],
    ids=str,
)
def test_a_provider_s_page_that_is_not_its_own_is_refused(metadata):
    async def story(provider, ours):
        provider.metadata = metadata
        assert isinstance(await log_in(provider, ours), oidc.OidcError)
        assert provider.count["token"] == 0

    tried(story)


def unsigned(claims):
    return f"{encoded(orjson.dumps({'alg': 'none'}))}.{encoded(orjson.dumps(claims))}."


def symmetric(secret):
    """Sign with what everybody knows, as if it were a shared secret."""

    def sign(claims):
        key = OctKey.import_key(secret)
        header = {"alg": "HS256", "kid": "first"}
        return jwt.encode(header, claims, key, algorithms=["HS256"])

    return sign


def by_another_key(claims):
    header = {"alg": "RS256", "kid": "first"}
    return jwt.encode(header, claims, OTHER_KEY)


def changed(claims):
    header, _, signature = jwt.encode(
        {"alg": "RS256", "kid": "first"}, {**claims, "email": "x@example.com"}, KEY
    ).split(".")
    return f"{header}.{encoded(orjson.dumps(claims))}.{signature}"


def of_no_known_key(claims):
    return jwt.encode({"alg": "RS256", "kid": "stranger"}, claims, KEY)


@pytest.mark.parametrize(
    "sign",
    [
        unsigned,
        symmetric("shh-that-is-long-enough-for-a-key"),
        symmetric(KEY.as_pem(private=False)),
        by_another_key,
        changed,
        of_no_known_key,
        lambda claims: "a.b",
        lambda claims: "a.b.c",
        lambda claims: "a.b.c.d.e",
        lambda claims: "",
        lambda claims: "\u00e9.x.y",
        lambda claims: encoded(orjson.dumps({"alg": "RS256"})) + ".W10.x",
    ],
)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_token_that_the_provider_has_not_signed_opens_nothing(sign):
    async def story(provider, ours):
        provider.sign = sign
        assert isinstance(await log_in(provider, ours), oidc.OidcError)
        provider.sign = None
        assert await log_in(provider, ours) == DANA

    tried(story)


def test_an_algorithm_that_the_provider_does_not_use_is_refused():
    async def story(provider, ours):
        provider.alg = "RS512"
        assert isinstance(await log_in(provider, ours), oidc.OidcError)

    tried(story)


def test_keys_that_change_are_read_again_and_the_old_one_opens_nothing(monkeypatch):
    async def story(provider, ours):
        provider.metadata = {
            "id_token_signing_alg_values_supported": ["RS256", "ES256"]
        }
        assert await log_in(provider, ours) == DANA
        assert await log_in(provider, ours) == DANA
        assert provider.count["keys"] == 1
        provider.key, provider.alg = NEXT_KEY, "ES256"
        provider.published = [ODD_KEY, NEXT_KEY.as_dict(private=False)]
        # They were read a moment ago: nobody can have them read at each try.
        assert isinstance(await log_in(provider, ours), oidc.OidcError)
        assert provider.count["keys"] == 1
        monkeypatch.setattr(oidc, "KEYS_AGAIN_S", 0.0)
        assert await log_in(provider, ours) == DANA
        assert provider.count["keys"] == 2
        provider.key, provider.alg = KEY, "RS256"
        assert isinstance(await log_in(provider, ours), oidc.OidcError)

    tried(story)


def test_a_provider_with_one_key_need_not_name_it():
    async def story(provider, ours):
        provider.sign = lambda claims: jwt.encode({"alg": "RS256"}, claims, KEY)
        assert await log_in(provider, ours) == DANA

    tried(story)


@pytest.mark.parametrize("page", ["page", "keys", "token"])
@pytest.mark.parametrize(
    "answer", [500, 302, b"<html>", b"[]", b'"' + b"x" * 70_000 + b'"', b"\xff"]
)
def test_a_broken_answer_refuses_the_login_and_no_later_one(page, answer):
    async def story(provider, ours):
        provider.answers = {page: answer}
        assert isinstance(await log_in(provider, ours), oidc.OidcError)
        provider.answers = {}
        assert await log_in(provider, ours) == DANA

    tried(story)


@pytest.mark.parametrize("page", ["page", "keys", "token"])
def test_a_provider_that_is_slow_is_given_up_in_time(page, monkeypatch):
    async def story(provider, ours):
        monkeypatch.setattr(oidc, "ANSWER_WAIT_S", 0.1)
        provider.late_s = {page: 30}
        async with asyncio.timeout(30):
            assert isinstance(await log_in(provider, ours), oidc.OidcError)

    tried(story)


def test_the_secret_goes_into_the_form_where_the_provider_takes_it_there():
    async def story(provider, ours):
        methods = ["client_secret_post", "client_secret_basic"]
        provider.metadata = {"token_endpoint_auth_methods_supported": methods}
        assert await log_in(provider, ours) == DANA

    tried(story)


def test_nothing_of_a_token_is_in_what_is_logged():
    async def story(provider, ours):
        provider.claims |= {"nonce": "a-secret", "email": "secret@example.com"}
        found = await log_in(provider, ours)
        assert str(found) == "the ID token: InvalidClaimError nonce"

    tried(story)
