"""The operators' lines of one process: who has a call, and who may hand it back."""

from bridge.call.plan import HandBack, TakeOver
from bridge.switchboard.live_calls import NOBODY, Lines
from tests.bridge import builders, loopback
from tests.bridge.line.test_driver import talking

VOICE = b"\x42" * 160


def open_lines(place, *names):
    """Return the lines, and a line to the call for each operator."""
    drivers = {builders.CALL_SID: place.line}
    lines = Lines(place.metrics, drivers.values, drivers.get, {})
    opened = [
        lines.open(builders.CALL_SID, "b1", name, f"page {at}", hears=False)
        for at, name in enumerate(names)
    ]
    return lines, *opened


@loopback.told
async def test_a_call_is_handed_back_by_whoever_has_it_alone(place):
    peer, model = await talking(place)
    lines, dana, noa = open_lines(place, "Dana", "Noa")
    await dana.obey(TakeOver())
    await noa.obey(TakeOver())
    await noa.obey(HandBack(note="Nine."))

    assert lines.holder_of(place.line) == ("Dana", "page 0")
    assert place.line.call.takeover.is_speaking
    await dana.obey(HandBack(note="Ten."))
    assert lines.holder_of(place.line) == NOBODY
    assert not place.line.call.takeover.is_speaking
    await peer.close()
    await model.close()


@loopback.told
async def test_of_two_operators_of_one_name_the_first_alone_has_the_call(place):
    """A salon's people may share one login."""
    peer, model = await talking(place)
    lines, first, second = open_lines(place, "Reception", "Reception")
    await first.obey(TakeOver())
    await second.obey(TakeOver())
    await second.speak(VOICE)
    assert place.line.call.playout.frames_sent == 0
    await second.obey(HandBack())
    assert lines.holder_of(place.line).page == "page 0"

    # A line that was lost and opened anew is of the same page.
    owner = "Reception", "page 0"
    again = lines.open(builders.CALL_SID, "b1", *owner, hears=False)
    await again.speak(VOICE)
    assert place.line.call.playout.frames_sent == 1
    await peer.close()
    await model.close()


@loopback.told
async def test_a_call_that_nobody_has_can_be_handed_back_by_anybody(place):
    """Another process may have taken it over before this one went on with it."""
    peer, model = await talking(place)
    lines, dana, noa = open_lines(place, "Dana", "Noa")
    await noa.obey(HandBack())
    assert not place.line.call.takeover.is_on
    assert place.line.call.counters.takeovers == 0

    await dana.obey(TakeOver())
    lines.holders.clear()
    await noa.obey(HandBack())
    assert not place.line.call.takeover.is_speaking
    await peer.close()
    await model.close()
