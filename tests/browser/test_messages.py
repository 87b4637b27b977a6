"""Messages: what is written appears in open pages, and people take part in it."""

import re

import pytest

from .conftest import AXE, refuse_once

# A page tries again after so long.
RETRY_MS = 5_000


def open_chat(at, name):
    """Open the conversation with a person of the demo."""
    page = at.go("messages")
    rows = page.locator("main table tbody tr").filter(has_text=name)
    rows.locator("a").first.click()
    page.locator("#thread").wait_for()
    return page


def write(trying, text):
    """Write as a visitor of the page "Try it"."""
    trying.get_by_label("Your message").fill(text)
    trying.get_by_role("button", name="Send").click()
    trying.locator("#thread .by-writer").get_by_text(text).wait_for()


def begin_chat(at, text):
    """Begin a chat; return its page, and the address of the conversation's own page."""
    trying = at.go("try")
    write(trying, text)
    link = trying.get_by_role("link", name="The whole conversation")
    return trying, link.get_attribute("href")


def test_conversation_shows_statuses_tools_and_choices(desk, demo):
    at = desk("en")
    page = open_chat(at, "Alice Morgan")
    thread = page.locator("#thread")
    assert "15:30" in thread.locator(".is-taken").first.inner_text()
    thread.get_by_text("calendar_find_slots").click()
    thread.get_by_text('"part_of_day":"afternoon"').wait_for()
    page = open_chat(at, "Grace Kim")
    page.get_by_text("63016 outside the allowed window").wait_for()
    page.locator(".thread-media").get_by_text("voice note").wait_for()
    page.get_by_role("button", name="Show the number").click()
    page.get_by_text("+15550100119").wait_for()
    assert at.complaints == []


def test_what_is_written_appears_in_other_pages_without_reload(desk, demo):
    at, other = desk("en"), desk("operator")
    trying, where = begin_chat(at, "שלום, a haircut please")
    watching = other.page
    watching.goto(f"{demo.url}{where}")
    watching.get_by_role("button", name="Take the conversation over").click()
    watching.get_by_text("People answer this conversation.").wait_for()
    watching.get_by_label("Answer as a person").fill("It is me, a person.")
    watching.get_by_role("button", name="Send").click()
    # The writer's page is told, and so is the one that wrote.
    for page in (trying, watching):
        page.locator(".by-person").get_by_text("It is me, a person.").wait_for()
    assert watching.get_by_label("Answer as a person").input_value() == ""
    trying.get_by_label("Your message").fill("Thank you")
    trying.get_by_label("Your message").press("Enter")
    watching.locator(".by-writer").get_by_text("Thank you").wait_for()
    watching.get_by_role("button", name="Hand back to the assistant").click()
    watching.get_by_text("The assistant answers this conversation.").wait_for()
    trying.get_by_role("button", name="New chat").click()
    assert trying.locator("#thread li").count() == 0
    assert at.complaints == []
    assert other.complaints == []


def test_list_of_messages_changes_by_itself(desk, demo):
    at, other = desk("en"), desk("en")
    page = at.go("messages")
    page.locator("main table tbody tr").first.wait_for()
    last = page.locator("main tbody a").last
    last.focus()
    held = last.get_attribute("href")
    begin_chat(other, "Do you see me?")
    first = page.locator("main table tbody tr").first
    first.get_by_text("Do you see me?").wait_for()
    # The keyboard is where it was.
    assert page.evaluate("document.activeElement.getAttribute('href')") == held
    assert at.complaints == []


def test_conversation_in_hebrew_is_written_from_right_to_left(desk, demo):
    at = desk("he", viewport={"width": 390, "height": 844})
    page = open_chat(at, "נועה לוי")
    body = page.locator(".thread-body").first
    assert body.evaluate("one => getComputedStyle(one).direction") == "rtl"
    code = page.locator(".thread-tool code").first
    assert "calendar_find_slots" in code.inner_text()
    at = desk("he", viewport={"width": 390, "height": 844})
    page = open_chat(at, "Omar")
    body = page.locator(".thread-body").first
    # What begins in English is read from left to right, whatever the page's direction.
    assert body.evaluate("one => getComputedStyle(one).direction") == "ltr"


def test_conversations_can_be_used_by_everybody(desk, demo):
    if not AXE.exists():
        pytest.skip("no axe-core: make browser")
    wrong = {}
    for who, scheme in (("en", "light"), ("he", "dark")):
        width = 390
        at = desk(who, viewport={"width": width, "height": 844}, color_scheme=scheme)
        page = at.go("messages")
        links = page.eval_on_selector_all(
            "main tbody td:first-child a", "links => links.map(link => link.href)"
        )
        assert len(links) >= 2
        for link in [*links, f"{at.home}messages?words=nobody"]:
            page.goto(link)
            page.evaluate(AXE.read_text())
            told = page.evaluate("() => axe.run()")
            faults = [
                f"{one['id']}: {one['nodes'][0]['html'][:160]}"
                for one in told["violations"]
            ]
            wide = page.evaluate("document.scrollingElement.scrollWidth")
            faults += [f"{wide} px wide"] if wide > width else []
            if faults:
                wrong[re.sub(".*/", "", link)] = faults
    assert wrong == {}


def test_chat_with_the_assistant_books(desk, demo):
    at = desk("en")
    page = at.go("try")
    thread, field = page.locator("#thread"), page.get_by_label("Your message")

    def say(text, answer):
        field.fill(text)
        field.press("Enter")
        # The messenger's process starts with the first message.
        thread.locator(".by-assistant").get_by_text(answer).wait_for(timeout=40_000)

    say("I would like to book a haircut", "What is your name?")
    say("Robin Lake", "What is your phone number?")
    say("+1 202 555 0147", "These times are free.")
    if AXE.exists():
        page.evaluate(AXE.read_text())
        told = page.evaluate("() => axe.run()")
        assert [one["id"] for one in told["violations"]] == []
    # What is offered can be pressed, and only once.
    choice = thread.locator("[data-choice]").nth(1)
    title = choice.inner_text()
    choice.click()
    booked = thread.locator(".by-assistant").get_by_text("You are booked:")
    booked.wait_for(timeout=20_000)
    assert title in thread.locator(".is-taken").inner_text()
    assert thread.locator("[data-choice]").count() == 0
    tool = thread.get_by_text("calendar_create_appointment")
    tool.click()
    thread.get_by_text('"booked"').wait_for()

    page = at.go("calendar?view=week")
    entry = page.locator("main").get_by_text("in writing · not verified")
    entry.first.wait_for()
    assert at.complaints == []


def test_what_is_sent_again_because_its_answer_was_lost_is_one_message(desk, demo):
    _, where = begin_chat(desk("en"), "Are you open?")
    page, lost = desk("operator").page, []

    def lose(route):
        route.fetch()
        lost.append(route)
        route.abort()

    page.goto(f"{demo.url}{where}")
    page.route("**/write", lose, times=1)
    field = page.get_by_label("Answer as a person")
    field.fill("We are open on Friday.")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("It could not be sent. Try again.").wait_for()
    assert field.input_value() == "We are open on Friday."
    page.get_by_role("button", name="Send").click()
    page.wait_for_function("() => !document.querySelector('#composer textarea').value")
    page.reload()
    said = page.locator("#thread .by-person").get_by_text("We are open on Friday.")
    said.first.wait_for()
    assert (said.count(), len(lost)) == (1, 1)


def test_message_is_sent_once_and_the_next_one_stays(desk, demo):
    at, held = desk("en"), []
    page = at.go("try")
    page.route("**/try/chat", lambda route: held.append(route))
    field = page.get_by_label("Your message")
    field.fill("Once, please")
    field.press("Enter")
    field.press("Enter")
    field.fill("And this is the next")
    page.wait_for_timeout(200)
    held[0].continue_()
    page.locator("#thread .by-writer").get_by_text("Once, please").wait_for()
    assert len(at.posts) == 1
    assert field.input_value() == "And this is the next"
    assert at.complaints == []


def test_new_chat_stays_empty_when_an_answer_was_on_its_way(desk, demo):
    at, held = desk("en"), []
    page = at.go("try")
    thread, field = page.locator("#thread"), page.get_by_label("Your message")
    field.fill("Of the old chat")
    field.press("Enter")
    thread.locator(".by-writer").wait_for()
    page.route("**/try/chat", lambda route: held.append(route))
    field.fill("Of the old chat, too")
    field.press("Enter")
    page.get_by_role("button", name="New chat").click()
    assert thread.locator("li").count() == 0

    with page.expect_response("**/try/chat"):
        held[0].continue_()
    page.wait_for_timeout(500)
    assert thread.locator("li").count() == 0


def test_thread_is_fetched_again_after_a_failure(desk, demo):
    at = desk("en")
    trying, where = begin_chat(desk("en"), "Hello there")

    page = at.page
    page.clock.install()
    page.goto(demo.url + where)
    page.locator("#thread .by-assistant").first.wait_for(timeout=40_000)
    refuse_once(page, "**/part")
    write(trying, "Are you there?")
    lost = page.locator("#connection")
    lost.wait_for()
    page.clock.run_for(RETRY_MS)
    page.locator("#thread").get_by_text("Are you there?").wait_for()
    lost.wait_for(state="hidden")


def test_page_whose_events_are_refused_connects_again_and_is_not_read_again(desk, demo):
    """That somebody reads a conversation is written into the audit log."""
    at, asked = desk("en"), []
    _, where = begin_chat(desk("en"), "Hello there")

    page = at.page
    page.clock.install()
    refuse_once(page, "**/events")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(demo.url + where)
    lost = page.locator("#connection")
    lost.wait_for()
    page.clock.run_for(RETRY_MS)
    lost.wait_for(state="hidden")
    assert asked.count(demo.url + where) == 1


def test_keyboard_stays_on_its_button_when_the_state_changes(desk, demo):
    at = desk("en")
    trying, where = begin_chat(desk("en"), "Hello there")
    page = at.page
    page.goto(demo.url + where)

    def change_state(route):
        answer = route.fetch()
        changed = answer.text().replace("The assistant answers", "An assistant answers")
        route.fulfill(response=answer, body=changed)

    page.route("**/part", change_state)
    page.get_by_role("button", name="Take the conversation over").focus()
    write(trying, "Are you there?")
    page.get_by_text("An assistant answers this conversation.").wait_for()
    held = page.evaluate("document.activeElement.textContent")
    page.unroute_all(behavior="wait")
    assert held == "Take the conversation over"
