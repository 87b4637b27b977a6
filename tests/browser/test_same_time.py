"""A person and the AI book the same time at once: one has it, and both are told."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bridge.cli.demo.script import WANTED, steps
from bridge.console.language import FOLDER, Catalogue
from bridge.sandbox.clips import clip

ZONE = ZoneInfo("Asia/Jerusalem")
_ = Catalogue(FOLDER / "he").messages.__getitem__
# The demo's own calls, which ring when it starts.
CALLS_MS = 120_000


def next_tuesday():
    today = datetime.now(ZONE).date()
    return today + timedelta(days=(1 - today.weekday() - 1) % 7 + 1)


def free_the_time(at, day):
    """Cancel what the demo's own call has booked at the time."""
    page = at.go(f"calendar?day={day}")
    taken = page.locator("a.appointment").filter(has_text=f"{WANTED} \N{EN DASH}")
    if taken.count():
        taken.first.click()
        page.get_by_text(_("Cancel this appointment")).click()
        with page.expect_navigation():
            page.get_by_role("button", name=_("Cancel it")).click()
    page = at.go(f"calendar?day={day}")
    assert (
        page.locator("a.appointment").filter(has_text=f"{WANTED} \N{EN DASH}").count()
        == 0
    )


def filled_form(at, day):
    """Return the form for the same time, ready to be sent."""
    page = at.go("calendar/new")
    page.get_by_label(_("Service")).select_option(index=1)
    page.locator('input[name="day"]').fill(str(day))
    page.locator('input[name="time"]').fill(WANTED)
    page.locator('input[name="phone"]').fill("+972501234599")
    page.locator('input[name="name"]').fill("By hand")
    return page


def test_one_has_the_time_and_both_are_told(desk, demo):
    at, beside, day = desk("he"), desk("he"), next_tuesday()
    live = beside.go("live")
    live.wait_for_timeout(1_000)
    live.wait_for_function(
        "() => !document.querySelector('#calls > li')", timeout=CALLS_MS
    )
    free_the_time(at, day)
    page = filled_form(at, day)

    ringing = demo.ring("he", steps("he"), caller="+15550100177", max_s=90)
    asked = clip("ai-he-confirm")
    card = live.locator("#calls > li").filter(has_text="…77")
    card.filter(has_text=asked.transcript[-12:]).wait_for(timeout=CALLS_MS)
    # The caller presses the keys when the question is over, and the AI books then.
    live.wait_for_timeout(asked.duration_ms)
    with page.expect_navigation():
        page.get_by_role("button", name=_("Book"), exact=True).click()
    ringing.over()

    has_person = page.url.endswith(f"?day={day}")
    is_refused = page.get_by_text(
        _("This time is taken, or outside of the hours.")
    ).count()
    assert has_person != bool(is_refused)
    day_page = at.go(f"calendar?day={day}")
    entries = day_page.locator("a.appointment").filter(has_text=f"{WANTED} \N{EN DASH}")
    assert entries.count() == 1
    assert ("By hand" in entries.inner_text()) == has_person

    live.wait_for_timeout(2_000)
    calls = at.go("calls")
    calls.locator("main table a").first.click()
    calls.wait_for_url(re.compile("/calls/CA"))
    tool = calls.locator("li.call-tool").filter(has_text="calendar_create_appointment")
    tool.locator("summary").click()
    told = tool.inner_text()
    assert (_("failed") if has_person else _("done")) in told
    assert has_person == ("is taken" in told)
