"""What a page names exists: settings, metrics, log lines."""

import re

import pytest
import yaml

from bridge.settings.process import NAMES
from scripts.metric_reference import families

from .pages import PAGES, ROOT, blocks_of, spans_of

SOURCES = [
    ROOT / "setup.py",
    *(
        path
        for place in ("bridge", "crm", "dsp", "scripts", "tests", "bench")
        for kind in ("*.py", "*.pyx", "*.pxd", "*.sql", "*.sh")
        for path in sorted((ROOT / place).rglob(kind))
        if ".venvs" not in path.parts and path.parent.name != "docs"
    ),
]
CODE = "\n".join(path.read_text() for path in SOURCES)
# With the pieces of a string joined, as the compiler joins them.
TEXTS = re.sub(r'"\s*\n\s*f?"', "", CODE)
METRICS = {one.name for one in families()}
# Of the database, of Docker and of the folders of a deployment.
NOT_METRICS = {"kolbridge_app", "kolbridge_owner", "kolbridge_service"}
# What other programs read.
FOREIGN = {"PYTHONMALLOC", "GLIBC_TUNABLES", "LD_PRELOAD"}
# What compose asks for, as ${NAME:?}.
FOREIGN |= {
    name
    for file in (ROOT / "deploy").glob("compose*.yaml")
    for name in re.findall(r"\$\{(\w+):\?\}", file.read_text())
}
# Pages whose text in code font is a log line where it is several words.
QUOTING = ("troubleshooting.md", "security.md", "nodes.md")
COMMANDS = {"kolbridge", "curl", "openssl", "psql", "systemctl", "GET", "POST", "WS"}
ENDS = ("_total", "_bucket", "_count", "_sum")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_variables_that_a_page_names_exist(page):
    text = page.read_text()
    named = set(re.findall(r"(?<![\w/%{$])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", text))

    for name in sorted(named - NAMES - FOREIGN):
        is_start = any(one.startswith(f"{name}_") for one in NAMES)
        assert is_start or re.search(rf"\b{name}\b", CODE), name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_metrics_that_a_page_names_are_counted(page):
    for name in set(
        re.findall(r"(?<![#\w])kolbridge_[a-z_]*[a-z]\b", page.read_text())
    ):
        bare = next((name[: -len(end)] for end in ENDS if name.endswith(end)), name)
        assert {name, bare} & METRICS or name in NOT_METRICS, name


@pytest.mark.parametrize("page", QUOTING)
def test_log_lines_that_a_page_quotes_are_written(page):
    """Each fixed piece of one stands in the code. `…` is what varies; pieces end at a
    prefix and at a colon, too."""
    wrong = []
    for line, span in spans_of(ROOT / "docs" / page):
        is_other = re.match("[A-Z_]+=", span) or span.split()[0] in COMMANDS
        if " " in span and not is_other:
            for piece in filter(None, map(str.strip, span.split("…"))):
                parts = [piece] if piece in TEXTS else re.split(r"(?<=]) |: ?", piece)
                wrong += [f"{page}:{line}: {one}" for one in parts if one not in TEXTS]

    assert not wrong


def test_yaml_in_a_page_is_yaml():
    for page in PAGES:
        for block in blocks_of(page):
            if block.language == "yaml" and "--8<--" not in block.text:
                assert yaml.safe_load(block.text), f"{block.page}:{block.line}"
