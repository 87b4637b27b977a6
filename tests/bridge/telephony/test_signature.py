"""Twilio's signature: the published vector, the reference's vectors, and refusals."""

from hashlib import sha256
from urllib.parse import urlsplit

import pytest
from hypothesis import given, strategies as st
from twilio.request_validator import RequestValidator, get_signature_algorithm

from bridge.settings import signing
from bridge.settings.signing import SigningSecrets
from bridge.telephony import signature
from bridge.telephony.signature import Claim

TOKEN = "12345"
OURS = SigningSecrets((TOKEN,))
ACCOUNT, SUBACCOUNT = "AC" + "0" * 32, "AC" + "1" * 32
KEY, KEY_SECRET = "webhooks_sharedkey_01", "s3cret+/="
BY_KEY = f"key={KEY},algorithm=HMAC_SHA256"


def is_valid_form(url, params, signed, secrets=OURS):
    return signature.signed_params(secrets, url, params, Claim(signed)) is not None


def is_valid_handshake(url, signed, secrets=OURS):
    return signature.is_valid_handshake(secrets, url, Claim(signed))


PUBLISHED_URL = "https://example.com/myapp.php?foo=1&bar=2"
PUBLISHED_PARAMS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675310"),
    ("Digits", "1234"),
    ("From", "+14158675310"),
    ("To", "+18005551212"),
]
BLANKS_URL = "https://bridge.example.com/voice?tenant=a"
BLANKS_PARAMS = [
    ("AccountSid", "AC" + "0" * 32),
    ("Body", ""),
    ("CallSid", "CA" + "1" * 32),
    ("CallerCity", ""),
    ("From", "+15551230000"),
    ("To", "+15551239999"),
]


def test_published_vector_is_signed_alike():
    signed = signature.sign(TOKEN, PUBLISHED_URL, PUBLISHED_PARAMS)

    assert signed == "L/OH5YylLD5NRKLltdqwSvS0BnU="


def test_order_of_parameters_does_not_matter():
    assert is_valid_form(
        PUBLISHED_URL, PUBLISHED_PARAMS[::-1], "L/OH5YylLD5NRKLltdqwSvS0BnU="
    )


def test_empty_parameters_count():
    right, blanks_dropped = (
        "6NE2IQ9bUXqUkACnqdi+B7Cv05A=",
        "fsmZtwV0TMEH+Ud5/GUJ2eVuEp8=",
    )

    assert is_valid_form(BLANKS_URL, BLANKS_PARAMS, right)
    assert not is_valid_form(BLANKS_URL, BLANKS_PARAMS, blanks_dropped)


def test_repeated_parameter_counts_once_per_distinct_value():
    once = [("A", "1"), ("A", "2")]
    again = [("A", "2"), ("A", "1"), ("A", "2")]

    assert signature.sign(TOKEN, BLANKS_URL, once) == signature.sign(
        TOKEN, BLANKS_URL, again
    )


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("wss://bridge.example.com/media", "ASGyPT9kdDVOm79OxfQnw7HcSP8="),
        ("wss://bridge.example.com/media", "s8PR4IzGlCW8C4hFit29c/IbuH8="),
        ("wss://bridge.example.com/media/", "ASGyPT9kdDVOm79OxfQnw7HcSP8="),
    ],
)
def test_handshake_is_accepted_with_and_without_slash(url, signed):
    assert is_valid_handshake(url, signed)


def test_handshake_signed_as_https_is_refused():
    signed = "k+bG+9TKzlwcKoVkEifGbIQQ/mM="
    url = "wss://bridge.example.com/media"

    assert signature.sign(TOKEN, "https://bridge.example.com/media") == signed
    assert not is_valid_handshake(url, signed)


def test_handshake_with_a_query_is_refused():
    url = "wss://bridge.example.com/media?x=1"

    assert not is_valid_handshake(url, signature.sign(TOKEN, url))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("wss://host.example/media", "wss://host.example:443/media"),
        ("wss://host.example:443/media", "wss://host.example/media"),
        ("wss://host.example/media", "wss://host.example:443/media/"),
    ],
)
def test_handshake_is_accepted_with_the_default_port_named_or_not(ours, theirs):
    signed = signature.sign(TOKEN, theirs)

    assert is_valid_handshake(ours, signed)


def test_another_port_must_be_the_one_signed():
    signed = signature.sign(TOKEN, "https://host.example:8443/voice")

    assert is_valid_form("https://host.example:8443/voice", (), signed)
    assert not is_valid_form("https://host.example/voice", (), signed)


def test_body_is_valid_when_its_hash_is_the_one_in_the_url():
    body = b'{"a":1}'
    url = f"https://host.example/x?bodySHA256={sha256(body).hexdigest()}"
    signed = signature.sign(TOKEN, url)

    claim = Claim(signed)
    assert signature.is_valid_body(OURS, url, body, claim)
    assert not signature.is_valid_body(OURS, url, b'{"a":2}', claim)
    assert not signature.is_valid_body(OURS, url, body, Claim(signed[:-2] + "A="))
    assert not signature.is_valid_body(OURS, "https://host.example/x", body, claim)


@pytest.mark.parametrize("forged", ["", "x", "é" * 28, "A" * 10_000, "\udcff"])
def test_any_text_for_a_signature_is_refused_quietly(forged):
    assert not is_valid_form(BLANKS_URL, BLANKS_PARAMS, forged)
    assert not is_valid_handshake("wss://h.example/m", forged)


# --- shared keys, several secrets, subaccounts ---


def test_request_that_names_a_key_is_checked_by_that_key_alone():
    secrets = SigningSecrets((TOKEN,), shared_keys={KEY: ("old", KEY_SECRET)})
    by_key = signature.sign(KEY_SECRET, BLANKS_URL, BLANKS_PARAMS, "sha256")
    by_old = signature.sign("old", BLANKS_URL, BLANKS_PARAMS, "sha256")
    by_token = signature.sign(TOKEN, BLANKS_URL, BLANKS_PARAMS)
    by_key_sha1 = signature.sign(KEY_SECRET, BLANKS_URL, BLANKS_PARAMS)

    def accepts(signed, settings):
        claim = Claim(signed, settings)
        got = signature.signed_params(secrets, BLANKS_URL, BLANKS_PARAMS, claim)
        return got == BLANKS_PARAMS

    assert accepts(by_key, BY_KEY)
    assert accepts(by_old, f" algorithm=hmac_sha256 , key={KEY} ")
    assert not accepts(by_key, "key=another,algorithm=HMAC_SHA256")
    assert not accepts(by_key, "")
    for settings in (BY_KEY, f"key={KEY}", f"key={KEY},algorithm=HMAC_SHA1"):
        assert not accepts(by_token, settings)
        assert not accepts(by_key_sha1, settings)
    for settings in ("algorithm=HMAC_MD5", f"key={KEY},algorithm=HMAC_SHA512"):
        assert not accepts(by_token, settings)
        assert not accepts(by_key, settings)
    assert accepts(by_token, "")
    assert accepts(by_token, "algorithm=HMAC_SHA1")


def test_key_signs_a_handshake_too():
    secrets = SigningSecrets((TOKEN,), shared_keys={KEY: (KEY_SECRET,)})
    url = "wss://bridge.example.com/media"
    signed = signature.sign(KEY_SECRET, url, algorithm="sha256")

    assert signature.is_valid_handshake(secrets, url, Claim(signed, BY_KEY))
    assert signature.is_valid_handshake(secrets, url, Claim(signature.sign(TOKEN, url)))
    assert not signature.is_valid_handshake(
        secrets, url, Claim(signature.sign(TOKEN, url), BY_KEY)
    )


def test_every_token_of_a_rotation_is_good():
    secrets = SigningSecrets(("new", "old"))
    for token, is_good in (("new", True), ("old", True), ("older", False)):
        signed = signature.sign(token, BLANKS_URL, BLANKS_PARAMS)
        assert is_valid_form(BLANKS_URL, BLANKS_PARAMS, signed, secrets) is is_good


@pytest.mark.parametrize("account", [ACCOUNT, SUBACCOUNT])
def test_subaccount_signs_with_its_own_token_and_for_itself_alone(account):
    secrets = SigningSecrets(("main",), {SUBACCOUNT: ("sub", "sub2")})
    params = [("AccountSid", account), ("CallSid", "CA1")]

    def accepts(token):
        signed = signature.sign(token, BLANKS_URL, params)
        return is_valid_form(BLANKS_URL, params, signed, secrets)

    is_sub = account == SUBACCOUNT
    assert accepts("main") is not is_sub
    assert accepts("sub") is is_sub
    assert accepts("sub2") is is_sub
    url = "wss://bridge.example.com/media"
    for token in ("main", "sub", "sub2"):
        assert is_valid_handshake(url, signature.sign(token, url), secrets)


def test_without_any_secret_nothing_is_valid():
    nothing = SigningSecrets()

    assert not is_valid_form(BLANKS_URL, (), signature.sign("", BLANKS_URL), nothing)
    url = "wss://bridge.example.com/media"
    assert not is_valid_handshake(url, signature.sign("", url), nothing)


def test_parameters_that_came_outside_the_signature_are_given_up():
    params = [*BLANKS_PARAMS, ("CallToken", "{}"), ("StirVerstat", "x")]
    inside = Claim(signature.sign(TOKEN, BLANKS_URL, params))
    outside = Claim(signature.sign(TOKEN, BLANKS_URL, BLANKS_PARAMS))
    one_outside = Claim(signature.sign(TOKEN, BLANKS_URL, params[:-1]))

    assert signature.signed_params(OURS, BLANKS_URL, params, inside) == params
    assert signature.signed_params(OURS, BLANKS_URL, params, outside) == BLANKS_PARAMS
    assert signature.signed_params(OURS, BLANKS_URL, params, one_outside) is None
    forged = [*params, ("From", "+15559999999")]
    assert signature.signed_params(OURS, BLANKS_URL, forged, outside) is None


def test_secrets_are_read_by_name():
    assert signing.by_name("") == {}
    assert signing.by_name("a=1,b=2=,a=3") == {"a": ("1", "3"), "b": ("2=",)}


# --- Twilio's own library as the judge ---

HOSTS = st.sampled_from(["bridge.example", "bridge.example:443", "b.example:8443"])
PATHS = st.sampled_from(["", "/x", "/x?", "/x?a=1&b", "/x;y?q=%20"])
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PARAMS = st.dictionaries(WORDS, WORDS, max_size=6)
SETTINGS = st.sampled_from(
    ["", ",", "algorithm=", "algorithm=HMAC_SHA1", "algorithm=hmac_sha256",
     "algorithm=HMAC_SHA256", "x=1,algorithm=HMAC_SHA1", "algorithm=MD5"]
)  # fmt: skip


def signed_hosts(url):
    """The URL as Twilio may have signed it, and as it may not."""
    parts = urlsplit(url)
    for port in ("", ":443", ":80", ":8443", ":1"):
        yield parts._replace(netloc=f"{parts.hostname}{port}").geturl()


@given(HOSTS, PATHS, PARAMS, SETTINGS, st.sampled_from(["https", "http"]))
def test_the_library_and_we_accept_alike(host, path, params, settings, scheme):
    url = f"{scheme}://{host}{path}"
    judge, algorithm = RequestValidator(TOKEN), get_signature_algorithm(settings)
    for form in {url, *signed_hosts(url)}:
        for digest in ("sha1", "sha256"):
            signed = signature.sign(TOKEN, form, params.items(), digest)
            claim = Claim(signed, settings)
            ours = signature.signed_params(OURS, url, params.items(), claim)

            theirs = judge.validate(url, params, signed, algorithm)
            assert (ours is not None) is theirs, (url, form, settings)


@given(HOSTS, PARAMS, st.binary(min_size=1, max_size=3), st.data())
def test_a_signature_with_a_bit_changed_is_refused(host, params, noise, data):
    url = f"https://{host}/twilio/voice"
    signed = signature.sign(TOKEN, url, params.items())
    at = data.draw(st.integers(0, len(signed) - 1))
    forged = signed[:at] + noise.hex() + signed[at + len(noise.hex()) :]

    judge = RequestValidator(TOKEN).validate(url, params, forged)
    assert is_valid_form(url, params.items(), forged) is judge
