"""The commands of daily work name what is there, and leave out nothing of the core."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.test_structure import PURE

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
HOOKS = [hook for repo in CONFIG["repos"] for hook in repo["hooks"]]


def core_tests():
    found = re.search(
        r"^CORE := \$\(addprefix (.*?)\) (.*?)\n\n", MAKEFILE, re.M | re.S
    )
    prefix, _, names = found[1].replace("\\\n", " ").partition(",")
    return {f"{prefix}{name}" for name in names.split()} | set(found[2].split())


def test_the_quick_check_runs_all_tests_of_the_core():
    tests = core_tests()

    assert {f"tests/bridge/{room}" for room in PURE} <= tests
    assert all((ROOT / name).exists() for name in tests)


def test_hooks_are_the_tools_that_lint_uses_and_fetch_nothing():
    assert {repo["repo"] for repo in CONFIG["repos"]} == {"local"}
    assert {hook["language"] for hook in HOOKS} == {"system"}
    used = {hook["id"].removesuffix("-format") for hook in HOOKS}
    lint = re.search(r"^lint:.*?\n\n", MAKEFILE, re.M | re.S)[0]
    assert used == set(re.findall(r"\$\(BIN\)/(\w+)", lint)) | {"cython-lint"}


@pytest.mark.parametrize(
    ("hook", "staged"),
    [
        ("ruff", "tests/test_habits.py"),
        ("ruff-format", "tests/test_habits.py"),
        ("mypy", "--version"),
        ("cython-lint", "dsp/bands.pyx"),
    ],
)
def test_a_hook_runs_where_the_environment_is_not_active(hook, staged):
    (entry,) = (one["entry"] for one in HOOKS if one["id"] == hook)
    done = subprocess.run(
        [*shlex.split(entry), staged],
        cwd=ROOT,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_contributing_names_targets_and_steps_that_there_are():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))

    named = set(re.findall(r"`make ([a-z-]+)", page))
    assert named and named <= targets


def test_each_step_of_ci_is_a_function_and_a_wrong_one_is_refused():
    run = ROOT / ".ci" / "run"
    listed = subprocess.check_output([run, "--list"], text=True).split()
    functions = set(re.findall(r"^(\w+)\(\) \{", run.read_text(), re.M))
    assert set(listed) <= functions

    wrong = subprocess.run([run, "nonsense"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "mutants" in wrong.stderr
