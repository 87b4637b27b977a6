"""Refuse a site that loads anything from another host.

A reader's browser must load everything from the host of the pages: no third party
learns who reads them, and the pages work without a network. The script takes the folder
of the site. It prints each fault, and exits with 1 if there is one.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

# The attributes whose address a browser loads. A link to follow (`a href`) is not one.
LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
}
# These kinds of `link` load nothing.
PASSIVE_LINKS = {"canonical", "next", "prev", "alternate"}
# The theme fetches the library that draws these from a public host.
FETCHING_CLASSES = {"mermaid"}
REMOTE = re.compile(r"^\s*(?:[a-z]+:)?//", re.IGNORECASE)
REMOTE_IN_CSS = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)")


class Page(HTMLParser):
    """Collects what a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note each address of another host that the tag loads."""
        given = {name: value or "" for name, value in attrs}
        loaded = LOADED.get(tag, ())
        if tag == "link" and given.get("rel") not in PASSIVE_LINKS:
            loaded = ("href",)
        self.found += [given[one] for one in loaded if REMOTE.match(given.get(one, ""))]
        self.found += FETCHING_CLASSES.intersection(given.get("class", "").split())
        self.found += REMOTE_IN_CSS.findall(given.get("style", ""))


def remote_of(path: Path) -> list[str]:
    """Return what one file of the site loads from other hosts."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return REMOTE_IN_CSS.findall(text)
    page = Page()
    page.feed(text)
    return page.found


def faults_of(site: Path) -> Iterator[str]:
    """Yield a line for each file that loads something from another host."""
    for path in sorted(site.rglob("*")):
        if path.suffix in (".html", ".css"):
            for address in remote_of(path):
                yield f"{path.relative_to(site)}: loads {address} from another host"


def main() -> int:
    """Check the site that the command names."""
    site = Path(sys.argv[1])
    if not (site / "index.html").exists():
        sys.exit(f"{site} is no site: it has no index.html")
    faults = list(faults_of(site))
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
