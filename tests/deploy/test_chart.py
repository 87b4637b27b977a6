"""The Helm chart: helm takes it, and what it renders is Kubernetes' and whole."""

import re
import subprocess
import tarfile
import tomllib

import jsonschema
import pytest
import yaml

from tests.docs.test_deploy import call_seconds_max

from .chart import (
    CHART,
    EVERYTHING,
    MINIMAL,
    ROOT,
    SETS,
    VERSIONS,
    helm_binary,
    of_kind,
    only,
    render,
    render_text,
    run_helm,
    schema_name,
    template,
    validator,
)
from .custom_resources import CUSTOM

EACH_SET = pytest.mark.parametrize("values", SETS.values(), ids=SETS)


@EACH_SET
def test_helm_finds_no_fault(values):
    done = run_helm("lint", "--strict", str(CHART), values=values)

    assert done.returncode == 0, done.stdout + done.stderr


@EACH_SET
@pytest.mark.parametrize("version", VERSIONS)
def test_each_object_has_kubernetes_schema_and_no_other_field(values, version):
    names = set()
    for one in render(values):
        names.add((one["kind"], one["metadata"]["name"]))
        if schema := CUSTOM.get((one["apiVersion"], one["kind"])):
            jsonschema.validate(one, schema)
            continue
        found = validator(version, schema_name(one))
        assert found is not None, schema_name(one)
        found.validate(one)

    assert len(names) == len(render(values))


def test_schema_of_kubernetes_refuses_a_field_that_is_none():
    one = only(MINIMAL, "StatefulSet")
    (container,) = one["spec"]["template"]["spec"]["containers"]
    container["livenesProbe"] = container.pop("livenessProbe")

    with pytest.raises(jsonschema.ValidationError, match="livenesProbe"):
        validator(VERSIONS[-1], schema_name(one)).validate(one)


def test_what_is_switched_on_is_there_and_else_is_not():
    assert {one["kind"] for one in render(MINIMAL)} == {
        *("StatefulSet", "Service", "Job", "PodDisruptionBudget", "NetworkPolicy"),
        "HTTPRoute",
    }
    assert {one["kind"] for one in render(EVERYTHING)} == {
        *("StatefulSet", "Service", "Job", "PodDisruptionBudget", "NetworkPolicy"),
        *("Ingress", "ServiceMonitor", "PrometheusRule", "ScaledObject"),
    }
    assert {one["kind"] for one in render(SETS["alone"])} == {"StatefulSet", "Service"}


@EACH_SET
def test_every_selector_finds_the_nodes_and_nothing_else(values):
    stateful = only(values, "StatefulSet")
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    nodes = stateful["spec"]["selector"]["matchLabels"]
    selectors = [nodes]
    for service in of_kind(values, "Service").values():
        selector = dict(service["spec"]["selector"])
        pod = selector.pop("statefulset.kubernetes.io/pod-name", None)
        assert pod in (None, service["metadata"]["name"])
        selectors.append(selector)
    selectors += [
        one["spec"]["selector"]["matchLabels"]
        for one in of_kind(values, "PodDisruptionBudget").values()
    ]
    if constraint := stateful["spec"]["template"]["spec"]["topologySpreadConstraints"][
        0
    ].get("labelSelector"):
        selectors.append(constraint["matchLabels"])

    assert all(one == nodes for one in selectors)
    assert nodes.items() <= labels.items()
    for job in of_kind(values, "Job").values():
        others = job["spec"]["template"]["metadata"]["labels"]
        assert not nodes.items() <= others.items()


def test_a_long_release_name_still_names_pods_and_labels():
    done = template(MINIMAL, release="a" * 53)
    assert done.returncode == 0, done.stderr
    for one in yaml.safe_load_all(done.stdout):
        # A pod's name, with its number, and a revision's name are labels.
        assert len(one["metadata"]["name"]) <= 52


def test_chart_has_the_version_of_the_service():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == chart["version"] == project["version"]
    oldest = re.search(r">=([\d.]+)", chart["kubeVersion"])[1]
    assert oldest == VERSIONS[0]


def test_an_older_cluster_is_refused():
    done = template(MINIMAL, "--kube-version", "1.29.0")

    assert done.returncode != 0
    assert "kubeVersion" in done.stderr


@EACH_SET
def test_chart_holds_no_secret(values):
    assert "Secret" not in {one["kind"] for one in render(values)}
    text = render_text(values)
    for file in (CHART / "values.yaml", *CHART.glob("templates/*")):
        text += file.read_text()

    assert not re.search(r"postgres(ql)?://|sk-[A-Za-z0-9]|AC[0-9a-f]{32}", text)


def test_image_is_the_charts_version_or_what_is_named():
    def image(**given):
        values = {**MINIMAL, "image": {"repository": "r/kolbridge", **given}}
        pod = only(values, "StatefulSet")["spec"]["template"]["spec"]
        job = only(values, "Job")["spec"]["template"]["spec"]
        (one,), (other,) = pod["containers"], job["containers"]
        assert one["image"] == other["image"]
        return one["image"]

    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    digest = "sha256:" + "a" * 64
    assert image() == f"r/kolbridge:{version}"
    assert image(tag="next") == "r/kolbridge:next"
    assert image(tag="next", digest=digest) == f"r/kolbridge@{digest}"


def test_values_of_the_page_are_taken():
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    found = re.findall(r'^```yaml title="values.yaml"\n(.*?)^```$', page, re.M | re.S)
    first, more = map(yaml.safe_load, found)

    assert of_kind(first, "HTTPRoute")
    assert of_kind({**first, **more}, "ScaledObject")
    assert f"Kubernetes {VERSIONS[0][:-2]}" in page
    for version in VERSIONS:
        assert f"of {version[:-2]}" in page


def test_controllers_defaults_stand_on_the_page_with_the_longest_call():
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    hours = re.findall(r"(?:timeout-tunnel|hard-stop-after|-timeout): (\d+)h", page)

    assert len(hours) == 3
    for one in hours:
        assert int(one) * 3600 >= call_seconds_max()


@EACH_SET
def test_what_an_object_names_in_another_is_there(values):
    stateful = only(values, "StatefulSet")["spec"]
    pod = stateful["template"]["spec"]
    (container,) = pod["containers"]
    ports = {one["name"] for one in container["ports"]}
    volumes = {one["name"] for one in pod["volumes"]} | {
        one["metadata"]["name"] for one in stateful.get("volumeClaimTemplates", ())
    }
    services = of_kind(values, "Service")
    named = {
        container[probe]["httpGet"]["port"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    for service in services.values():
        named |= {one["targetPort"] for one in service["spec"]["ports"]}
    for policy in of_kind(values, "NetworkPolicy").values():
        for rule in policy["spec"]["ingress"]:
            named |= {one["port"] for one in rule["ports"]}

    assert named == ports
    assert {one["name"] for one in container["volumeMounts"]} == volumes
    for route in of_kind(values, "HTTPRoute").values():
        for rule in route["spec"]["rules"]:
            (backend,) = rule["backendRefs"]
            offered = services[backend["name"]]["spec"]["ports"]
            assert backend["port"] in {one["port"] for one in offered}
    for ingress in of_kind(values, "Ingress").values():
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            backend = path["backend"]["service"]
            offered = services[backend["name"]]["spec"]["ports"]
            assert backend["port"]["name"] in {one["name"] for one in offered}


def test_packaged_chart_holds_the_rules_themselves(tmp_path):
    done = subprocess.run(
        [helm_binary(), "package", CHART, "--destination", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.iterdir()
    with tarfile.open(package) as archive:
        rules = archive.extractfile("kolbridge/files/alerts.yml").read()

    assert rules == (ROOT / "deploy" / "prometheus" / "alerts.yml").read_bytes()
