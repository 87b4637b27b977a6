"""The softphone: a recorded voice at the microphone is heard and answered."""


def test_softphone_is_heard_and_answered(desk, demo):
    at = desk("en")
    page = at.go("try")
    page.get_by_role("button", name="Ring").click()
    page.get_by_text("Connected. Speak.").wait_for()
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


# A person takes a second to allow the microphone.
SLOW_TO_ALLOW = """
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.given = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const stream = await ask(wanted);
    window.given.push(...stream.getTracks());
    return stream;
  };
"""


def test_hanging_up_before_the_microphone_is_allowed_places_no_call(desk, demo):
    at = desk("en")
    at.page.add_init_script(SLOW_TO_ALLOW)
    page = at.go("try")
    placed = []
    page.on("request", lambda one: placed.append(one) if one.method == "POST" else None)
    page.get_by_role("button", name="Ring").click()
    page.get_by_role("button", name="Hang up").click()
    page.wait_for_timeout(2_500)
    assert placed == []
    assert page.evaluate("window.given.map((one) => one.readyState)") == ["ended"]
    assert page.get_by_text("You have hung up.").is_visible()
    assert at.complaints == []
