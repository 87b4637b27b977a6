"""A node's pod of the Helm chart: how it stops, what it may do, what it is told."""

import pytest
import yaml

from bridge.call.last_words import ENDING_S_MAX
from bridge.settings.process import NAMES, SECRETS, Settings, load

from .chart import (
    CHART,
    EVERYTHING,
    MINIMAL,
    REQUIRED,
    SETS,
    environment_of,
    only,
    pod_of,
    template,
)

EACH_SET = pytest.mark.parametrize("values", SETS.values(), ids=SETS)
# The owner of the schema is for the Job alone.
SERVICE_SECRETS = {name.upper() for name in SECRETS} - {"DATABASE_ADMIN_URL"}
AFTER_CALL_S = 60


def container_of(values):
    (container,) = pod_of(values)["containers"]
    return container


# --- how it stops ---


@pytest.mark.parametrize("longest_s", [30, 1800, 14_400])
def test_a_pod_has_the_longest_call_and_a_minute_to_stop(longest_s):
    values = {**MINIMAL, "longestCallSeconds": longest_s}
    variables = environment_of(values)

    assert pod_of(values)["terminationGracePeriodSeconds"] == longest_s + AFTER_CALL_S
    assert variables["MAX_CALL_SECONDS"]["value"] == str(longest_s)
    assert variables["DRAIN_SECONDS"]["value"] == str(min(longest_s, 3600))


def test_the_minute_is_what_a_call_may_need_to_end():
    assert ENDING_S_MAX <= AFTER_CALL_S


def test_a_pod_drains_before_it_is_stopped():
    command = container_of(MINIMAL)["lifecycle"]["preStop"]["exec"]["command"]

    # Kubernetes replaces no $(NODE_NAME) here: a shell reads it.
    assert command[:2] == ["sh", "-c"]
    assert command[2].split(";")[0] == 'kolbridge drain "$NODE_NAME" --wait'


def test_readiness_tells_draining_and_the_others_do_not():
    container = container_of(MINIMAL)
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}

    asked = {
        name: container[name]["httpGet"]["path"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert asked == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    for name in asked:
        assert container[name]["httpGet"]["port"] == "http"
    assert str(ports["http"]) == environment_of(MINIMAL)["PORT"]["value"]


def test_all_nodes_start_at_once_and_are_replaced_one_by_one():
    spec = only(MINIMAL, "StatefulSet")["spec"]

    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["updateStrategy"] == {"type": "RollingUpdate"}
    assert only(MINIMAL, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


# --- what it may do ---


@EACH_SET
def test_no_container_is_root_or_may_write_beside_its_volumes(values):
    pods = [pod_of(values)]
    if values is not SETS["alone"]:
        pods.append(only(values, "Job")["spec"]["template"]["spec"])
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}


def test_the_user_is_the_images():
    image = (CHART.parents[2] / "Dockerfile").read_text()
    context = pod_of(MINIMAL)["securityContext"]

    assert f"\nUSER {context['runAsUser']}:{context['runAsGroup']}\n" in image
    assert context["fsGroup"] == context["runAsGroup"]


@EACH_SET
def test_home_and_tmp_are_volumes(values):
    pod, stateful = pod_of(values), only(values, "StatefulSet")["spec"]
    mounts = {
        one["mountPath"]: one["name"] for one in container_of(values)["volumeMounts"]
    }
    volumes = {one["name"] for one in pod["volumes"]}
    claims = {
        one["metadata"]["name"] for one in stateful.get("volumeClaimTemplates", ())
    }

    home = mounts[environment_of(values)["KOLBRIDGE_HOME"]["value"]]
    assert mounts["/tmp"] in volumes
    if values is SETS["alone"]:
        assert home in volumes
        assert not claims
    else:
        assert claims == {home}
        assert home not in volumes
        # The journal outlives a smaller number of nodes.
        kept = stateful["persistentVolumeClaimRetentionPolicy"]
        assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}


# --- what it is told ---


@EACH_SET
def test_every_variable_is_a_setting(values):
    assert environment_of(values).keys() <= NAMES


@EACH_SET
def test_the_service_takes_what_it_is_told(values):
    given = {
        name: one["value"]
        for name, one in environment_of(values).items()
        if "value" in one
    }
    given["NODE_NAME"] = "voice-kolbridge-0"
    given["NODE_URL"] = given["NODE_URL"].replace("$(NODE_NAME)", given["NODE_NAME"])
    settings = load({**given, "ADMIN_TOKEN": "a-long-random-word"})

    assert settings.node_name == "voice-kolbridge-0"
    assert settings.public_url == "https://voice.example.com"
    assert not settings.is_loopback


def test_a_node_is_its_pod_and_its_url_names_it():
    variables = environment_of(MINIMAL)
    names = [*variables]

    assert variables["NODE_NAME"]["valueFrom"] == {
        "fieldRef": {"fieldPath": "metadata.name"}
    }
    url = variables["NODE_URL"]["value"]
    assert url == "https://voice.example.com/n/$(NODE_NAME)"
    # Only what stands before can be replaced.
    assert names.index("NODE_NAME") < names.index("NODE_URL")
    other = environment_of(SETS["alone"])["NODE_URL"]["value"]
    assert other == "https://$(NODE_NAME).voice.example.com"


def test_secrets_come_by_reference_and_the_owners_not_at_all():
    variables = environment_of(EVERYTHING)
    secrets = {
        name: one["valueFrom"]["secretKeyRef"]
        for name, one in variables.items()
        if "secretKeyRef" in one.get("valueFrom", {})
    }

    assert secrets.keys() == SERVICE_SECRETS
    for name, reference in secrets.items():
        assert reference["name"] == REQUIRED["existingSecret"]
        assert reference["key"] == name


def test_a_secret_that_the_service_needs_is_not_optional():
    def needed(values):
        return {
            name
            for name, one in environment_of(values).items()
            if "secretKeyRef" in one.get("valueFrom", {})
            and not one["valueFrom"]["secretKeyRef"].get("optional")
        }

    always = {"DATABASE_URL", "OPENAI_API_KEY", "TWILIO_AUTH_TOKEN"}
    assert needed(MINIMAL) == always
    # Beyond loopback the admin port asks for it.
    assert environment_of(MINIMAL)["ADMIN_HOST"]["value"] == "127.0.0.1"
    assert needed(EVERYTHING) == {*always, "ADMIN_TOKEN"}
    assert environment_of(EVERYTHING)["ADMIN_HOST"]["value"] == "0.0.0.0"


def test_settings_reach_the_pod_as_they_are():
    variables = environment_of(EVERYTHING)

    assert variables["LOG_LEVEL"]["value"] == "warning"
    assert variables["MAX_CALLS_PER_WORKER"]["value"] == "90"
    assert variables["WORKERS"]["value"] == "2"


def test_the_schema_is_moved_before_the_nodes_and_by_its_owner():
    for values, secret in (
        (MINIMAL, "kolbridge-secrets"),
        (EVERYTHING, "kolbridge-owner"),
    ):
        job = only(values, "Job")
        (container,) = job["spec"]["template"]["spec"]["containers"]
        hook = job["metadata"]["annotations"]["helm.sh/hook"]
        assert hook == "pre-install,pre-upgrade"
        assert container["command"] == ["kolbridge", "migrate"]
        (variable,) = container["env"]
        assert variable["name"] == "DATABASE_ADMIN_URL"
        assert variable["valueFrom"]["secretKeyRef"] == {
            "name": secret,
            "key": "DATABASE_ADMIN_URL",
        }


# --- wrong values ---

WRONG = {
    "host": ({"host": "https://voice.example.com"}, "'/host'"),
    "no-secret": ({"existingSecret": ""}, "'/existingSecret'"),
    "unknown-value": ({"replica": 3}, "'replica' not allowed"),
    "unknown-setting": (
        {"settings": {"LOG_LEVELS": "info"}},
        "'LOG_LEVELS' not allowed",
    ),
    "secret-setting": (
        {"settings": {"OPENAI_API_KEY": "sk-1"}},
        "'OPENAI_API_KEY' not allowed",
    ),
    "setting-of-the-chart": ({"settings": {"PORT": "80"}}, "'PORT' not allowed"),
    "number-for-a-text": (
        {"settings": {"RESUME_MAX": 3}},
        "'/settings/RESUME_MAX': got number, want string",
    ),
    "recordings-on-the-root": (
        {"settings": {"RECORD_DIR": "recordings"}},
        "'/settings/RECORD_DIR'",
    ),
    "call-too-long": ({"longestCallSeconds": 14_401}, "'/longestCallSeconds'"),
    "no-gateway": ({"routing": {"kind": "gateway"}}, "'/routing/gateway/parentRefs'"),
    "one-url-for-all-nodes": (
        {"routing": {"kind": "none", "nodeUrl": "https://voice.example.com"}},
        "'/routing/nodeUrl'",
    ),
    "url-beside-a-route": (
        {"routing": {"kind": "ingress", "nodeUrl": "https://$(NODE_NAME).example"}},
        "'/routing/nodeUrl'",
    ),
    "controller": (
        {"routing": {"kind": "ingress", "ingress": {"controller": "other"}}},
        "'/routing/ingress/controller'",
    ),
    "label-of-the-selector": (
        {"podLabels": {"app.kubernetes.io/name": "other"}},
        "'/podLabels/app.kubernetes.io~1name'",
    ),
    "home": ({"home": {"kind": "hostPath"}}, "'/home/kind'"),
    "scaling-without-capacity": (
        {**EVERYTHING, "callsPerNode": None},
        "missing property 'callsPerNode'",
    ),
    "scaling-without-metrics": (
        {**EVERYTHING, "monitoring": {"enabled": False}},
        "'/monitoring/enabled'",
    ),
    "fewer-than-the-least": (
        {
            **EVERYTHING,
            "autoscaling": {**EVERYTHING["autoscaling"], "minReplicas": 5},
        },
        "autoscaling.minReplicas",
    ),
}


@pytest.mark.parametrize(("changes", "named"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_refused_and_named(changes, named):
    done = template({**MINIMAL, **changes})

    assert done.returncode != 0
    assert named in done.stderr


@pytest.mark.parametrize("name", REQUIRED)
def test_what_has_no_default_is_asked_for(name):
    done = template({one: value for one, value in MINIMAL.items() if one != name})

    assert done.returncode != 0
    assert {"image": "repository"}.get(name, name) in done.stderr


def test_defaults_of_the_chart_are_the_services():
    given = yaml.safe_load((CHART / "values.yaml").read_text())

    assert given["longestCallSeconds"] == Settings().call.max_call_seconds
    assert given["workers"] == Settings().workers
    assert given["autoscaling"]["loopBusy"] < Settings().max_busy_percent / 100
