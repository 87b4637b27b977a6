"""Every page of the console, as a person sees it."""

import pytest

from .conftest import AXE

SIZES = {"phone": (390, 844), "desk": (1_600, 1_000)}
# A4 between its margins, in CSS pixels.
PAPER = {"width": 718, "height": 1_040}
CUT = """() => [...document.querySelectorAll(".scroll, .thread-log")]
  .filter((one) => one.scrollWidth > one.clientWidth
    || one.scrollHeight > one.clientHeight)
  .map((one) => `${one.scrollWidth} in ${one.clientWidth}, `
    + `${one.scrollHeight} in ${one.clientHeight}: ${one.innerText.slice(0, 40)}`)"""
LOOKS = [
    ("operator", "desk", "light"),
    ("en", "desk", "light"),
    ("en", "phone", "dark"),
    ("he", "phone", "light"),
    ("he", "desk", "dark"),
]


def pages_of(desk):
    """Return the address of every page that the navigation leads to."""
    desk.go()
    found = desk.page.eval_on_selector_all(
        "nav a, header a", "links => links.map(link => link.href)"
    )
    pages = {one for one in found if "/console/" in one and "logout" not in one}
    return sorted(pages | forms_of(desk))


def forms_of(desk):
    """Return the addresses of two forms, to which no navigation leads: a person's, and
    an appointment's."""
    found = set()
    if "/b/" in desk.home:
        for page, form in (("services", "/services/person"), ("calendar", "/new?")):
            desk.go(page)
            links = desk.page.locator(f"main a[href*='{form}']")
            found.add(links.first.evaluate("link => link.href"))
    return found


@pytest.mark.parametrize(("who", "size", "scheme"), LOOKS)
def test_pages_can_be_used_by_everybody(desk, who, size, scheme):
    if not AXE.exists():
        pytest.skip("no axe-core: make browser")
    width, height = SIZES[size]
    at = desk(who, viewport={"width": width, "height": height}, color_scheme=scheme)
    found = pages_of(at)
    assert len(found) >= 3
    wrong = {}
    for address in found:
        at.page.goto(address, wait_until="load")
        at.page.evaluate(AXE.read_text())
        told = at.page.evaluate("() => axe.run()")
        faults = [
            f"{one['id']}: {one['nodes'][0]['html'][:120]}"
            for one in told["violations"]
        ]
        wide = at.page.evaluate("document.scrollingElement.scrollWidth")
        if wide > width:
            faults.append(f"{wide} px wide")
        if at.page.evaluate("document.documentElement.dir") != (
            "rtl" if who == "he" else "ltr"
        ):
            faults.append("direction")
        if faults:
            wrong[address.rpartition("/console")[2]] = faults
    assert wrong == {}


@pytest.mark.parametrize("who", ["en", "he"])
def test_paper_shows_what_the_screen_scrolls(desk, who):
    at, cut = desk(who, viewport=PAPER), {}
    at.page.emulate_media(media="print")
    pages = [f"{at.home}calendar?view=week", *pages_of(at)]
    for path in ("messages", "calls"):
        at.go(path)
        pages += at.page.eval_on_selector_all(
            "main tbody td:first-child a", "links => links.map(link => link.href)"
        )
    for address in pages:
        at.page.goto(address, wait_until="networkidle" if "/CA" in address else "load")
        if found := at.page.evaluate(CUT):
            cut[address.rpartition("/b/")[2][36:]] = found
    assert cut == {}


@pytest.mark.parametrize("who", ["operator", "en", "he"])
def test_pages_are_free_of_errors_and_of_other_hosts(desk, demo, who):
    at = desk(who)
    asked = []
    at.page.on("request", lambda request: asked.append(request.url))
    for address in pages_of(at):
        at.page.goto(address, wait_until="load")
    assert at.complaints == []
    assert [one for one in asked if not one.startswith((demo.url, "data:"))] == []


def test_owner_cannot_open_a_page_of_another_business(desk, demo):
    at = desk("en")
    other = demo.states["he"][0]
    for path in ("", "calls", "leads", "calendar", "live", "try", "notices"):
        answer = at.page.goto(f"{other.rstrip('/')}/{path}", wait_until="commit")
        assert answer.status == 404, path
