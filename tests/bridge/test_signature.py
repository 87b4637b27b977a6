"""Twilio's signature: the published vector, the reference's vectors, and refusals."""

from hashlib import sha256

import pytest

from bridge import signature

TOKEN = "12345"
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
    assert signature.is_valid_form(
        TOKEN, PUBLISHED_URL, PUBLISHED_PARAMS[::-1], "L/OH5YylLD5NRKLltdqwSvS0BnU="
    )


def test_empty_parameters_count():
    right, blanks_dropped = (
        "6NE2IQ9bUXqUkACnqdi+B7Cv05A=",
        "fsmZtwV0TMEH+Ud5/GUJ2eVuEp8=",
    )

    assert signature.is_valid_form(TOKEN, BLANKS_URL, BLANKS_PARAMS, right)
    assert not signature.is_valid_form(TOKEN, BLANKS_URL, BLANKS_PARAMS, blanks_dropped)


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
    assert signature.is_valid_handshake(TOKEN, url, signed)


def test_handshake_signed_as_https_is_refused():
    signed = "k+bG+9TKzlwcKoVkEifGbIQQ/mM="
    url = "wss://bridge.example.com/media"

    assert signature.sign(TOKEN, "https://bridge.example.com/media") == signed
    assert not signature.is_valid_handshake(TOKEN, url, signed)


def test_handshake_with_a_query_is_refused():
    url = "wss://bridge.example.com/media?x=1"

    assert not signature.is_valid_handshake(TOKEN, url, signature.sign(TOKEN, url))


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

    assert signature.is_valid_handshake(TOKEN, ours, signed)


def test_another_port_must_be_the_one_signed():
    signed = signature.sign(TOKEN, "https://host.example:8443/voice")

    assert signature.is_valid_form(TOKEN, "https://host.example:8443/voice", (), signed)
    assert not signature.is_valid_form(TOKEN, "https://host.example/voice", (), signed)


def test_body_is_valid_when_its_hash_is_the_one_in_the_url():
    body = b'{"a":1}'
    url = f"https://host.example/x?bodySHA256={sha256(body).hexdigest()}"
    signed = signature.sign(TOKEN, url)

    assert signature.is_valid_body(TOKEN, url, body, signed)
    assert not signature.is_valid_body(TOKEN, url, b'{"a":2}', signed)
    assert not signature.is_valid_body(TOKEN, url, body, signed[:-2] + "A=")
    assert not signature.is_valid_body(
        TOKEN, "https://host.example/x", body, signature.sign(TOKEN, url)
    )


@pytest.mark.parametrize("forged", ["", "x", "é" * 28, "A" * 10_000, "\udcff"])
def test_any_text_for_a_signature_is_refused_quietly(forged):
    assert not signature.is_valid_form(TOKEN, BLANKS_URL, BLANKS_PARAMS, forged)
    assert not signature.is_valid_handshake(TOKEN, "wss://h.example/m", forged)
