"""An OpenID Connect provider over loopback, for the tests of the login by one."""

import asyncio
import base64
import hashlib
from collections import Counter
from contextlib import asynccontextmanager
from time import time

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT = {"oidc_client_id": "us", "oidc_client_secret": "shh"}


KEY, OTHER_KEY = (RSAKey.generate_key(2_048, {"kid": "first"}) for _ in range(2))


NEXT_KEY = ECKey.generate_key("P-256", {"kid": "second"})


# A key of a kind that nobody knows yet: the others must still be of use.
ODD_KEY = {"kty": "LATTICE", "kid": "odd", "x": "AA"}


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class FakeProvider:
    """An OpenID Connect provider over loopback, as strict as one.

    `claims` overrides what it says; `answers` has the body, or the status, that a page
    answers in the place of its own.
    """

    def __init__(self):
        self.claims = {}
        self.metadata = {}
        self.asked = {}
        self.answers = {}
        self.late_s = {}
        self.count = Counter()
        self.problems = []
        self.issuer = ""
        self.key = KEY
        self.published = [KEY.as_dict(private=False)]
        self.alg = "RS256"
        self.sign = None

    async def answer(self, name, body):
        self.count[name] += 1
        await asyncio.sleep(self.late_s.get(name, 0))
        given = self.answers.get(name, body)
        if isinstance(given, int):
            return web.Response(status=given)
        if isinstance(given, bytes):
            return web.Response(body=given)
        return web.json_response(given)

    async def page(self, request):
        made = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **self.metadata,
        }
        return await self.answer("page", made)

    async def keys(self, request):
        return await self.answer("keys", {"keys": self.published})

    async def token(self, request):
        form = dict(await request.post())
        challenge = encoded(hashlib.sha256(form["code_verifier"].encode()).digest())
        self.check(request, form)
        if challenge != self.asked["code_challenge"] or form["code"] != "the-code":
            return web.Response(status=400)
        claims = {
            "iss": self.issuer,
            "sub": "248289761001",
            "aud": "us",
            "exp": int(time()) + 60,
            "iat": int(time()),
            "nonce": self.asked["nonce"],
            "email_verified": True,
            **self.claims,
        }
        claims = {name: one for name, one in claims.items() if one is not None}
        token = (self.sign or self.signed)(claims)
        return await self.answer("token", {"id_token": token, "token_type": "Bearer"})

    def check(self, request, form):
        """Note what RFC 6749 does not allow."""
        methods = self.metadata.get("token_endpoint_auth_methods_supported")
        own = {}
        if methods is None:
            if request.headers.get("Authorization") != "Basic " + "dXM6c2ho":
                self.problems.append("expected the client's secret in the header")
        else:
            own = {"client_id": "us", "client_secret": "shh"}
        wanted = {"grant_type": "authorization_code", **own}
        wanted["redirect_uri"] = self.asked["redirect_uri"]
        if {**wanted, **form} != form or len(form) != len(wanted) + 2:
            self.problems.append(f"expected {wanted}, a code and its verifier")

    def signed(self, claims):
        header = {"alg": self.alg, "kid": self.key.kid}
        return jwt.encode(header, claims, self.key, algorithms=[self.alg])


@asynccontextmanager
async def provided():
    provider = FakeProvider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.page)
    app.router.add_get("/keys", provider.keys)
    app.router.add_post("/token", provider.token)
    # A client that gives up ends its request.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    provider.issuer = f"http://127.0.0.1:{port}"
    try:
        yield provider
    finally:
        await runner.cleanup()
