"""An operator's line to a call: who has the call, and what ends with what."""

import re

import pytest

from .conftest import MICROPHONE
from .test_live import card_of

LINE = re.compile(r"/line\?")
MINE = "You speak with the caller."


# An init script: the network is away while the script of the audio is fetched.
AWAY = """
  const add = AudioWorklet.prototype.addModule;
  window.isAway = true;
  AudioWorklet.prototype.addModule = async function (...given) {
    if (window.isAway) throw new Error("away");
    return add.apply(this, given);
  };
"""


def lines_of(page):
    """Return a page's lines to calls, as they come."""
    lines = []

    def pass_on(line):
        lines.append(line)
        line.connect_to_server()

    page.route_web_socket(LINE, pass_on)
    return lines


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


def test_call_that_two_people_of_one_login_take_at_once_is_the_first_s(desk, demo):
    """Neither page has seen the other's order when it gives its own."""
    pages, cards = [desk("en").page for _ in range(2)], []
    ringing = demo.ring("en", caller="+15550100179")
    for page in pages:
        page.add_init_script(MICROPHONE)
        page.goto(demo.states["en"][0] + "live")
        page.evaluate("window.asks = true")
        cards.append(card_of(page, "…79"))
        press(cards[-1], "Listen")
        cards[-1].get_by_text("You hear the call.").wait_for()
        press(cards[-1], "Take over")
        page.wait_for_function("() => window.allow")
    for page in pages:
        page.evaluate("window.allow()")
    # The other's end is not the call's.
    page.wait_for_timeout(2_000)
    assert sorted(card.get_by_text(MINE).count() for card in cards) == [0, 1]
    failed = [card.get_by_text("That did not work.").count() for card in cards]
    assert sorted(failed) == [0, 1]
    ringing.hang_up()


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


def fail_to_take_over(at, demo, caller, on_order):
    """Take a call over on a line whose orders reach `on_order` alone."""

    def serve(line):
        server = line.connect_to_server()

        def pass_on(message):
            if isinstance(message, str):
                on_order(line, message)
            else:
                server.send(message)

        line.on_message(pass_on)

    at.page.add_init_script(MICROPHONE)
    at.page.route_web_socket(LINE, serve)
    page = at.go("live")
    ringing = demo.ring("en", caller=caller)
    card = card_of(page, f"…{caller[-2:]}")
    press(card, "Take over")
    card.get_by_text("That did not work. Try again.").wait_for()
    assert card.get_by_role("button", name="Take over").is_visible()
    assert page.evaluate("window.given.map((one) => one.readyState)") == ["ended"]
    ringing.hang_up()


def test_takeover_that_the_server_refuses_has_failed(desk, demo):
    """What it cannot write into the audit log it does not do: it closes with 1013."""
    refused = []

    def refuse(line, order):
        refused.append(order)
        line.close(code=1013)

    fail_to_take_over(desk("en"), demo, "+15550100173", refuse)
    assert len(refused) == 1


@pytest.mark.parametrize("code", [None, 1011])
def test_takeover_that_is_lost_on_its_way_has_failed(desk, demo, code):
    """Nobody answers an order; the line breaks, or goes on as if nothing were wrong."""
    lost = []

    def lose(line, order):
        lost.append(order)
        if code is not None and len(lost) == 1:
            line.close(code=code)

    fail_to_take_over(desk("en"), demo, "+15550100178", lose)
    assert "take_over" in lost[0]


def test_microphone_is_closed_when_the_line_cannot_be_opened(desk, demo):
    at = desk("en")
    at.page.add_init_script(MICROPHONE)
    at.page.add_init_script(AWAY)
    page = at.go("live")
    ringing = demo.ring("en", caller="+15550100174")
    card = card_of(page, "…74")
    press(card, "Take over")
    card.get_by_text("That did not work. Try again.").wait_for()
    assert page.evaluate("window.given.map((one) => one.readyState)") == ["ended"]
    # It works once the network is there again.
    page.evaluate("window.isAway = false")
    press(card, "Listen")
    card.get_by_text("You hear the call.").wait_for()
    ringing.hang_up()


def test_line_that_is_closed_while_it_is_lost_is_not_opened_by_itself(desk, demo):
    at = desk("en")
    lines = lines_of(at.page)
    page = at.go("live")
    ringing = demo.ring("en", caller="+15550100175")
    card = card_of(page, "…75")
    press(card, "Listen")
    card.get_by_text("You hear the call.").wait_for()
    lines[0].close(code=1011)
    card.get_by_text("The connection to the call is lost.").wait_for()
    press(card, "Listen")
    press(card, "Listen")
    card.get_by_text("You hear the call.").wait_for()
    # The first line would have been tried again meanwhile.
    page.wait_for_timeout(1_000)
    assert len(lines) == 2
    ringing.hang_up()


def test_note_is_kept_when_the_line_could_not_take_it(desk, demo):
    at = desk("en")
    lines = lines_of(at.page)
    at.page.clock.install()
    page = at.go("live")
    ringing = demo.ring("en", caller="+15550100176")
    card = card_of(page, "…76")
    press(card, "Take over")
    card.get_by_text(MINE).wait_for()
    note = card.get_by_label("Note for the assistant")
    note.fill("Ten per cent off, promised.")
    # Lost before the page has seen that it was obeyed, a takeover has failed.
    card.locator('[data-taken="true"]').wait_for()
    # The line is not tried again before the clock goes on.
    page.clock.pause_at(page.evaluate("Date.now() + 1_000"))
    lines[0].close(code=1011)
    card.get_by_text("The connection to the call is lost.").wait_for()
    press(card, "Hand back")
    assert note.input_value() == "Ten per cent off, promised."

    page.clock.resume()
    card.get_by_text(MINE).wait_for()
    press(card, "Hand back")
    card.get_by_text("The assistant leads the call again.").wait_for()
    ringing.hang_up()


def test_keyboard_stays_in_the_card_when_its_buttons_change(desk, demo):
    page = desk("en").go("live")
    ringing = demo.ring("en", caller="+15550100177")
    card = card_of(page, "…77")
    card.locator('[data-do="take"]:enabled').press("Enter")
    card.get_by_text(MINE).wait_for()
    assert page.evaluate("document.activeElement.name") == "note"
    card.get_by_role("button", name="Hand back").press("Enter")
    card.get_by_text("The assistant leads the call again.").wait_for()
    assert page.evaluate("document.activeElement.dataset.do") == "listen"
    ringing.hang_up()
