"""The calendar in a browser: what goes on after a failure."""

# The calendar looks for changes so often.
LOOK_MS = 1_500


def open_calendar(at):
    """Open the calendar; its time goes on when the test says so."""
    at.page.clock.install()
    return at.go("calendar")


def test_calendar_goes_on_after_failures(desk, demo):
    at = desk("en")
    page = open_calendar(at)
    faults = [
        lambda route: route.fulfill(
            status=503, content_type="text/html", body="<main>no database</main>"
        ),
        lambda route: route.abort(),
    ]

    def fail_twice(route):
        return faults.pop(0)(route) if faults else route.continue_()

    page.route("**/calendar/part?*", fail_twice)
    lost, shown = page.locator("#connection"), page.locator("#calendar")
    before = shown.inner_text()
    for left in (1, 0):
        page.clock.run_for(LOOK_MS)
        lost.wait_for()
        assert len(faults) == left
        assert shown.inner_text() == before
    page.clock.run_for(LOOK_MS)
    lost.wait_for(state="hidden")


def test_calendar_that_is_no_longer_this_persons_says_so(desk, demo):
    at, loads = desk("en"), []
    page = open_calendar(at)
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    page.route("**/calendar/part?*", lambda route: route.fulfill(status=404))
    page.route("**/calendar", lambda route: route.fulfill(status=404, body="Not found"))
    page.clock.run_for(LOOK_MS)
    page.get_by_text("Not found").wait_for()
    assert len(loads) == 1


def test_calendar_leads_to_the_login_when_the_session_is_over(desk, demo):
    page = open_calendar(desk("en"))
    page.context.clear_cookies()
    page.clock.run_for(LOOK_MS)
    page.wait_for_url("**/console/login?next=*")


def test_found_callers_are_those_of_what_stands_in_the_field(desk, demo):
    page = desk("en").go("calendar/new")
    held = []

    def answer(route):
        text = route.request.url.rpartition("q=")[2]
        if text == "a":
            held.append(route)
        else:
            route.fulfill(content_type="text/html", body=f"<p>found {text}</p>")

    page.route("**/calendar/leads?*", answer)
    field = page.get_by_label("Find a caller by name or number")
    with page.expect_request("**/calendar/leads?q=a"):
        field.fill("a")
    field.fill("ali")
    # Whoever is found is what was typed last, while the first answer is on its way.
    page.locator("#leads").get_by_text("found ali").wait_for()
    assert len(held) == 1


def test_form_with_a_fault_can_be_sent_again_at_once(desk, demo):
    at = desk("en")
    page = at.go("calendar/new")
    page.get_by_label("Service").select_option(index=1)
    page.locator('input[name="day"]').fill("2020-01-08")
    page.locator('input[name="time"]').fill("11:00")
    page.locator('input[name="phone"]').fill("1")
    for tries in (1, 2):
        with page.expect_navigation():
            page.get_by_role("button", name="Book", exact=True).click()
        assert page.locator('[aria-invalid="true"]').count()
        assert len(at.posts) == tries
