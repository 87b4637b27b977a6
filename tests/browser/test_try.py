"""The softphone: a recorded voice at the microphone is heard and answered."""

import json

from .conftest import CHROMIUM, FLAGS, MICROPHONE


def ring(page):
    """Ring, and wait until the call is answered."""
    page.get_by_role("button", name="Ring").click()
    page.get_by_text("Connected. Speak.").wait_for()


def test_softphone_is_heard_and_answered(desk, demo):
    at = desk("en")
    page = at.go("try")
    ring(page)
    page.locator("#timer").get_by_text("0:16").wait_for(timeout=25_000)
    page.get_by_role("button", name="Hang up").click()
    page.get_by_text("You have hung up.").wait_for()
    assert page.locator("#warnings").is_hidden()

    page.get_by_role("link", name="What was said and done").click()
    page.get_by_text("the caller", exact=True).first.wait_for(timeout=10_000)
    said = page.locator("main").inner_text()
    assert "thank you for calling" in said
    assert "book an appointment for Tuesday" in said
    # It looked, and offered what it found.
    assert "On Tuesday morning I have" in said
    assert at.complaints == []


def test_calls_of_the_demo_book_and_can_be_heard(desk, demo):
    at = desk("en")
    booked = None
    for _ in range(60):
        page = at.go("calls")
        rows = page.locator("main table tbody tr")
        booked = rows.filter(has_text="…01").filter(has_text="appointment booked")
        if booked.count():
            break
        page.wait_for_timeout(2_000)
    booked.locator("a").first.click()
    page.get_by_role("button", name="Play").wait_for(timeout=20_000)
    assert "Very good, your appointment is booked." in page.locator("main").inner_text()
    assert at.complaints == []


def test_hanging_up_before_the_microphone_is_allowed_places_no_call(desk, demo):
    at = desk("en")
    at.page.add_init_script(MICROPHONE)
    page = at.go("try")
    page.evaluate("window.asks = true")
    page.get_by_role("button", name="Ring").click()
    page.get_by_role("button", name="Hang up").click()
    page.evaluate("window.allow()")
    page.wait_for_function("() => window.given.length")
    page.wait_for_timeout(500)
    assert at.posts == []
    assert page.evaluate("window.given.map((one) => one.readyState)") == ["ended"]
    assert page.get_by_text("You have hung up.").is_visible()
    assert at.complaints == []


def test_keys_of_the_computer_are_digits_once_and_not_with_ctrl(desk, demo):
    at, sent = desk("en"), []

    def note(frame):
        message = json.loads(frame)
        if message["event"] == "dtmf":
            sent.append(message["dtmf"]["digit"])

    at.page.on("websocket", lambda line: line.on("framesent", note))
    page = at.go("try")
    page.get_by_role("button", name="Ring").press("Enter")
    page.get_by_text("Connected. Speak.").wait_for()
    # The button that was pressed is disabled: the keyboard is on its neighbour.
    assert page.evaluate("document.activeElement.id") == "hang-up"
    for _ in range(3):
        page.keyboard.down("7")
    page.keyboard.up("7")
    for keys in ("Control+2", "Alt+3", "9"):
        page.keyboard.press(keys)
    page.get_by_role("button", name="Hang up").click()
    page.get_by_text("You have hung up.").wait_for()
    assert sent == ["7", "9"]


def test_end_of_a_call_leaves_whoever_writes_in_their_field(desk, demo):
    at, lines = desk("en"), []

    def pass_on(line):
        lines.append((line, line.connect_to_server()))

    at.page.route_web_socket(lambda url: "/console" not in url, pass_on)
    page = at.go("try")
    ring(page)
    field = page.get_by_label("Your message")
    field.click()
    page.keyboard.type("I would")
    for end in lines[0]:
        end.close(code=1000)
    page.get_by_text("The assistant has hung up.").wait_for()
    page.keyboard.type(" like to book")
    assert field.input_value() == "I would like to book"
    assert page.get_by_role("button", name="Ring").is_enabled()


def test_page_that_is_left_while_it_asks_and_comes_back_rings_nobody(browser, demo):
    home, state = demo.states["en"]
    # Pages that are left are kept as they are in this browser only.
    keeps = browser.browser_type.launch(
        executable_path=CHROMIUM,
        args=FLAGS.split(),
        ignore_default_args=["--disable-back-forward-cache"],
    )
    try:
        page = keeps.new_context(
            storage_state=state, permissions=["microphone"]
        ).new_page()
        posts = []
        page.on("request", lambda one: posts.append(one.method))
        page.add_init_script(MICROPHONE)
        page.goto(home + "try")
        page.evaluate("window.asks = window.isSame = true")
        page.get_by_role("button", name="Ring").click()
        page.goto(home + "calls")
        page.evaluate("history.back()")
        page.wait_for_function("() => window.isSame && window.allow")
        page.evaluate("window.allow()")
        page.wait_for_function("() => window.given[0]?.readyState === 'ended'")
        assert "POST" not in posts
        assert page.get_by_text("You have hung up.").is_visible()
    finally:
        keeps.close()
