"""The Helm chart as helm renders it, and Kubernetes' own schemas.

`make helm` installs both. Where they are missing, a test that needs them is skipped.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

import orjson
import pytest
import yaml
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "kolbridge"
TOOLS = Path(sys.prefix) / "chart"
SCHEMAS = TOOLS / "kubernetes_validate" / "kubernetes-json-schema"
# The oldest version that Chart.yaml names, and the newest that the schemas are of.
VERSIONS = ("1.30.0", "1.37.0")
NAMESPACE = "calls"

REQUIRED = {
    "host": "voice.example.com",
    "image": {"repository": "registry.example.com/kolbridge"},
    "existingSecret": "kolbridge-secrets",
}
GATEWAY = {"gateway": {"parentRefs": [{"name": "public", "namespace": "gateways"}]}}
# As little as can be given.
MINIMAL = {**REQUIRED, "routing": GATEWAY}
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}
# All that can be switched on.
EVERYTHING = {
    **REQUIRED,
    "image": {
        "repository": "registry.example.com/kolbridge",
        "digest": "sha256:" + "0" * 64,
        "pullSecrets": [{"name": "registry"}],
    },
    "workers": 2,
    "callsPerNode": 180,
    "longestCallSeconds": 3900,
    "settings": {"LOG_LEVEL": "warning", "MAX_CALLS_PER_WORKER": "90"},
    "migration": {"existingSecret": "kolbridge-owner"},
    "home": {"storageClassName": "fast", "size": "5Gi"},
    "routing": {
        "kind": "ingress",
        "ingress": {"tlsSecret": "voice-tls", "annotations": {"a.example/b": "c"}},
    },
    "networkPolicy": {
        "balancer": [PEER],
        "prometheus": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        "postgresql": {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "port": 6432},
        "extraEgress": [{"ports": [{"port": 3128, "protocol": "TCP"}]}],
    },
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "autoscaling": {
        "enabled": True,
        "maxReplicas": 4,
        "burst": 60,
        "prometheus": "http://prometheus.monitoring:9090",
    },
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "voice"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "voice", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "calls",
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
        }
    ],
}
# All that can be switched off.
ALONE = {
    **REQUIRED,
    "replicas": 1,
    "migration": {"enabled": False},
    "home": {"kind": "emptyDir"},
    "routing": {"kind": "none", "nodeUrl": "https://$(NODE_NAME).voice.example.com"},
    "networkPolicy": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
}
NGINX = {**REQUIRED, "routing": {"kind": "ingress", "ingress": {"controller": "nginx"}}}
SETS = {
    "minimal": MINIMAL,
    "everything": EVERYTHING,
    "alone": ALONE,
    "nginx": NGINX,
}


@cache
def helm_binary():
    """Return helm, or skip the test."""
    path = TOOLS / "helm"
    try:
        subprocess.run([path, "version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"helm does not run here: `make helm` installs it ({error})")
    return path


def run_helm(*words, values):
    """Run helm with values; return how it ended."""
    given = orjson.dumps(values).decode()
    return subprocess.run(
        [helm_binary(), *words, "--values", "-"],
        input=given,
        text=True,
        capture_output=True,
    )


def template(values, *words, release="voice"):
    """Run `helm template`; return how it ended."""
    where = ("--namespace", NAMESPACE)
    return run_helm("template", release, str(CHART), *where, *words, values=values)


@cache
def _rendered(text):
    done = template(orjson.loads(text))
    assert done.returncode == 0, done.stderr
    return done.stdout


def render_text(values):
    """Return what helm renders of values, as text."""
    return _rendered(orjson.dumps(values).decode())


def render(values):
    """Return what helm renders of values, as objects."""
    return [one for one in yaml.safe_load_all(render_text(values)) if one is not None]


def of_kind(values, kind):
    """Return the objects of a kind by name."""
    found = [one for one in render(values) if one["kind"] == kind]
    return {one["metadata"]["name"]: one for one in found}


def only(values, kind):
    """Return the one object of a kind."""
    (found,) = of_kind(values, kind).values()
    return found


def pod_of(values):
    """Return the spec of a node's pod."""
    return only(values, "StatefulSet")["spec"]["template"]["spec"]


def environment_of(values):
    """Return a node's variables by name."""
    (container,) = pod_of(values)["containers"]
    names = [one["name"] for one in container["env"]]
    assert len(names) == len(set(names))
    return {one["name"]: one for one in container["env"]}


@cache
def validator(version, name):
    """Return Kubernetes' own strict schema of a kind, or None if it has none."""
    folder = SCHEMAS / f"v{version}-local-strict"
    if not folder.is_dir():
        pytest.skip("Kubernetes' schemas are not installed: `make helm` installs them")
    file = folder / f"{name}.json"
    if not file.exists():
        return None
    schema = orjson.loads(file.read_bytes())
    return Draft7Validator(schema, registry=_registry(folder))


@cache
def _registry(folder):
    def retrieve(uri):
        text = (folder / uri.rsplit("/", 1)[-1]).read_bytes()
        return Resource.from_contents(orjson.loads(text), DRAFT7)

    return Registry(retrieve=retrieve)


def schema_name(one):
    """Return the name of an object's schema, such as statefulset-apps-v1."""
    group, _, version = one["apiVersion"].rpartition("/")
    short = f"{group.split('.')[0]}-{version}" if group else version
    return f"{one['kind'].lower()}-{short}"
