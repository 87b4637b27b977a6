"""A session is told a language only if the server takes it."""

import msgspec
import pytest

from bridge.agent.spoken import _NAMES
from bridge.call import session_config
from bridge.realtime.languages import transcribed
from bridge.sandbox import client_events
from tests.bridge import builders


@pytest.mark.parametrize("language", [*filter(lambda code: len(code) == 2, _NAMES), ""])
def test_server_takes_the_session_of_a_business_of_any_language(language):
    plan = msgspec.structs.replace(builders.plan(), language=language)
    update = msgspec.json.encode(session_config.configure(plan))

    assert client_events.check(msgspec.json.decode(update)) == "session.update"


@pytest.mark.parametrize(
    ("language", "told"),
    [("he", "he"), ("iw", "he"), ("nb", "no"), ("nn", "no"), ("am", None), ("", None)],
)
def test_a_language_that_is_not_transcribed_is_left_to_the_server(language, told):
    assert transcribed(language) == told
