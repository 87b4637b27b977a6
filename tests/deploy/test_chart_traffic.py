"""The Helm chart's ways in and out: routes, services, network policy, monitoring and
autoscaling."""

import re

import pytest
import yaml

from scripts.metric_reference import families

from .chart import (
    EVERYTHING,
    GATEWAY,
    MINIMAL,
    NAMESPACE,
    NGINX,
    REQUIRED,
    ROOT,
    SETS,
    environment_of,
    of_kind,
    only,
    pod_of,
    template,
)

HAPROXY = {**REQUIRED, "routing": {"kind": "ingress"}}
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
STREAM = "/twilio/media/one/0"
# routing.nodes
ROUTED = 10
PAGES = ["/console", "/api/v1", "/feeds"]
METRICS = {one.name for one in families()}


def nodes_of(values, count):
    name = only(values, "StatefulSet")["metadata"]["name"]
    return [f"{name}-{at}" for at in range(count)]


# --- services ---


def test_a_node_is_reached_while_it_drains_and_webhooks_go_to_ready_ones():
    services = of_kind(MINIMAL, "Service")
    (all_nodes,) = [
        name for name, one in services.items() if one["spec"].get("clusterIP") == "None"
    ]
    waiting = {
        name
        for name, one in services.items()
        if one["spec"].get("publishNotReadyAddresses")
    }
    stateful = only(MINIMAL, "StatefulSet")

    assert stateful["spec"]["serviceName"] == all_nodes
    assert waiting == {all_nodes, *nodes_of(MINIMAL, ROUTED)}
    assert services.keys() - waiting == {stateful["metadata"]["name"]}


def test_a_nodes_own_service_leads_to_its_pod_alone():
    services = of_kind(MINIMAL, "Service")
    for node in nodes_of(MINIMAL, 2):
        selector = services[node]["spec"]["selector"]
        assert selector["statefulset.kubernetes.io/pod-name"] == node


def test_every_node_that_may_run_has_a_way_to_it():
    fixed = {**MINIMAL, "replicas": ROUTED + 1}
    assert {*nodes_of(fixed, ROUTED + 1)} < of_kind(fixed, "Service").keys()
    assert {*nodes_of(fixed, ROUTED + 1)} < of_kind(fixed, "HTTPRoute").keys()
    scaled = EVERYTHING
    count = scaled["autoscaling"]["maxReplicas"]
    assert {*nodes_of(scaled, count)} < of_kind(scaled, "Service").keys()
    assert {*nodes_of(scaled, count)} < of_kind(scaled, "Ingress").keys()
    assert len(of_kind(SETS["alone"], "Service")) == 2


@pytest.mark.parametrize("values", [MINIMAL, HAPROXY], ids=["gateway", "ingress"])
def test_a_node_that_fewer_replicas_take_away_keeps_its_way(values):
    """Helm removes what it does not render at once; the node's calls go on."""
    before, after = ({**values, "replicas": count} for count in (3, 1))

    for kind in ("Service", "HTTPRoute", "Ingress"):
        assert of_kind(after, kind).keys() == of_kind(before, kind).keys()


# --- routes ---


def path_of(url):
    return url.removeprefix(f"https://{REQUIRED['host']}")


def test_gateway_leads_a_nodes_paths_to_it_without_its_prefix():
    routes = of_kind(MINIMAL, "HTTPRoute")
    url = environment_of(MINIMAL)["NODE_URL"]["value"]
    for node in nodes_of(MINIMAL, 2):
        (rule,) = routes[node]["spec"]["rules"]
        (match,) = rule["matches"]
        (rewrite,) = rule["filters"]
        asked = path_of(url.replace("$(NODE_NAME)", node)) + STREAM
        prefix = match["path"]["value"]
        assert asked.startswith(f"{prefix}/")
        kept = asked.removeprefix(prefix)
        assert rewrite["urlRewrite"]["path"]["replacePrefixMatch"] + kept == STREAM
        assert rule["backendRefs"] == [{"name": node, "port": 80}]
        assert rule["timeouts"] == {"request": "0s"}
    webhooks, pages = routes["voice-kolbridge"]["spec"]["rules"]
    assert webhooks["matches"] == [{"path": {"type": "PathPrefix", "value": "/twilio"}}]
    assert [one["path"]["value"] for one in pages["matches"]] == PAGES
    assert pages["timeouts"] == {"request": "0s"}
    for rule in (webhooks, pages):
        assert "filters" not in rule
        assert rule["backendRefs"] == [{"name": "voice-kolbridge", "port": 80}]
    for one in routes.values():
        assert one["spec"]["hostnames"] == [REQUIRED["host"]]
        assert one["spec"]["parentRefs"] == GATEWAY["gateway"]["parentRefs"]


def ingress_path(ingress):
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == REQUIRED["host"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {
        "name": ingress["metadata"]["name"],
        "port": {"name": "http"},
    }
    return path


def test_haproxys_controller_takes_the_prefix_off():
    ingresses = of_kind(HAPROXY, "Ingress")
    url = environment_of(HAPROXY)["NODE_URL"]["value"]
    for node in nodes_of(HAPROXY, 2):
        asked = path_of(url.replace("$(NODE_NAME)", node)) + STREAM
        path = ingress_path(ingresses[node])
        assert path["pathType"] == "Prefix"
        assert asked.startswith(path["path"])
        # As `http-request replace-path` reads it.
        rewrite = ingresses[node]["metadata"]["annotations"]["haproxy.org/path-rewrite"]
        wanted, given = rewrite.split()
        assert re.search(wanted, asked).expand(given) == STREAM
        assert ingresses[node]["spec"]["ingressClassName"] == "haproxy"
    webhooks = ingresses["voice-kolbridge"]
    assert ingress_path(webhooks)["path"] == "/twilio/"
    assert "annotations" not in webhooks["metadata"]


def test_ingress_nginx_takes_the_prefix_off_and_lets_a_stream_last():
    ingresses = of_kind(NGINX, "Ingress")
    url = environment_of(NGINX)["NODE_URL"]["value"]
    for node in nodes_of(NGINX, 2):
        asked = path_of(url.replace("$(NODE_NAME)", node)) + STREAM
        path = ingress_path(ingresses[node])
        notes = ingresses[node]["metadata"]["annotations"]
        name = "nginx.ingress.kubernetes.io"
        found = re.match(f"^{path['path']}", asked)
        assert path["pathType"] == "ImplementationSpecific"
        assert notes[f"{name}/use-regex"] == "true"
        given = notes[f"{name}/rewrite-target"].replace("$1", r"\1")
        assert found.expand(given) == STREAM
        for kind in ("read", "send"):
            assert int(notes[f"{name}/proxy-{kind}-timeout"]) >= 14_400


@pytest.mark.parametrize("values", [HAPROXY, NGINX], ids=["haproxy", "nginx"])
def test_ingress_leads_to_the_pages_on_any_ready_node(values):
    ingress = of_kind(values, "Ingress")["voice-kolbridge-pages"]
    (rule,) = ingress["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == [f"{p}/" for p in PAGES]
    for path in rule["http"]["paths"]:
        assert path["pathType"] == "Prefix"
        assert path["backend"]["service"]["name"] == "voice-kolbridge"
    # A recording takes a while, and an event stream says something each 10 s.
    (seconds,) = ingress["metadata"]["annotations"].values()
    assert int(seconds.removesuffix("s")) == 200


def test_pages_can_be_kept_inside():
    gateway = {**MINIMAL, "routing": {**MINIMAL["routing"], "pages": False}}
    assert "/console" not in yaml.safe_dump(of_kind(gateway, "HTTPRoute"))
    ingress = {**HAPROXY, "routing": {**HAPROXY["routing"], "pages": False}}
    assert "/console/" not in yaml.safe_dump(of_kind(ingress, "Ingress"))


def test_ingress_has_the_certificate_and_the_annotations_of_its_values():
    for ingress in of_kind(EVERYTHING, "Ingress").values():
        assert ingress["metadata"]["annotations"]["a.example/b"] == "c"
        assert ingress["spec"]["tls"] == [
            {"hosts": [REQUIRED["host"]], "secretName": "voice-tls"}
        ]


# --- network policy ---


def test_only_the_balancer_and_prometheus_come_in():
    policy = only(EVERYTHING, "NetworkPolicy")["spec"]
    given = EVERYTHING["networkPolicy"]
    ports = {one["name"] for one in pod_of(EVERYTHING)["containers"][0]["ports"]}

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [
        {"from": given["balancer"], "ports": [{"port": "http"}]},
        {"from": given["prometheus"], "ports": [{"port": "admin"}]},
    ]
    assert ports == {"http", "admin"}
    (alone,) = only(MINIMAL, "NetworkPolicy")["spec"]["ingress"]
    assert alone["ports"] == [{"port": "http"}]


def test_nodes_reach_dns_https_the_balancer_and_postgresql_alone():
    policy = only(EVERYTHING, "NetworkPolicy")["spec"]
    given = EVERYTHING["networkPolicy"]
    dns, https, balancer, postgresql, proxy = policy["egress"]

    assert dns == {"ports": [{"port": 53, "protocol": one} for one in ("UDP", "TCP")]}
    assert https == {"ports": [{"port": 443, "protocol": "TCP"}]}
    # They pass webhooks on to each other by the public name.
    assert balancer == {"to": given["balancer"]}
    assert postgresql == {
        "ports": [{"port": 6432, "protocol": "TCP"}],
        "to": given["postgresql"]["to"],
    }
    assert [proxy] == given["extraEgress"]
    # The Job that migrates is under it, too.
    assert "app.kubernetes.io/component" not in policy["podSelector"]["matchLabels"]


@pytest.mark.parametrize(("given", "port"), [({}, 587), ({"SMTP_PORT": "465"}, 465)])
def test_nodes_reach_the_server_of_e_mails_where_there_is_one(given, port):
    values = {**HAPROXY, "settings": {"SMTP_HOST": "mail.example.com", **given}}
    egress = only(values, "NetworkPolicy")["spec"]["egress"]

    assert {"ports": [{"port": port, "protocol": "TCP"}]} in egress


# --- monitoring ---


def test_alert_rules_are_those_of_the_file_and_not_a_copy():
    rule = only(EVERYTHING, "PrometheusRule")
    link = ROOT / "deploy" / "helm" / "kolbridge" / "files" / "alerts.yml"

    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())
    assert link.is_symlink()
    assert link.resolve() == ALERTS
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    quiet = {**EVERYTHING, "monitoring": {"enabled": True, "alerts": False}}
    assert not of_kind(quiet, "PrometheusRule")


def test_prometheus_scrapes_every_node_once_under_the_job_of_the_rules():
    monitor = only(EVERYTHING, "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    found = [
        one
        for one in of_kind(EVERYTHING, "Service").values()
        if wanted.items() <= one["metadata"]["labels"].items()
    ]

    (service,) = found
    assert service["spec"]["clusterIP"] == "None"
    assert endpoint["port"] in {one["name"] for one in service["spec"]["ports"]}
    job = service["metadata"]["labels"][monitor["spec"]["jobLabel"]]
    assert f'up{{job="{job}"}}' in ALERTS.read_text()
    # An alert names the node.
    assert endpoint["relabelings"] == [
        {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"}
    ]
    token = endpoint["authorization"]["credentials"]
    reference = environment_of(EVERYTHING)["ADMIN_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert token == reference


# --- autoscaling ---


def test_number_of_nodes_follows_the_calls_and_the_loop():
    spec = only(EVERYTHING, "ScaledObject")["spec"]
    calls, busy = spec["triggers"]
    here = f'{{namespace="{NAMESPACE}",service="voice-kolbridge-nodes"}}'

    assert calls["metadata"]["query"] == (
        f"ceil((sum(kolbridge_calls_active{here}) + 60) / 180)"
    )
    # A node's loops are added up: 2 of WORKERS. Each may be busy for 0.7 of the time.
    assert busy["metadata"]["query"] == (
        f"sum(avg_over_time(kolbridge_loop_busy{here}[1m])) / 2 / 0.7"
    )
    assert {"kolbridge_calls_active", "kolbridge_loop_busy"} <= METRICS
    for trigger in (calls, busy):
        assert trigger["metricType"] == "AverageValue"
        assert trigger["metadata"]["threshold"] == "1"
        # Without samples nothing is scaled down.
        assert trigger["metadata"]["ignoreNullValues"] == "false"
    (service,) = [
        name
        for name, one in of_kind(EVERYTHING, "Service").items()
        if one["spec"].get("clusterIP") == "None"
    ]
    assert f'service="{service}"' in here


def test_scaling_keeps_its_limits_and_waits_before_it_takes_a_node_away():
    spec = only(EVERYTHING, "ScaledObject")["spec"]
    stateful = only(EVERYTHING, "StatefulSet")
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]

    assert spec["scaleTargetRef"]["name"] == stateful["metadata"]["name"]
    # Helm would set the number back with each upgrade.
    assert "replicas" not in stateful["spec"]
    assert only(MINIMAL, "StatefulSet")["spec"]["replicas"] == 2
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 4)
    assert down["stabilizationWindowSeconds"] == 3600
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_scaling_down_waits_as_long_as_the_longest_call_or_as_is_said():
    def window(scaling, **changes):
        values = {
            **EVERYTHING,
            **changes,
            "autoscaling": {**EVERYTHING["autoscaling"], **scaling},
        }
        spec = only(values, "ScaledObject")["spec"]
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        return behavior["scaleDown"]["stabilizationWindowSeconds"]

    assert window({}, longestCallSeconds=1200) == 1200
    assert window({"scaleDownSeconds": 300}) == 300
    assert window({"scaleDownSeconds": 0}) == 0


def test_a_large_number_is_written_out():
    scaling = {**EVERYTHING["autoscaling"], "burst": 100_000}
    done = template({**EVERYTHING, "callsPerNode": 640_000, "autoscaling": scaling})

    assert "+ 100000) / 640000)" in done.stdout
