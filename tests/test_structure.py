"""The house's rules that a reader of one file cannot see."""

import ast
import re
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path
from tomllib import loads

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
    "greeting",
    "handshake",
    "interruption",
    "keypad",
    "lenient",
    "last_turn",
    "limits",
    "loops",
    "notes",
    "openai",
    "openai_events",
    "plan",
    "playout",
    "prices",
    "quotas",
    "reasons",
    "recovery",
    "renewal",
    "replay",
    "responses",
    "resumption",
    "retelling",
    "sentences",
    "session",
    "spare",
    "timers",
    "transcript",
    "turns",
    "twilio",
    "unwritten",
    "uplink",
)
# Four sides of one thing: what the model does may end an answer, its session, the call.
ONE = dict.fromkeys(
    ("bridge.ending", "bridge.recovery", "bridge.renewal"), "bridge.dialogue"
)
IMPURE = {"asyncio", "time", "logging", "os", "picows", "aiohttp", "crm", "socket"}


def imports(path):
    return imports_of(ast.parse(path.read_text()))


def imports_of(tree):
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports_at_run_time(path):
    """Without those that stand under TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return imports_of(tree)


def roots(path):
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    package = path.relative_to(ROOT).parts[0]
    assert not roots(path) & {"tests", "bench"}
    assert "json" not in roots(path)
    if package in ("crm", "dsp"):
        assert not roots(path) & (set(PACKAGES) - {package})


def test_imports_never_lead_back():
    named = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES
    }
    arrows = {}
    for name, path in named.items():
        below = imports_at_run_time(path) & named.keys()
        arrows.setdefault(ONE.get(name, name), set()).update(
            ONE.get(other, other) for other in below
        )
    arrows["bridge.dialogue"].discard("bridge.dialogue")

    assert list(TopologicalSorter(arrows).static_order())


@pytest.mark.parametrize("name", PURE)
def test_the_core_is_pure(name):
    assert not roots(ROOT / "bridge" / f"{name}.py") & IMPURE


def test_one_module_reads_numbers_and_one_says_what_they_are_worth():
    """Who looks at the shape of a number elsewhere takes a claim for an identity."""
    readers = {path.stem for path in FILES if "phonenumbers" in roots(path)}
    judges = {path.stem for path in FILES if "WITHHELD =" in path.read_text()}

    assert readers == {"phones"}
    assert judges == {"identity"}


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


def test_architecture_names_every_module():
    told = (ROOT / "ARCHITECTURE.md").read_text().partition("\n## ")[0]
    words = set(re.findall(r"[\w*]+(?:\.\w+)?", told))

    for path in READ:
        package = str(path.relative_to(ROOT).parent)
        if package in PACKAGES and path.stem != "__init__":
            names = {f"{path.stem}.py", f"{path.stem}.pyx"}
            # In bridge/ a module's name is a word of any sentence.
            names |= {path.stem} if package != "bridge" else set()
            assert any(fnmatch(name, word) for name in names for word in words), path


@pytest.mark.parametrize(
    "page", ["README.md", "ARCHITECTURE.md", "bench/README.md", "bench/gate/README.md"]
)
def test_files_that_a_page_names_are_there(page):
    files = [f"/{path.relative_to(ROOT)}" for path in READ]

    for name in re.findall(r"\b[\w/]+\.(?:pyx?|pxd)\b", (ROOT / page).read_text()):
        assert any(file.endswith(f"/{name}") for file in files), name


def test_readme_names_what_is_installed():
    readme = (ROOT / "README.md").read_text().lower()
    project = loads((ROOT / "pyproject.toml").read_text())["project"]

    for wanted in project["dependencies"]:
        assert re.search(rf"\b{re.split('[=<>]', wanted)[0]}\b", readme), wanted


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "bench/README.md"])
def test_metrics_that_a_page_names_are_counted(page):
    counted = "".join(path.read_text() for path in FILES)
    text = (ROOT / page).read_text().replace("kolbridge_app", "")
    for name in re.findall(r"\bkolbridge_(?!service)(\w+?)(?:_total)?\b", text):
        assert f'"{name}"' in counted, name
