"""Reads the pages of `docs/` for the tests that compare them with the code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def page(name):
    return (DOCS / name).read_text("utf-8")


def section(text, heading):
    """Return the text below a heading of a page, up to the next of its rank."""
    rank = heading.split()[0]
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(rank)}}} |\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"the page has no heading {heading!r}"
    return found[1]


def flat(text):
    """Return a text as one line, without the page's line breaks."""
    return " ".join(text.split())


def rows(text, header):
    """Return the rows of the table that begins with this header, as lists of cells."""
    lines = text.splitlines()
    assert header in lines, f"the page has no table {header!r}"
    found = []
    for line in lines[lines.index(header) + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def blocks(text, language):
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", text, re.M | re.S)
