"""A call's page: its slider and its player."""

import re

from bridge.sandbox.timeline import Wait

from .conftest import refuse_once

# The keys whose usual effect in the browser the page has taken away.
TAKEN = """() => {
  window.taken = [];
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented) window.taken.push(event.key);
  });
}"""
# Pause and play as a headset does while the page is in the background: no frame is
# drawn between them. Then how often the picture is drawn in a frame.
DRAWN = """async () => {
  const audio = document.getElementById("audio");
  await audio.play();
  for (let n = 0; n < 5; n += 1) {
    audio.pause();
    await audio.play();
  }
  let frames = 0, draws = 0;
  const clear = CanvasRenderingContext2D.prototype.clearRect;
  CanvasRenderingContext2D.prototype.clearRect = function (...given) {
    draws += 1;
    return clear.apply(this, given);
  };
  await new Promise((resolve) => {
    const next = () => (++frames < 30 ? requestAnimationFrame(next) : resolve());
    requestAnimationFrame(next);
  });
  audio.pause();
  return draws / frames;
}"""


def open_call(page, row):
    row.locator("a").first.click()
    page.wait_for_url(re.compile("/calls/CA"))


def recorded_call(at, demo, caller):
    """Open the page of a new call that can be heard."""
    demo.ring("en", [Wait(1_500)], caller=caller).over()
    row = at.page.locator("main table tbody tr").filter(has_text=f"…{caller[-2:]}")
    for _ in range(60):
        page = at.go("calls")
        if row.count():
            break
        page.wait_for_timeout(500)
    open_call(page, row)
    page.get_by_role("button", name="Play").wait_for(timeout=20_000)
    return page


def test_slider_leaves_the_browser_its_keys_and_is_drawn_once_a_frame(desk, demo):
    at = desk("en")
    page = recorded_call(at, demo, "+15550100181")
    page.evaluate(TAKEN)
    page.locator("#wave").focus()
    for keys in ("Control+-", "Control+=", "Alt+ArrowRight", "Meta+ArrowRight", "Home"):
        page.keyboard.press(keys)
    assert page.evaluate("window.taken") == ["Home"]

    assert page.evaluate(DRAWN) < 1.6
    assert at.complaints == []


def test_sound_that_does_not_come_is_asked_for_again(desk, demo):
    at = desk("en")
    refuse_once(at.page, "**/call.wav")
    page = recorded_call(at, demo, "+15550100182")
    told = page.get_by_text("The sound does not come.")
    told.wait_for()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => document.getElementById('audio').currentTime > 0")
    assert told.count() == 0


def test_page_says_so_when_the_recording_cannot_be_fetched(desk, demo):
    page = desk("en").go("calls")
    page.route("**/timeline", lambda route: route.abort())
    open_call(page, page.locator("main table tbody tr").first)
    page.locator("#sound-status").get_by_text("cannot be shown").wait_for()


def test_link_is_made_once_however_often_its_button_is_pressed(desk, demo):
    at, held = desk("en"), []
    page = at.go("calls")
    open_call(page, page.locator("main table tbody tr").first)
    page.route("**/share", lambda route: held.append(route))
    button = page.get_by_role("button", name="Make a link")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    # While the answer is on its way; `click` would wait for it.
    for _ in range(3):
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
    held[0].continue_()
    page.get_by_text("Copy the link now").wait_for()
    assert len(at.posts) == 1
    assert page.get_by_role("button", name="Revoke").count() == 1
