"""A message that cannot be read or is not known: counted, logged once, limited."""

import pytest

from bridge.call.bad_messages import MALFORMED_MAX
from bridge.call.plan import HangUp, Leg
from tests.bridge import builders
from tests.bridge.builders import answered_call, of, texts


@pytest.mark.parametrize("leg", (Leg.TWILIO, Leg.OPENAI))
def test_a_malformed_or_unknown_message_is_counted_and_logged_once(leg):
    call = answered_call()
    lines = []
    for _ in range(MALFORMED_MAX):
        lines += texts(call.receive_malformed(leg, "no JSON", 1.0))
        lines += texts(call.receive_unknown(leg, "new.type", 1.0))

    assert len(lines) == 2
    assert getattr(call.counters, f"unknown_{leg.value}") == MALFORMED_MAX
    assert of(HangUp, call.receive_malformed(leg, "no JSON", 1.0))[0].failed


def test_a_second_start_is_malformed():
    call = answered_call()
    call.receive_twilio(builders.start(), 1.0)

    assert call.counters.malformed_twilio == 1


def test_a_malformed_message_of_twilio_leaves_room_for_fewer_messages():
    def taken(call):
        return sum(not call.fast_path.is_flood(b"{}", 1.0) for _ in range(100))

    clean, malformed = answered_call(), answered_call()
    assert not any(call.fast_path.is_flood(b"{}", 1.0) for call in (clean, malformed))
    malformed.receive_malformed(Leg.TWILIO, "no JSON", 1.0)
    assert taken(malformed) < taken(clean)
