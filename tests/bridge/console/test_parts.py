"""Parts of the console that need no service: codes, limits, languages, files."""

import asyncio
import re
import subprocess
import sys

import pytest

from bridge.console import language, passwords, totp
from bridge.console.passwords import WAITING_MAX, Busy, PasswordCheck
from bridge.console.rate_limit import KEYS_MAX, RateLimit
from bridge.console.static_files import StaticFiles

# RFC 6238, appendix B: the secret of SHA-1 and the last six digits of its codes.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = {
    59: "287082",
    1_111_111_109: "081804",
    1_111_111_111: "050471",
    1_234_567_890: "005924",
    2_000_000_000: "279037",
    20_000_000_000: "353130",
}


@pytest.mark.parametrize(("at_s", "code"), RFC_CODES.items())
def test_codes_are_those_of_the_rfc(at_s, code):
    assert totp.code_of(RFC_SECRET, at_s // totp.PERIOD_S) == code
    assert totp.period_of(RFC_SECRET, f"{code[:3]} {code[3:]}", at_s) is not None


def test_a_code_is_good_one_period_late_and_no_more():
    code = totp.code_of(RFC_SECRET, 1_000)
    now = 1_000 * totp.PERIOD_S

    assert totp.period_of(RFC_SECRET, code, now + totp.PERIOD_S) == 1_000
    assert totp.period_of(RFC_SECRET, code, now + 2 * totp.PERIOD_S) is None
    for wrong in ("", "12345", "1234567", "١٢٣٤٥٦"):
        assert totp.period_of(RFC_SECRET, wrong, now) is None


def test_failures_are_forgotten_with_time_and_bounded_in_number():
    limit = RateLimit(2, 10.0)
    limit.fail("a", 0.0)
    assert not limit.is_over("a", 1.0)
    limit.fail("a", 1.0)
    assert limit.is_over("a", 9.9)
    assert not limit.is_over("a", 10.1)
    for at in range(KEYS_MAX + 10):
        limit.fail(str(at), 20.0)
    limit.fail("0", 20.0)
    assert not limit.is_over("0", 20.0)


def test_passwords_are_checked_one_at_a_time_and_few_wait():
    async def story():
        check = PasswordCheck()
        stored = passwords.hash_password("right")
        assert await check.check(stored, "right")
        assert not await check.check(stored, "wrong")
        assert not await check.check(None, "right")
        assert not await check.check(stored, "x" * 10_000)
        assert not await check.check("no hash", "right")
        found = await asyncio.gather(
            *(check.check(stored, "right") for _ in range(WAITING_MAX + 3)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Busy) for one in found) == 3

    asyncio.run(story())


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", "en"),
        ("fr-FR, he-IL;q=0.9", "he"),
        ("iw", "he"),
        ("ar-EG", "ar"),
        ("x" * 9_999, "en"),
    ],
)
def test_the_browser_s_first_known_language_is_taken(header, name):
    assert language.accepted(header) == name


def test_a_file_s_url_changes_with_any_file(tmp_path):
    (tmp_path / "a.js").write_text("1")
    before = StaticFiles(tmp_path)
    (tmp_path / "b.css").write_text("2")
    after = StaticFiles(tmp_path)

    assert before.url("a.js") != after.url("a.js")
    with pytest.raises(KeyError):
        before.url("none.js")


def test_every_language_s_data_is_read_before_the_first_page():
    code = (
        "from babel import localedata\n"
        "from bridge.console.rendering import Pages\n"
        "from bridge.console.static_files import StaticFiles\n"
        "Pages(StaticFiles(), ())\n"
        "print(*localedata._cache)"
    )
    read = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert set(language.LANGUAGES) <= set(read.stdout.split())


def test_no_template_has_inline_script_or_style_or_another_host():
    from bridge.console.rendering import FOLDER

    for path in FOLDER.rglob("*.html"):
        text = path.read_text()
        for word in ("<style", " style=", " onclick=", " hx-on", "javascript:", "//"):
            assert word not in text.replace("{# ", ""), f"{path.name}: {word}"
        assert "<script>" not in text


def test_pages_that_use_htmx_have_it_and_no_others():
    from bridge.console.rendering import FOLDER

    for path in FOLDER.rglob("*.html"):
        text = path.read_text()
        if '{% extends "base.html" %}' not in text:
            continue
        parts = re.findall(r'{% include "([^"]+)" %}', text)
        shown = text + "".join((FOLDER / part).read_text() for part in parts)
        uses = re.search(r"\shx-\w+=", shown) is not None
        assert uses == ("htmx.html" in parts), path.name


def test_own_styles_have_logical_properties_only():
    from bridge.console.static_files import FOLDER

    for path in FOLDER.glob("*.css"):
        for word in ("margin-left", "margin-right", "padding-left", "padding-right"):
            assert word not in path.read_text(), path.name
        for line in path.read_text().splitlines():
            assert not line.strip().startswith(("left:", "right:", "float:")), line
