"""The alert rules: each is whole, and asks for metrics that are there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.telemetry.metrics import Metrics
from tests.bridge import running_service, ws_peer

RULES = Path(__file__).parent.parent / "deploy" / "prometheus" / "alerts.yml"
BRIDGE = Path(__file__).parent.parent / "bridge"
# What Prometheus makes itself.
OF_PROMETHEUS = {"up"}


def expressions():
    """Return each alert with its expression, which may have lines of its own."""
    found = {}
    for text in RULES.read_text().split("- alert: ")[1:]:
        name, _, rest = text.partition("\n")
        found[name] = re.search(r"expr: (.*?)\n        (?:for|labels):", rest, re.S)[1]
    return found


def families(url, home):
    """Return the metrics of a service that has just started."""
    pages = []

    async def story():
        async with running_service.served(url, home) as at:
            pages.append(at.server._exposition().decode())

    ws_peer.run(story)
    return list(text_string_to_metric_families(pages[0]))


def counted(url, home):
    """Return the metrics of a service, with all the names their samples may have."""
    names = set()
    for family in families(url, home):
        ends = {
            "counter": ("_total",),
            "histogram": ("_bucket", "_count", "_sum"),
            "gauge": ("",),
        }
        names |= {family.name + end for end in ends[family.type]}
    return names


def test_every_metric_that_a_rule_names_exists(embedded_url, tmp_path):
    known = counted(embedded_url, tmp_path) | OF_PROMETHEUS
    rules = expressions()

    assert len(rules) > 10
    for name, expression in rules.items():
        named = set(re.findall(r"\b(kolbridge_\w+|up)\b(?!\")", expression))
        assert named, name
        assert named <= known, name


def test_first_count_of_what_must_never_be_is_an_increase():
    """Prometheus sees none where a series begins with 1."""
    at_start = {family.name: family.samples for family in Metrics().counters([])}
    selected = re.compile(r"increase\((\w+)_total\{(\w+)=~?\"(.+?)\"\}")
    found = 0
    for name, expression in expressions().items():
        if not expression.endswith("> 0"):
            continue
        for counter, label, values in selected.findall(expression):
            there = {sample.labels[label] for sample in at_start[counter]}
            for value in values.split("|"):
                found += 1
                assert any(re.fullmatch(value, one) for one in there), (name, value)

    assert found > 5


def test_first_failure_inside_is_an_increase(embedded_url, tmp_path):
    at_start = {
        family.name: family.samples for family in families(embedded_url, tmp_path)
    }
    webhooks = at_start["kolbridge_webhook_failures"]
    tasks = {one.labels["task"] for one in at_start["kolbridge_task_failures"]}
    noted = re.compile(r'note_failure\([\w.]*metrics, "(\w+)"')
    # Supervised tasks of the messenger and of a node, which is none here.
    elsewhere = {"announcements", "reaper"}
    sources = (file.read_text() for file in BRIDGE.rglob("*.py"))
    names = {name for text in sources for name in noted.findall(text)} - elsewhere

    assert "/twilio/voice" in {one.labels["endpoint"] for one in webhooks}
    assert {"journal", "records", "notices"} < tasks
    assert len(names) == 5
    assert names <= tasks


def test_messages_that_are_kept_given_up_or_refused_are_not_unseen():
    named = " ".join(expressions().values())

    for metric in (
        "kolbridge_messages_waiting",
        "kolbridge_messenger_restarts_total",
        "kolbridge_message_turns_given_up_total",
        "kolbridge_requests_of_other_accounts_total",
    ):
        assert metric in named


def test_rules_are_yaml_and_whole():
    yaml = pytest.importorskip("yaml")
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    assert {rule["alert"] for rule in rules} == expressions().keys()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_rules_are_prometheus_own():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    command = [promtool, "check", "rules", str(RULES)]
    checked = subprocess.run(command, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stderr
