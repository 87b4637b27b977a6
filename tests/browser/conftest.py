"""A real browser at the console of `kolbridge demo --console`.

The tests need the extra `browser`, Chromium, and for accessibility axe-core: `make
browser` has them. Without them they are skipped.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import wave
from pathlib import Path

import pytest

from bridge.cli.demo.script import BUSINESSES
from bridge.sandbox.caller import Caller
from bridge.sandbox.clips import clip
from bridge.sandbox.timeline import Wait
from dsp import g711

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")

AXE = Path(sys.prefix) / "axe" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--autoplay-policy=no-user-gesture-required "
    "--use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
)
WHO = ("operator", "en", "he")
START_S = 60
# An init script of a page: `given` are the microphone's tracks that it was given, and
# while it `asks`, the person has not allowed the microphone before `allow()`.
MICROPHONE = """
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.given = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    if (window.asks) await new Promise((resolve) => { window.allow = resolve; });
    const stream = await ask(wanted);
    window.given.push(...stream.getTracks());
    return stream;
  };
"""


def refuse_once(page, path):
    """Answer the first request of a path with 503."""
    refused = []

    def answer(route):
        if refused:
            return route.continue_()
        refused.append(route)
        return route.fulfill(status=503, body="")

    page.route(path, answer)


def write_wav(path, ulaw):
    """Write a clip as the sound of the browser's microphone."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(g711.decode(ulaw))


def pytest_collection_modifyitems(items):
    """Run tests with a loop of their own first: Playwright's runs until the end."""
    items.sort(key=lambda item: "browser" in getattr(item, "fixturenames", ()))


class Demo:
    """The running demo: its address, and the browser's state for each user."""

    def __init__(self, url, states):
        self.url = url
        self.states = states

    def ring(self, language, steps=None, caller="+15550100150", max_s=60):
        """Let somebody call a business, in a thread; returns it.

        Without steps the caller says nothing, and hangs up when the test says so.
        """
        (business,) = [one for one in BUSINESSES if one.language == language]
        at = Caller(self.url, from_number=caller, to_number=business.number)
        return Ringing(at, steps, max_s)


class Held(Wait):
    """A caller's step that ends when the test lets the caller hang up."""

    def __init__(self):
        super().__init__(float("inf"))

    def end(self):
        """Hang up."""
        object.__setattr__(self, "ms", 0.0)


class Ringing(threading.Thread):
    """One call; `result` is what its caller experienced, once it is over."""

    def __init__(self, caller, steps, max_s):
        super().__init__(daemon=True)
        self._held = Held()
        self._caller, self._max_s = caller, max_s
        self._steps = [self._held] if steps is None else steps
        self.result = None
        self.start()

    def run(self):
        self.result = asyncio.run(self._caller.call(self._steps, self._max_s))

    def hang_up(self):
        """Let the caller hang up, and return the call's result."""
        self._held.end()
        return self.over()

    def over(self):
        """Wait for the end of the call, and return its result."""
        self.join(self._max_s + START_S)
        assert self.result is not None, "the call is not over"
        return self.result


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    voice = tmp_path_factory.mktemp("microphone") / "voice.wav"
    # From the moment a page opens the microphone, again and again.
    second = b"\xff" * 8_000
    write_wav(voice, 5 * second + clip("caller-en-1").audio + 6 * second)
    flags = [*FLAGS.split(), f"--use-file-for-fake-audio-capture={voice}"]
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture(scope="session")
def demo(browser):
    """The demo, with a logged-in user of each kind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli.main", "demo", "--console"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    links, reading = [], threading.Event()

    def read():
        for line in process.stdout:
            links.extend(re.findall(r"http://\S+/console/login/\S+", line))
            if len(links) == len(WHO):
                reading.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert reading.wait(START_S), "the demo printed no links"
        states = {}
        for who, link in zip(WHO, links, strict=True):
            context = browser.new_context()
            page = context.new_page()
            page.goto(link)
            page.locator("main form button").first.click()
            page.wait_for_url(re.compile("/console/b"))
            states[who] = (page.url, context.storage_state())
            context.close()
        yield Demo(links[0].partition("/console")[0], states)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stdout.close()


class Desk:
    """A page of one user, and what its console has complained of."""

    def __init__(self, context, home):
        self.home = home
        self.page = context.new_page()
        self.complaints = []
        # The addresses to which the page has posted.
        self.posts = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("request", self._note_post)

    def _note(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _note_post(self, request):
        if request.method == "POST":
            self.posts.append(request.url)

    def go(self, path=""):
        """Open a page of the business."""
        answer = self.page.goto(self.home + path, wait_until="load")
        assert answer.status == 200, (path, answer.status)
        return self.page


@pytest.fixture
def desk(browser, demo):
    """`desk("en")` opens a browser in which the owner of a business is logged in."""
    contexts = []

    def opened(who, **options):
        home, state = demo.states[who]
        context = browser.new_context(
            storage_state=state, permissions=["microphone"], **options
        )
        contexts.append(context)
        return Desk(context, home)

    yield opened
    for context in contexts:
        context.close()
