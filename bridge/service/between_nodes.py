"""Between nodes: how the console of one node asks another for its calls and their
recordings.

A request is signed with the first auth token of the settings, which every node has. The
signature covers the whole URL: for what is asked, when, and a number used once. An old
request, or one that comes again, is refused.
"""

import hmac
import secrets
from time import time
from urllib.parse import parse_qs, urlencode, urlsplit

from bridge.settings.process import Settings
from bridge.telephony import signature

# Balancers lead what is below /twilio/ to the node that a path names.
PREFIX = "/twilio/nodes/"
LIVE_PATH = f"{PREFIX}live"
LINE_PATH = f"{PREFIX}line"
RECORDINGS_PATH = f"{PREFIX}recordings"
RECORDING_PATH = f"{PREFIX}recording"
SIGNATURE = "X-Kolbridge-Signature"
# Clocks of nodes may differ by seconds.
FRESH_S = 30.0
# How many numbers are remembered until their requests are old. With more requests than
# this in 2 * FRESH_S, new ones are refused.
SEEN_MAX = 50_000
_NONCE_BYTES = 16


class BetweenNodes:
    """Signs the requests of this node, and checks those of others."""

    def __init__(self, settings: Settings, public_url: str) -> None:
        self._tokens = settings.signing_secrets.auth_tokens
        self._public_url = public_url
        # The numbers of checked requests, and until when each is remembered.
        self._seen: dict[str, float] = {}

    @property
    def is_possible(self) -> bool:
        """Whether nodes have a secret in common."""
        return bool(self._tokens)

    def signed(self, path: str, **asked: str) -> tuple[str, dict[str, str]]:
        """Return a request's path with its query, and its header."""
        query = {**asked, "at": f"{time():.0f}"}
        query["nonce"] = secrets.token_hex(_NONCE_BYTES)
        target = f"{path}?{urlencode(query)}"
        return target, {SIGNATURE: self._sign(self._tokens[0], target)}

    def refusal_of(self, target: str, given: str) -> str:
        """Return why a request is refused; "" if another node asks for `target`, a path
        with its query, and for the first time. `given` is its header."""
        own = (self._sign(token, target) for token in self._tokens)
        signed = given.encode("utf-8", "surrogateescape")
        if not any([hmac.compare_digest(signed, one.encode()) for one in own]):
            return "PUBLIC_URL or the auth tokens differ"
        query = parse_qs(urlsplit(target).query)
        at, nonce = query.get("at", [""])[0], query.get("nonce", [""])[0]
        if not at.isdecimal():
            return "it has no time"
        now = time()
        if abs(now - int(at)) > FRESH_S:
            return f"the clocks differ by {abs(now - int(at)):.0f} s"
        if nonce in self._seen:
            return "it came before"
        self._forget(now)
        if len(self._seen) >= SEEN_MAX:
            return "too many came"
        self._seen[nonce] = now + 2 * FRESH_S
        return ""

    def _sign(self, token: str, target: str) -> str:
        # The name keeps these apart from what Twilio signs with the same token.
        return signature.sign(token, f"node {self._public_url}{target}", (), "sha256")

    def _forget(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest] > now:
                return
            del self._seen[oldest]
