"""The operators' lines of one process: who has a call, and who may hand it back."""

from bridge.call.plan import HandBack, TakeOver
from bridge.switchboard.live_calls import Lines
from tests.bridge import builders, loopback
from tests.bridge.line.test_driver import talking


def open_lines(place, *names):
    """Return the lines, and a line to the call for each operator."""
    drivers = {builders.CALL_SID: place.line}
    lines = Lines(place.metrics, drivers.values, drivers.get, {})
    opened = [lines.open(builders.CALL_SID, "b1", one, hears=False) for one in names]
    return lines, *opened


@loopback.told
async def test_a_call_is_handed_back_by_whoever_has_it_alone(place):
    peer, model = await talking(place)
    lines, dana, noa = open_lines(place, "Dana", "Noa")
    await dana.obey(TakeOver())
    await noa.obey(TakeOver())
    await noa.obey(HandBack(note="Nine."))

    assert lines.holder_of(place.line) == "Dana"
    assert place.line.call.takeover.is_speaking
    await dana.obey(HandBack(note="Ten."))
    assert lines.holder_of(place.line) == ""
    assert not place.line.call.takeover.is_speaking
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
