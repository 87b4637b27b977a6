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
