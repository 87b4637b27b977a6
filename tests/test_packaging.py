"""What is shipped: everything locked, nothing that is not needed, times that fit."""

import re
import subprocess
import sys
from pathlib import Path
from tomllib import loads

import pytest
import yaml
from packaging.requirements import Requirement

from bridge.settings.options import CallOptions
from bridge.switchboard.dispatch import FAREWELL_S, QUESTION_S

ROOT = Path(__file__).parent.parent
PROJECT = loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# What `docker stop` waits before it kills, and what a stop needs after its drain.
DOCKER_STOP_S, AFTER_DRAIN_S = 10, 20


def locked(name):
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    return dict(re.findall(r"^([\w.-]+)==([^ ;]+)", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("service", ("console",)),
        ("demo", ("analysis", "build", "console")),
        ("dev", ("analysis", "build", "console", "whatsapp", "dev")),
        ("docs", ("docs",)),
        ("gate-training", ("analysis", "gate-training")),
    ],
)
def test_everything_asked_for_is_locked_as_it_is_asked_for(lock, extras):
    asked = list(PROJECT["project"]["dependencies"])
    asked += [one for extra in extras for one in EXTRAS[extra]]
    found = locked(lock)

    for one in map(Requirement, asked):
        if one.name == "kolbridge":
            continue
        version = found[one.name.lower()]
        assert one.specifier.contains(version), f"{one}, locked {version}: make lock"


@pytest.mark.parametrize("lock", ["service", "demo", "dev", "docs", "gate-training"])
def test_each_locked_package_has_hashes_and_no_place(lock):
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    entries = [one for one in re.split(r"\n(?=\w)", text) if not one.startswith("#")]

    assert len(entries) > 10
    assert all("--hash=sha256:" in one for one in entries)
    assert "://" not in text
    assert "--index" not in text


def test_what_tests_the_chart_is_locked_as_it_is_asked_for():
    lines = (ROOT / "requirements" / "chart.in").read_text().splitlines()
    asked = [Requirement(one.split("#")[0]) for one in lines if one[:1] != "#"]
    text = (ROOT / "requirements" / "chart.lock").read_text()
    found = locked("chart")

    assert len(asked) == len(found) == 2
    for one in asked:
        version = found[one.name.replace(".", "-")]
        assert one.specifier.contains(version), f"{one}, locked {version}: make lock"
    assert text.count("--hash=sha256:") >= len(found)
    assert "://" not in text


def test_build_asks_for_what_is_locked():
    asked = {Requirement(one).name for one in PROJECT["build-system"]["requires"]}

    assert {name.lower() for name in asked} <= locked("demo").keys()


def test_image_is_pinned_numeric_and_watched():
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert len(stages) == 2
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", one) for one in stages)
    assert re.search(r"^USER \d+:\d+$", DOCKERFILE, re.MULTILINE)
    assert "HEALTHCHECK" in DOCKERFILE
    installs = re.findall(r"pip (?:install|wheel) ([^&]*)", DOCKERFILE)
    assert installs
    assert all("--require-hashes" in one or "--no-deps" in one for one in installs)


def test_what_is_copied_into_the_image_leaves_secrets_and_builds_out():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    assert rules[0] == "*"
    for needed in ("bridge", "crm", "dsp", "setup.py", "pyproject.toml", "README.md"):
        assert f"!{needed}" in rules
    assert not any(".env" in one or ".git" in one for one in rules)


def test_a_stop_fits_the_time_that_each_place_gives():
    drain_s = int(re.search(r"DRAIN_SECONDS=(\d+)", DOCKERFILE)[1])
    assert drain_s + FAREWELL_S + QUESTION_S < DOCKER_STOP_S

    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    service = compose["services"]["kolbridge"]
    drain_s = int(service["environment"]["DRAIN_SECONDS"])
    assert drain_s >= CallOptions().max_call_seconds
    assert service["stop_grace_period"] == f"{drain_s + AFTER_DRAIN_S}s"

    readme = (ROOT / "README.md").read_text()
    grace, drain = re.search(
        r"--stop-timeout (\d+) --env DRAIN_SECONDS=(\d+)", readme
    ).groups()
    assert int(grace) == int(drain) + AFTER_DRAIN_S


def test_service_starts_without_the_packages_of_the_writing_assistant():
    """Importing these takes 1.1 s and 100 MB."""
    text = (
        "import sys, bridge.service.serve, bridge.cli.main, bridge.sandbox.responses; "
        "print(*{'agents', 'openai', 'pydantic', 'mcp', 'httpx2'} & sys.modules.keys())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True
    )

    assert ran.stdout.split() == []
