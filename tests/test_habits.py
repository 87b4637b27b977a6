"""The commands of daily work name what is there, and leave out nothing of the core."""

import os
import re
import shlex
import shutil
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


def ci(folder, **targets):
    """Run all of CI in a folder where `make` only says what it was asked for."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    rules = "".join(f"{name}:\n\t@{line}\n" for name, line in targets.items())
    (folder / "Makefile").write_text(f"%:\n\t@echo made $@\n{rules}")
    for name in (".venv/bin/python", "bin/apt-get"):
        program = folder / name
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        [folder / ".ci" / "run"],
        env={"PATH": path, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )


def test_ci_runs_each_step_once_and_the_benchmark_after_all_others(tmp_path):
    done = ci(tmp_path)

    assert done.returncode == 0
    began = re.findall(r"^== (\w+)$", done.stdout, re.M)
    listed = subprocess.check_output([ROOT / ".ci" / "run", "--list"], text=True)
    assert sorted(began) == sorted(listed.split())
    assert began[-1] == "benchmark"


@pytest.mark.parametrize("target", ["test", "coverage", "simulate"])
def test_ci_fails_and_names_the_step_that_did(tmp_path, target):
    done = ci(tmp_path, **{target: "echo what is wrong; exit 3"})

    step = {"test": "tests", "simulate": "simulation"}.get(target, target)
    assert done.returncode == 1
    assert "what is wrong" in done.stdout
    assert re.findall(r"== (\w+): FAILED, exit code 2", done.stdout) == [step]
    assert "made bench" not in done.stdout
    assert ("== demo:" in done.stdout) == (target != "test")


@pytest.mark.parametrize("steps", [["lint"], ["docs", "lint"]])
def test_steps_of_ci_run_alone_and_in_the_order_asked_for(tmp_path, steps):
    ci(tmp_path)
    run = [tmp_path / ".ci" / "run", *steps]

    told = subprocess.check_output(run, text=True)
    assert re.findall(r"^made (\w+)$", told, re.M) == steps
