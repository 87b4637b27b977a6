"""The curves of the health page in a real browser, with a week of samples."""

import asyncio
import math
import os
import random
from pathlib import Path

import pytest

from bridge.service.health import LOOKS_A_MINUTE
from tests.bridge.console.conftest import at_desk

from .conftest import AXE, CHROMIUM, FLAGS

async_api = pytest.importorskip("playwright.async_api", reason="no playwright")

LOOKS = [
    ("en", 1_600, "light"),
    ("en", 390, "dark"),
    ("he", 390, "light"),
    ("he", 1_600, "dark"),
    ("ar", 1_600, "light"),
]
# Where to leave pictures to look at.
PICTURES = os.environ.get("PICTURES", "")


def samples():
    """Return the samples of two workers in a week, with a night of silence in it."""
    chance = random.Random(19)
    for minutes_ago in range(8 * 24 * 60 - 600):
        if 3_000 < minutes_ago < 3_600:
            continue
        hour = minutes_ago / 60 % 24
        calls = max(0, round(14 * math.sin(hour / 24 * math.tau) + chance.gauss(8, 2)))
        for worker in (0, 1):
            late = calls + chance.randrange(8)
            counts = [2_950 - late * 4, late * 3, late, late // 8, 0, 0, 0, 0, 0, 0]
            if chance.random() < 0.002:
                counts[5] = 60
            rx = calls * 50 * 60
            worst = 1.0 + late / 6 + (counts[5] > 0) * 30
            forwarded = round(rx * chance.uniform(0.3, 0.42))
            yield minutes_ago, worker, calls, worst, rx, forwarded, counts


async def fill(database):
    assert LOOKS_A_MINUTE == 6
    async with database.owner() as connection:
        await connection.execute("delete from health_samples")
        await connection.executemany(
            "insert into health_samples (at, node, worker, calls, lag_ms_p99, "
            "rx_frames, forwarded_frames, lag_counts) values (date_trunc('minute', "
            "now()) - $1 * interval '1 minute', 'node-1', $2, $3, $4, $5, $6, $7)",
            list(samples()),
        )


async def faults_of(page, width, direction, count):
    """Return what is wrong with the page that is shown."""
    await page.wait_for_function(
        "count => document.querySelectorAll('.curve canvas').length === count",
        arg=count,
    )
    await page.evaluate(AXE.read_text())
    told = await page.evaluate("() => axe.run()")
    faults = [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in told["violations"]
    ]
    wide = await page.evaluate("document.scrollingElement.scrollWidth")
    if wide > width:
        faults.append(f"{wide} px wide")
    if await page.evaluate("document.documentElement.dir") != direction:
        faults.append("direction")
    # Something is drawn in each: more than one colour.
    drawn = await page.evaluate(
        """() => [...document.querySelectorAll('.curve canvas')].map(one => new Set(
          new Uint32Array(one.getContext('2d').getImageData(
            0, 0, one.width, one.height).data.buffer)).size)"""
    )
    if min(drawn) < 10:
        faults.append(f"colours drawn: {drawn}")
    return faults


def test_curves_are_drawn_for_everybody(embedded_url, tmp_path):
    if CHROMIUM is None or not AXE.exists():
        pytest.skip("no Chromium or no axe-core: make browser")

    async def story(at, playwright):
        await fill(at.database)
        running = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS.split()
        )
        cookies = [
            {"name": one.key, "value": one.value, "url": at.operator.base}
            for one in at.operator.http.cookie_jar
        ]
        wrong = {}
        for language, width, scheme in LOOKS:
            context = await running.new_context(
                viewport={"width": width, "height": 1_000},
                color_scheme=scheme,
                locale=language,
            )
            await context.add_cookies(cookies)
            page, complaints = await context.new_page(), []
            page.on("pageerror", lambda one, found=complaints: found.append(str(one)))
            page.on("console", lambda one, found=complaints: found.append(one.text))
            await page.goto(f"{at.operator.base}/console/health")
            faults = await faults_of(
                page, width, "ltr" if language == "en" else "rtl", 4
            )
            place = page.locator("[data-keys='calls']")
            await place.locator(".u-over").hover()
            if PICTURES:
                name = f"health-{language}-{width}-{scheme}.png"
                await page.screenshot(path=Path(PICTURES) / name, full_page=True)
            wrong[language, width, scheme] = faults + complaints
            # The look changes, and so do the curves.
            other = "dark" if scheme == "light" else "light"
            await page.emulate_media(color_scheme=other)
            await page.set_viewport_size({"width": 700, "height": 800})
            await page.wait_for_function(
                """() => [...document.querySelectorAll('.curve-plot')].every(
                  one => Math.abs(one.querySelector('.uplot').clientWidth
                    - one.clientWidth) <= 1)"""
            )
            await context.close()
        await running.close()
        assert wrong == {look: [] for look in LOOKS}

    async def main():
        async with (
            at_desk(embedded_url, tmp_path) as at,
            async_api.async_playwright() as playwright,
        ):
            try:
                await story(at, playwright)
            finally:
                async with at.database.owner() as connection:
                    await connection.execute("delete from health_samples")

    asyncio.run(main())
