"""The vectors of Twilio's documentation, and those computed with its library."""

from bridge.sandbox.sign import signature

TOKEN = "12345"


def test_the_vector_of_twilios_documentation():
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    url = "https://example.com/myapp.php?foo=1&bar=2"
    assert signature(TOKEN, url, fields) == "L/OH5YylLD5NRKLltdqwSvS0BnU="


def test_empty_fields_count():
    fields = {
        "AccountSid": "AC" + "0" * 32,
        "Body": "",
        "CallSid": "CA" + "1" * 32,
        "CallerCity": "",
        "From": "+15551230000",
        "To": "+15551239999",
    }
    url = "https://bridge.example.com/voice?tenant=a"
    assert signature(TOKEN, url, fields) == "6NE2IQ9bUXqUkACnqdi+B7Cv05A="


def test_a_websocket_is_signed_with_its_own_scheme_and_slash():
    for url, expected in (
        ("wss://bridge.example.com/media", "ASGyPT9kdDVOm79OxfQnw7HcSP8="),
        ("wss://bridge.example.com/media/", "s8PR4IzGlCW8C4hFit29c/IbuH8="),
        ("https://bridge.example.com/media", "k+bG+9TKzlwcKoVkEifGbIQQ/mM="),
    ):
        assert signature(TOKEN, url) == expected
