"""An operator's line to a call: who has the call, and what ends with what."""

import re

from .conftest import MICROPHONE
from .test_live import card_of

LINE = re.compile("/line$")
MINE = "You speak with the caller."


def press(card, button):
    card.get_by_role("button", name=button).click()


def test_call_that_another_person_took_meanwhile_stays_theirs(desk, demo):
    """They take it while this browser asks for the microphone."""
    at, other = desk("en"), desk("operator")
    at.page.add_init_script(MICROPHONE)
    page, theirs = at.go("live"), other.page
    page.evaluate("window.asks = true")
    theirs.goto(at.home + "live")
    ringing = demo.ring("en", caller="+15550100171")
    card, their_card = card_of(page, "…71"), card_of(theirs, "…71")
    press(card, "Take over")
    page.wait_for_function("() => window.allow")
    press(their_card, "Take over")
    their_card.get_by_text(MINE).wait_for()
    card.get_by_text("taken over by:").wait_for()

    page.evaluate("window.allow()")
    page.wait_for_function("() => window.given[0]?.readyState === 'ended'")
    assert card.get_by_role("button", name="Take over").is_visible()
    assert card.get_by_text(MINE).count() == 0
    assert their_card.get_by_text(MINE).is_visible()
    ringing.hang_up()
    assert at.complaints == other.complaints == []


def test_call_that_ends_before_the_microphone_is_allowed_gets_no_line(desk, demo):
    at, lines = desk("en"), []
    at.page.add_init_script(MICROPHONE)
    at.page.on("websocket", lambda line: lines.append(line.url))
    page = at.go("live")
    page.evaluate("window.asks = true")
    ringing = demo.ring("en", caller="+15550100172")
    card = card_of(page, "…72")
    press(card, "Take over")
    page.wait_for_function("() => window.allow")
    ringing.hang_up()
    card.wait_for(state="detached")

    page.evaluate("window.allow()")
    page.wait_for_function("() => window.given[0]?.readyState === 'ended'")
    assert lines == []
