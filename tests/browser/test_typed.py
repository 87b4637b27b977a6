"""What a person has typed is not lost: by an order, a logout or a lost connection."""

from .test_messages import begin_chat

TYPED = "They like tea, and a quiet chair."
ANSWER = "Of course. I shall ask the owner."


def filled_form(at):
    """Return the page of a lead whose form has something typed, and its field."""
    page = at.go("leads")
    page.locator("main table tbody a").first.click()
    field = page.get_by_label("Its value")
    page.get_by_label("Another field").fill("wish")
    field.fill(TYPED)
    return page, field


def save(page):
    """Press the button of the form."""
    page.get_by_role("button", name="Save").click()


def chat_page(desk, demo):
    """Return a desk at the page of a conversation, where an answer is typed."""
    _, where = begin_chat(desk("en"), "Are you open?")
    at = desk("en")
    at.page.goto(demo.url + where)
    at.page.get_by_label("Answer as a person").fill(ANSWER)
    return at


def test_answer_stays_when_the_conversation_is_taken_over_and_handed_back(desk, demo):
    at = chat_page(desk, demo)
    page, field = at.page, at.page.get_by_label("Answer as a person")
    for name in ("Take the conversation over", "Hand back to the assistant"):
        page.get_by_role("button", name=name).press("Enter")
        page.get_by_role("button", name=name).wait_for(state="detached")
        assert field.input_value() == ANSWER
        page.wait_for_function(
            "() => document.activeElement.closest('#state button') !== null"
        )
    assert at.complaints == []


def test_form_of_who_is_logged_out_stays_and_is_sent_after_the_login(desk, demo):
    page, field = filled_form(desk("en"))
    cookies = page.context.cookies()
    page.context.clear_cookies()
    save(page)
    told = page.get_by_text("You are logged out.")
    told.wait_for()
    assert field.input_value() == TYPED

    page.context.add_cookies(cookies)
    # Another session has another token.
    page.eval_on_selector_all(
        "[name=csrf]", "fields => fields.forEach((one) => { one.value = 'old'; })"
    )
    save(page)
    page.locator("main").get_by_label("wish").wait_for()
    assert page.locator("main").get_by_label("wish").input_value() == TYPED
    told.wait_for(state="hidden")


def test_booking_stays_while_a_caller_is_looked_for(desk, demo):
    page = desk("en").go("calendar/new")
    name = page.get_by_label("Name", exact=True)
    name.fill(TYPED)
    cookies = page.context.cookies()
    page.context.clear_cookies()
    wanted = page.get_by_label("Find a caller by name or number")
    wanted.press_sequentially("al")
    told = page.get_by_text("You are logged out.")
    told.wait_for()
    assert name.input_value() == TYPED

    page.context.add_cookies(cookies)
    wanted.press_sequentially("ice")
    page.locator("#leads").get_by_text("Alice Morgan").wait_for()
    assert name.input_value() == TYPED
    assert told.is_hidden()


def test_form_stays_while_the_connection_is_lost(desk, demo):
    page, field = filled_form(desk("en"))
    page.context.set_offline(True)
    save(page)
    page.locator("#connection").wait_for()
    page.wait_for_timeout(200)
    assert field.input_value() == TYPED


def test_answer_stays_when_the_session_is_over(desk, demo):
    at = chat_page(desk, demo)
    page, field = at.page, at.page.get_by_label("Answer as a person")
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.get_by_role("button", name="Send").click()
    page.get_by_text("You are logged out.").wait_for()
    assert field.input_value() == ANSWER

    page.context.add_cookies(cookies)

    def send_old_token(route):
        route.continue_(headers={**route.request.headers, "x-csrf-token": "old"})

    page.route("**/write", send_old_token, times=1)
    page.get_by_role("button", name="Send").click()
    page.locator(".by-person").get_by_text(ANSWER).wait_for()


def test_page_stays_with_an_answer_when_it_is_told_that_the_session_is_over(desk, demo):
    at, over = desk("en"), []
    _, where = begin_chat(desk("en"), "Are you open?")

    def end(route):
        over.append(route)
        kind = {"Content-Type": "text/event-stream"}
        body = "retry: 100\n\n" + ("event: over\ndata: 0\n\n" if over[3:] else "")
        route.fulfill(headers=kind, body=body)

    page = at.page
    page.route("**/events", end)
    page.goto(demo.url + where)
    field = page.get_by_label("Answer as a person")
    field.fill(ANSWER)
    page.get_by_text("You are logged out.").wait_for()
    assert field.input_value() == ANSWER
    page.context.clear_cookies()
    field.fill("")
    page.wait_for_url("**/console/login?next=*")


def test_link_to_earlier_messages_comes_with_the_first_that_is_not_shown(desk, demo):
    _, where = begin_chat(desk("en"), "Are you open?")
    page = desk("en").page

    def add_link(route):
        answer = route.fetch()
        link = '<div id="earlier"><p><a href="?before=1">Earlier messages</a></p></div>'
        page_text = answer.text().replace('<div id="earlier"></div>', link)
        route.fulfill(response=answer, body=page_text)

    page.route("**/part", add_link)
    page.goto(demo.url + where)
    page.get_by_label("Answer as a person").fill(ANSWER)
    page.get_by_role("button", name="Send").click()
    page.get_by_role("link", name="Earlier messages").wait_for()
    page.unroute_all(behavior="wait")
