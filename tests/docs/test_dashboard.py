"""The dashboard and Prometheus of deploy/: whole, and about metrics that are there."""

import re
import shutil
import subprocess

import orjson
import pytest
import yaml

from tests.test_alerts import OF_PROMETHEUS, RULES, counted

from .pages import ROOT

DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "kolbridge.json"
BOARD = orjson.loads(DASHBOARD.read_bytes())
PANELS = [one for one in BOARD["panels"] if one["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
SERVICES = yaml.safe_load((DEPLOY / "compose.nodes.yaml").read_text())["services"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {"none", "s", "percentunit"}
COLUMNS = 24
# Of every sample, by Prometheus; of histograms.
ADDED = {"instance", "job"}


def labels_by_metric():
    """Return the labels of each metric, as docs/metrics.md says."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (?:[^|]*) \| ([^|]*) \|$", page, re.MULTILINE)
    return {
        name: set(re.findall(r"`(\w+)`: ", labels + " "))
        for name, labels in rows
        if name
    }


def metric_of(sample):
    """Return the metric of a sample: histograms have three kinds of them."""
    return re.sub(r"_(?:bucket|count|sum)$", "", sample)


def labels_in(query):
    """Return the labels that a query chooses or groups by."""
    groups = re.findall(r"\bby \(([^)]*)\)", query)
    chosen = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query)
    return {label.strip() for group in groups for label in group.split(",")} | {*chosen}


def as_prometheus_reads(query):
    """Return a query with Grafana's variables filled in."""
    filled = query.replace("$__rate_interval", "1m").replace("$node", "node-1")
    assert "$" not in filled, query
    return filled


def test_every_metric_of_the_dashboard_exists(embedded_url, tmp_path):
    known = counted(embedded_url, tmp_path) | OF_PROMETHEUS

    assert len(QUERIES) > 30
    for query in [*QUERIES, "kolbridge_calls_active"]:
        named = set(re.findall(r"\b(kolbridge_\w+|up)\b(?!\")", query))
        assert named, query
        assert named <= known, query


def test_every_label_of_the_dashboard_is_one_of_its_metric():
    known = labels_by_metric()

    for query in QUERIES:
        allowed = set(ADDED)
        for sample in re.findall(r"\bkolbridge_\w+\b(?!\")", query):
            allowed |= known.get(sample) or known[metric_of(sample)]
            allowed |= {"le"} if sample.endswith("_bucket") else set()
        assert labels_in(query) <= allowed, query


def test_legends_name_labels_that_the_query_keeps():
    for panel in PANELS:
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            groups = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            kept = {label.strip() for group in groups for label in group.split(",")}
            assert target["legendFormat"], panel["title"]
            assert named <= kept, target["expr"]


def test_panels_are_whole():
    ids = [panel["id"] for panel in BOARD["panels"]]

    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        assert panel["title"]
        assert panel["type"] in ("stat", "timeseries")
        assert panel["datasource"] == SOURCE
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        names = [target["refId"] for target in panel["targets"]]
        assert names
        assert len(set(names)) == len(names)
        for target in panel["targets"]:
            assert target["datasource"] == SOURCE


def test_panels_fill_the_grid_without_an_overlap():
    taken = set()

    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, panel["title"]
                taken.add((x, y))
    # Grafana would move panels up into a gap.
    rows = max(y for _, y in taken) + 1
    assert len(taken) == rows * COLUMNS


def test_sums_are_over_the_chosen_nodes_and_each_node_has_a_row():
    variables = {one["name"]: one for one in BOARD["templating"]["list"]}
    (row,) = (panel for panel in BOARD["panels"] if panel.get("repeat"))
    below = [one for one in PANELS if one["gridPos"]["y"] > row["gridPos"]["y"]]

    assert variables["datasource"]["query"] == "prometheus"
    assert variables["node"]["datasource"] == SOURCE
    assert variables["node"]["multi"] and variables["node"]["includeAll"]
    assert row["repeat"] == "node"
    assert below
    for panel in PANELS:
        wanted = 'instance="$node"' if panel in below else 'instance=~"$node"'
        for target in panel["targets"]:
            samples = re.findall(r"\b(?:kolbridge_\w+|up)\b(?!\")", target["expr"])
            assert target["expr"].count(wanted) == len(samples), target["expr"]


def test_a_total_is_zero_before_its_first_event():
    """A counter with labels has no sample before."""
    known = labels_by_metric()

    for query in QUERIES:
        names = re.findall(r"\bkolbridge_\w+_total\b", query)
        if any(known[name] for name in names) and " by (" not in query:
            assert query.endswith(" or vector(0)"), query


def test_queries_are_prometheus_own(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    rules = [
        {"record": f"query_{at}", "expr": as_prometheus_reads(query)}
        for at, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    command = [promtool, "check", "rules", "--lint=none", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stderr
    assert f"{len(QUERIES)} rules found" in checked.stdout


# --- what compose makes of it ---


def scraping():
    return yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())


def test_prometheus_scrapes_both_nodes_with_their_token():
    (job,) = scraping()["scrape_configs"]
    (targets,) = (one["targets"] for one in job["static_configs"])
    token = job["authorization"]["credentials_file"].rpartition("/")[2]

    assert f'job="{job["job_name"]}"' in RULES.read_text()
    for target in targets:
        name, port = target.split(":")
        environment = SERVICES[name]["environment"]
        assert environment["ADMIN_PORT"] == port
        assert environment["ADMIN_HOST"] == "0.0.0.0"
        assert environment["ADMIN_TOKEN"] == "${ADMIN_TOKEN:?}"
        (relabel,) = job["relabel_configs"]
        assert re.fullmatch(relabel["regex"], target)[1] == name
    assert token in SERVICES["prometheus"]["secrets"]
    assert sorted(target.split(":")[0] for target in targets) == ["node-1", "node-2"]


def test_prometheus_has_the_alert_rules():
    (folder,) = (
        volume.split(":")[0]
        for volume in SERVICES["prometheus"]["volumes"]
        if volume.startswith("./")
    )

    for file in scraping()["rule_files"]:
        assert (DEPLOY / folder / file).samefile(RULES)


def test_grafana_finds_data_source_and_dashboard():
    mounted = dict(
        volume.split(":")[:2]
        for volume in SERVICES["grafana"]["volumes"]
        if volume.startswith("./")
    )
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load(
        (provisioning / "datasources" / "prometheus.yml").read_text()
    )["datasources"]
    (provider,) = yaml.safe_load(
        (provisioning / "dashboards" / "kolbridge.yml").read_text()
    )["providers"]

    assert source["url"] == "http://prometheus:9090"
    assert source["type"] == SOURCE["type"]
    assert source["jsonData"]["timeInterval"] == scraping()["global"]["scrape_interval"]
    inside = mounted["./grafana/kolbridge.json"]
    assert inside.rpartition("/")[0] == provider["options"]["path"]
    assert mounted["./grafana/provisioning"] == "/etc/grafana/provisioning"


def test_only_this_machine_reaches_what_shows_metrics():
    for name in ("prometheus", "grafana"):
        for port in SERVICES[name]["ports"]:
            assert port.startswith("127.0.0.1:")
    for name in ("node-1", "node-2"):
        assert "ports" not in SERVICES[name]


def test_prometheus_reads_its_settings(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    (tmp_path / "token").write_text("letters")
    token = scraping()["scrape_configs"][0]["authorization"]["credentials_file"]
    (tmp_path / "prometheus.yml").write_text(
        text.replace(token, str(tmp_path / "token"))
    )
    shutil.copy(RULES, tmp_path)
    command = [promtool, "check", "config", str(tmp_path / "prometheus.yml")]
    checked = subprocess.run(command, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stderr
