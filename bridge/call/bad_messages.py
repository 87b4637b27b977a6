"""Bad messages: a message that cannot be read, or whose type is not known."""

from bridge.call import hangup
from bridge.call.plan import Leg, Log
from bridge.call.state import CallState

# A peer that sends more malformed messages than this is broken.
MALFORMED_MAX = 50


def on_malformed(call: CallState, what: tuple[Leg, str]) -> None:
    """Count a message that could not be read; log the first, end past the limit."""
    leg, error = what
    name = f"malformed_{leg.value}"
    count = getattr(call.counters, name) + 1
    setattr(call.counters, name, count)
    if leg is Leg.TWILIO:
        call.fast_path.note_malformed()
    if count == 1:
        call.log(Log("warning", f"dropped from {leg.value}: {error}"))
    elif count > MALFORMED_MAX:
        hangup.fail(call, name, f"more than {MALFORMED_MAX} malformed messages")


def on_unknown(call: CallState, what: tuple[Leg, str]) -> None:
    """Count a message of a type that is not known here; log the first."""
    leg, kind = what
    name = f"unknown_{leg.value}"
    count = getattr(call.counters, name) + 1
    setattr(call.counters, name, count)
    if count == 1:
        call.log(Log("info", f"unknown type from {leg.value}: {kind[:64]}"))
