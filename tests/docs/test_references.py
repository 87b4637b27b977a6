import ast
import sys

import pytest

from bridge.settings.process import NAMES, load
from scripts import metric_reference, module_reference, write_references
from scripts.write_references import references, sections

from .pages import ROOT

READERS = sorted(
    path
    for place in ("bridge", "crm", "dsp")
    for path in (ROOT / place).rglob("*.py")
    if "sandbox" not in path.parts
)


def test_each_reference_says_what_the_types_say():
    stale = [path for path, text in references().items() if path.read_text() != text]

    assert not stale, "make references"


def test_a_setting_without_a_text_is_refused(monkeypatch):
    monkeypatch.setattr(write_references, "NAMES", NAMES | {"NEW_SETTING"})

    with pytest.raises(ValueError, match="not in both: NEW_SETTING"):
        sections()


def test_a_page_changes_with_the_types(monkeypatch):
    before = write_references.configuration_page()
    monkeypatch.setattr(write_references, "PRICES_DATE", "May 1999")

    assert write_references.configuration_page() != before


def test_every_example_is_a_value_that_is_taken():
    examples = {one.name: one.example for each in sections() for one in each.settings}

    settings = load(examples)

    assert settings.port == 8080
    assert settings.call.limit_open_bookings_withheld == 10


def test_whatever_reads_the_environment_is_on_the_page():
    told = (ROOT / "docs" / "configuration.md").read_text()
    read = {
        name
        for path in (*READERS, ROOT / "setup.py", ROOT / "tests" / "conftest.py")
        for name in environment_names(path.read_text())
    }

    assert "CRM_PG_BIN" in read
    assert not {name for name in read if name not in told}


def environment_names(text):
    """Return the names that a source asks `os.environ` for."""
    for node in ast.walk(ast.parse(text)):
        asked = None
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.get":
            asked = node.args[0]
        elif isinstance(node, ast.Subscript):
            asked = node.slice if ast.unparse(node.value) == "os.environ" else None
        if isinstance(asked, ast.Constant):
            yield asked.value


def test_labels_are_those_that_are_counted_with():
    labels = metric_reference.counted_labels()

    assert labels["tools"].keys() == {"name", "outcome"}
    assert "written" in labels["records"]["outcome"]


def test_check_writes_nothing_and_fails_on_a_page_that_is_out_of_date(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(write_references, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["write_references.py", "--check"])

    assert write_references.main() == 1
    assert "docs/metrics.md is out of date" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ('"""A gate: one frame in.\n\nMore. Text.\n"""\n', "A gate: one frame in."),
        ('"""By R. Martin et al. in\n2001. More."""', "By R. Martin et al. in 2001."),
        ("# A filter, at 8 kHz:\n#   butter(2)\n# More.\n", "A filter, at 8 kHz."),
        ("# What `x.pyx` is\n\ncdef int y\n", "What `x.pyx` is."),
    ],
)
def test_a_module_is_described_by_its_first_sentence(source, sentence):
    paragraphs = module_reference.paragraphs_of(source)

    assert module_reference.first_sentence(paragraphs[0]) == sentence


def test_a_module_that_says_nothing_about_itself_is_refused():
    with pytest.raises(ValueError, match="says nothing about itself"):
        module_reference.paragraphs_of("import os\n")
