"""The report as a PDF: pages, letters and their order, read back from the file."""

import re
import subprocess
import sys
import zlib

import msgspec
import pytest

from bridge.console.paper import Paper, Table, Text
from bridge.console.report_process import (
    ROW_CHARS_MAX,
    ROW_LINES_MAX,
    SIZE_MANY_PT,
    SIZES_PT,
    pdf_of,
    pieces_of,
)

FACTS = (("שם", "דנה כהן"), ("מספר", "\u200e+1555…01"))


def paper(rows=2, *, is_right_to_left=True):
    said = tuple((f"0:{at:02}", "המתקשר", "אפשר תור? " * 9) for at in range(rows))
    return Paper(
        "he",
        is_right_to_left,
        "מוכן?",
        "as of today",
        (
            Table("בדיקות", (4, 50, 46), (("✓", "יש ברכה", ""), ("✗", "ליד", "none"))),
            Table("השיחה", (7, 20, 73), said, ("זמן", "מי", "מה")),
            Table("הליד", (25, 75), FACTS),
            Text("מה נאמר", "You are brief.\n\nאל תבטיחי הנחות."),
        ),
    )


def pages(pdf):
    return len(re.findall(rb"/Type /Page\b", pdf))


def sizes(pdf):
    """Return the sizes of the letters that the pages have."""
    found = set()
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            drawn = zlib.decompress(packed)
        except zlib.error:
            continue
        found |= set(re.findall(rb"/F\d+ ([\d.]+) Tf", drawn))
    return {float(one) for one in found}


def test_a_short_report_is_one_page_and_a_long_one_has_its_letters_smaller():
    short, long, longest = (pdf_of(paper(rows)) for rows in (2, 30, 300))

    assert pages(short) == 1
    assert SIZES_PT[0] in sizes(short)
    assert pages(long) == 1
    assert sizes(long) & set(SIZES_PT[1:])
    assert pages(longest) > 5
    assert SIZE_MANY_PT in sizes(longest)


def test_a_text_that_is_longer_than_a_page_is_printed_whole():
    rows = (("0:01", "the caller", "a\n\n" * 40),)
    table = Table("Said", (7, 20, 73), rows, ("At", "Who", "What"))

    pdf = pdf_of(Paper("en", False, "Ready?", "as of today", (table,)))

    assert pages(pdf) == 2


@pytest.mark.parametrize("text", ["", "a" * 9_000, "word " * 2_000, "a\n\nb\n" * 80])
def test_a_long_text_is_cut_into_rows_that_fit_on_a_page(text):
    pieces = pieces_of(text)

    assert "\n".join(pieces).split() == text.split() or "".join(pieces) == text
    assert all(len(piece) <= ROW_CHARS_MAX + ROW_LINES_MAX for piece in pieces)
    assert all(piece.count("\n") < ROW_LINES_MAX for piece in pieces)


def test_the_process_reads_a_paper_and_writes_a_pdf():
    done = subprocess.run(
        [sys.executable, "-m", "bridge.console.report_process"],
        input=msgspec.json.encode(paper()),
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.startswith(b"%PDF-")
    assert pages(done.stdout) == 1
