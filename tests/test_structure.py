"""The house's rules that a reader of one file cannot see."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bridge", "crm", "dsp")
FILES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
READ = sorted(
    path
    for name in (*PACKAGES, "bench", "tests", "scripts")
    for kind in ("*.py", "*.pyx", "*.pxd")
    for path in (ROOT / name).rglob(kind)
    if ".venvs" not in path.parts
)
PURE = (
    "call",
    "dialogue",
    "ending",
    "floor",
    "governor",
    "interruption",
    "keypad",
    "limits",
    "notes",
    "openai",
    "openai_events",
    "plan",
    "playout",
    "prices",
    "reasons",
    "renewal",
    "replay",
    "responses",
    "retelling",
    "session",
    "spare",
    "timers",
    "transcript",
    "twilio",
    "uplink",
)
IMPURE = {"asyncio", "time", "logging", "os", "picows", "aiohttp", "crm", "socket"}


def imports(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(path):
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    package = path.relative_to(ROOT).parts[0]
    assert not roots(path) & {"tests", "bench"}
    assert "json" not in roots(path)
    if package in ("crm", "dsp"):
        assert not roots(path) & (set(PACKAGES) - {package})


@pytest.mark.parametrize("name", PURE)
def test_the_core_is_pure(name):
    assert not roots(ROOT / "bridge" / f"{name}.py") & IMPURE


def test_the_sandbox_shares_no_wire_code_with_the_bridge():
    for path in (ROOT / "bridge" / "sandbox").glob("*.py"):
        ours = {name for name in imports(path) if name.startswith(("bridge.", "dsp"))}
        assert all(name.startswith("bridge.sandbox") for name in ours), path.name


def test_the_service_starts_without_numpy_and_matplotlib():
    for path in FILES:
        tree = ast.parse(path.read_text())
        top = {
            alias.name.split(".")[0]
            for node in tree.body
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert not top & {"numpy", "scipy", "matplotlib"}, path.name


@pytest.mark.parametrize("path", READ, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 400
