"""Takes the pictures of docs/console.md from `kolbridge demo --console`.

Needs the extra `browser` and Chromium: `make browser` has them. A minute, because one
picture shows a recorded call. The picture of the health page is from
tests/browser/test_health.py, which leaves pictures where PICTURES says: a demo has no
week of samples.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).parent.parent / "docs" / "pictures" / "console"
FLAGS = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking"
SIZE = {"width": 1_280, "height": 800}
RINGING_MS = 12_000
SETTLED_MS = 1_000
# Who was offered a list of times, in the demo.
CHOOSES = "Alice Morgan"
# What is written on Try it, and what the sandbox's model answers.
CHAT = (
    ("I would like to book a haircut", "What is your name?"),
    ("Robin Lake", "What is your phone number?"),
    ("+1 202 555 0147", "These times are free."),
)
ANSWERED_MS = 40_000
RECORDED_MS = 75_000


def main() -> None:
    """Run the demo, and take the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "bridge.cli.main", "demo", "--console"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as demo:
        try:
            take(_owner_link(demo))
        finally:
            demo.send_signal(2)
            demo.communicate()


def _owner_link(demo: subprocess.Popen[str]) -> str:
    """Return the link of the English business's owner, the second of three."""
    assert demo.stdout is not None
    links: list[str] = []
    for line in demo.stdout:
        links += re.findall(r"http://\S+/console/login/\S+", line)
        if len(links) == 3:
            return links[1]
    raise RuntimeError("the demo printed no links")


def take(link: str) -> None:
    """Log in by a link, and take each picture."""
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, args=FLAGS.split()
        )
        page = _logged_in(running, link)
        home = page.url
        page.goto(f"{home}live")
        page.wait_for_timeout(RINGING_MS)
        _take(page, "live")
        page.goto(f"{home}calendar?view=week")
        _take(page, "calendar")
        page.goto(f"{home}messages")
        _take(page, "messages")
        page.locator("main table tbody tr", has_text=CHOOSES).locator("a").first.click()
        page.locator("#thread").wait_for()
        page.wait_for_timeout(SETTLED_MS)
        page.evaluate("document.getElementById('log').scrollTop = 0")
        _take(page, "conversation")
        page.goto(f"{home}try")
        _chat(page)
        _take(page, "try")
        page.wait_for_timeout(RECORDED_MS)
        page.goto(f"{home}calls")
        page.locator("main table a").first.click()
        page.wait_for_timeout(5_000)
        _take(page, "call")
        running.close()


def _logged_in(running: Browser, link: str) -> Page:
    page = running.new_page(viewport=SIZE)
    page.goto(link)
    page.locator("main form button").first.click()
    page.wait_for_url(re.compile("/console/b/"))
    return page


def _chat(page: Page) -> None:
    """Write to the assistant until it offers times; needs the extra `whatsapp`."""
    for text, answer in CHAT:
        page.get_by_label("Your message").fill(text)
        page.get_by_label("Your message").press("Enter")
        said = page.locator("#thread .by-assistant").get_by_text(answer)
        said.wait_for(timeout=ANSWERED_MS)
    page.wait_for_timeout(SETTLED_MS)


def _take(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png")
    print(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
