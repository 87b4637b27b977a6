"""Addresses: Twilio's other hosts follow from the one of its REST API."""

import pytest

from bridge.settings.process import Settings


@pytest.mark.parametrize(
    ("api", "content", "messaging"),
    [
        (
            "https://api.twilio.com",
            "https://content.twilio.com",
            "https://messaging.twilio.com",
        ),
        (
            "https://api.dublin.ie1.twilio.com/",
            "https://content.dublin.ie1.twilio.com",
            "https://messaging.dublin.ie1.twilio.com",
        ),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        (
            "https://api.example.com/twilio",
            "https://api.example.com/twilio",
            "https://api.example.com/twilio",
        ),
    ],
)
def test_other_hosts_are_those_of_the_same_region(api, content, messaging):
    settings = Settings(twilio_api_url=api)

    assert settings.twilio_content_url == content
    assert settings.twilio_messaging_url == messaging
