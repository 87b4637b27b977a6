"""docs/nodes.md: its figures are the code's, its log lines and metrics are complete."""

import re

import msgspec
import pytest

from bridge.nodes import membership, ownership, reaper, resumed_calls
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm import nodes

from .page import ROOT, flat, page, rows, section

PAGE = page("nodes.md")
TEXT = flat(PAGE)


def source_of(folder):
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.py")))


DEFAULTS = {one.name: one.default for one in msgspec.structs.fields(Settings)}
LABELS = {
    "calls_resumed": {"outcome": "resumed"},
    "node_failures": {"what": "heartbeat"},
    "webhooks_passed_on": {"outcome": "answered"},
}


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("older than {:.0f} s counts as dead", nodes.STALE_S),
        ("for at most {:.0f} s.", resumed_calls.STALE_WAIT_S),
        ("waits {:.0f} s and answers", resumed_calls.STALE_WAIT_S),
        ("has had no owner for {:.0f} s", reaper.ASK_S),
        ("has not asked for {:.0f} s are moved", reaper.ASK_S),
        ("about {:.0f} s | The call", nodes.STALE_S + reaper.ASK_S),
        ("could not be moved within {:.0f} s", reaper.GIVE_UP_S),
        ("recorded after {:.0f} s", reaper.GIVE_UP_S),
        ("`RESUME_MAX` ({}) times at most", DEFAULTS["resume_max"]),
        ("(configuration.md#resume_max) | {} |", DEFAULTS["resume_max"]),
    ],
)
def test_a_figure_in_the_text_is_the_codes(words, value):
    assert words.format(value) in TEXT


def test_what_is_done_once_a_second_is_done_once_a_second():
    everywhere = {membership.BEAT_S, ownership.EVERY_S, reaper.EVERY_S}

    assert everywhere == {1.0}


def test_every_log_line_of_nodes_is_explained():
    joined = re.sub(r'"\s*\n\s*f?"', "", source_of(ROOT / "bridge"))
    lines = {one.strip() for one in re.findall(r'"\[NODE\] (.*?)"', joined)}
    table = rows(section(PAGE, "## Watch and drain"), "| Log line | Meaning |")
    told = [
        re.escape(span.removeprefix("[NODE] ")).replace("…", ".*")
        for cells in table
        for span in re.findall(r"`([^`]+)`", cells[0])
    ]

    assert len(lines) > 10
    for line in lines - {"%s"}:
        assert any(re.fullmatch(one, line) for one in told), line


def test_every_metric_of_nodes_is_explained():
    metrics = Metrics()
    counted = {
        name
        for name in re.findall(
            r'count\(\s*"(\w+)"', source_of(ROOT / "bridge" / "nodes")
        )
        if metrics.value(name, **LABELS.get(name, {})) == 0
    }
    table = rows(section(PAGE, "## Watch and drain"), "| Metric | Counts |")

    assert {f"`kolbridge_{name}_total`" for name in counted} == {
        cells[0] for cells in table
    }
