"""The report as a PDF: pages, letters and their order, read back from the file."""

import re
import subprocess
import sys
import zlib

import msgspec

from bridge.console.paper import Paper, Table, Text
from bridge.console.report_process import SIZE_MANY_PT, SIZES_PT, pdf_of

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
