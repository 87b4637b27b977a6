"""The house's rules that a reader of one file cannot see."""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from tomllib import loads

import pytest

from scripts.module_reference import modules_page

ROOT = Path(__file__).parent.parent
PACKAGES = ("bridge", "crm", "dsp")
FILES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
# What is compiled imports by `cimport`, too.
COMPILED = sorted(
    path
    for name in PACKAGES
    for kind in ("*.pyx", "*.pxd")
    for path in (ROOT / name).rglob(kind)
)
READ = sorted(
    path
    for name in (*PACKAGES, "bench", "tests", "scripts")
    for kind in ("*.py", "*.pyx", "*.pxd")
    for path in (ROOT / name).rglob(kind)
    if ".venvs" not in path.parts
)
# Which rooms of bridge/ may import which; imports under `TYPE_CHECKING` count, too.
# From the ground up: a room may name what stands above it in this table.
GROUND = {
    "bridge": set(),
    "sandbox": set(),
    "settings": {"dsp"},
    "wire": {"dsp"},
    "telephony": {"settings", "wire", "crm", "dsp"},
    "realtime": {"wire"},
    "media": {"settings", "dsp"},
}
ALLOWED: dict[str, set[str]] = {
    **GROUND,
    "call": {"media", "realtime", "settings", "telephony", "dsp"},
    "telemetry": {"call", "settings"},
    "recorder": {"call", "realtime", "telemetry", "telephony", "dsp"},
    "records": {"call", "settings", "telemetry", "crm"},
    "agent": {"call", "realtime", "telemetry", "crm"},
    "business": {"agent", "settings", "telemetry", "crm"},
    "ports": {"settings", "telemetry", "telephony", "wire"},
    "line": {
        *("agent", "call", "media", "realtime", "recorder"),
        *("settings", "telemetry", "telephony", "wire", "dsp"),
    },
    "switchboard": {
        *("agent", "business", "call", "line", "ports", "recorder"),
        *("settings", "telemetry", "telephony", "crm"),
    },
    "api": {
        *("business", "messaging", "notices", "records"),
        *("settings", "telemetry", "wire", "crm"),
    },
    "messaging": {
        *("agent", "business", "call", "records", "settings"),
        *("telemetry", "telephony", "wire", "crm"),
    },
    "notices": {"settings", "telemetry", "crm"},
    "nodes": {"call", "line", "settings", "telemetry", "telephony", "wire", "crm"},
    "console": {
        *("agent", "business", "call", "messaging", "notices", "recorder"),
        *("records", "settings", "telemetry", "wire", "crm"),
    },
    "service": {
        *("api", "business", "call", "console", "line", "messaging", "nodes"),
        *("notices", "ports", "recorder", "records"),
        *("settings", "switchboard", "telemetry", "telephony", "wire", "crm"),
    },
    "cli": {
        *("agent", "business", "console", "media", "messaging", "notices"),
        *("recorder", "records", "sandbox", "service", "settings", "telemetry"),
        *("crm", "dsp"),
    },
    "cli.doctor": {
        *("agent", "call", "line", "messaging", "ports", "sandbox", "service"),
        *("settings", "switchboard", "telemetry", "telephony", "crm"),
    },
    "cli.demo": {
        *("agent", "cli", "media", "messaging", "sandbox"),
        *("settings", "telemetry", "crm", "dsp"),
    },
}
# Rooms that take messages and time and return actions.
PURE = ("call", "media", "realtime", "telephony", "wire")
# Who owns a part of a call's state does not know who holds it.
OWNERS = (
    "barge_in",
    "call_record",
    "ending",
    "floor",
    "greeting",
    "handshake",
    "history_seed",
    "keypad",
    "last_words",
    "loop_correction",
    "operator_voice",
    "recovery",
    "responses",
    "sessions",
    "silence",
    "standby_session",
    "streams",
    "takeover",
    "time_limit",
    "timers",
    "tool_calls",
    "transcript",
)
IMPURE = {"asyncio", "time", "logging", "os", "picows", "aiohttp", "socket", "asyncpg"}


@cache
def imports(path):
    if path.suffix == ".py":
        return imports_of(ast.parse(path.read_text()))
    kinds = r"from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+)"
    found = re.findall(rf"^\s*(?:{kinds})", path.read_text(), re.M)
    return {name or other for name, other in found}


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


def room_of(module):
    """Return the room of a module's dotted name; crm and dsp are one each."""
    package, *inside = module.split(".")
    if package != "bridge":
        return package
    if inside[:1] == ["cli"] and inside[1:2] in (["doctor"], ["demo"]):
        return ".".join(inside[:2])
    return inside[0] if inside else "bridge"


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@pytest.mark.parametrize(
    "path", [*FILES, *COMPILED], ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_point_down(path):
    package = path.relative_to(ROOT).parts[0]
    assert not roots(path) & {"tests", "bench"}
    assert "json" not in roots(path)
    ours = {name for name in imports(path) if name.split(".")[0] in PACKAGES}
    rooms = {room_of(name) for name in ours} - {room_of(module_of(path))}
    allowed = ALLOWED[room_of(module_of(path))] if package == "bridge" else set()
    assert rooms <= allowed


def test_the_table_of_rooms_has_no_circle_and_nothing_unused():
    assert list(TopologicalSorter(ALLOWED).static_order())

    used = {room: set() for room in ALLOWED}
    for path in (*FILES, *COMPILED):
        room = room_of(module_of(path))
        ours = {name for name in imports(path) if name.split(".")[0] in PACKAGES}
        used.setdefault(room, set()).update(room_of(name) for name in ours)
    for room, below in ALLOWED.items():
        assert below <= used[room], room


def docstring_of(room):
    root = ROOT if room in ("crm", "dsp") else ROOT / "bridge"
    page = root.joinpath(*room.split("."), "__init__.py")
    return ast.get_docstring(ast.parse(page.read_text()))


@pytest.mark.parametrize("room", sorted({*ALLOWED, "crm", "dsp"} - {"bridge"}))
def test_each_room_says_what_it_owns_and_what_it_may_use(room):
    text, _, used = docstring_of(room).partition("May use:")

    assert "\nOwns " in text
    named = set(re.findall(r"`([\w.]+)`", used))
    assert named == ALLOWED.get(room, set())
    assert named or "no other package of the repository" in used


def test_imports_never_lead_back():
    """Names for the type checker count, but in the sandbox: a session has its parts."""
    named = {module_of(path): path for path in FILES}
    arrows = {}
    for name, path in named.items():
        is_sandbox = room_of(name) == "sandbox"
        read = imports_at_run_time if is_sandbox else imports
        below = read(path) & named.keys()
        arrows[name] = below - {name}

    assert list(TopologicalSorter(arrows).static_order())


@pytest.mark.parametrize("room", PURE)
def test_the_core_is_pure(room):
    for path in (ROOT / "bridge" / room).glob("*.py"):
        assert not roots(path) & IMPURE, path.name


@pytest.mark.parametrize("name", OWNERS)
def test_an_owner_does_not_know_the_call(name):
    assert (ROOT / "bridge" / "call" / f"{name}.py").exists()
    seen, left = set(), {f"bridge.call.{name}"}
    while left:
        seen |= left
        paths = (ROOT / f"{one.replace('.', '/')}.py" for one in left)
        found = set().union(*(imports(path) for path in paths if path.exists()))
        left = {one for one in found if one.startswith("bridge.")} - seen
    assert not {"bridge.call.machine", "bridge.call.state"} & seen


def test_only_an_owner_sets_a_timer():
    setters = {path.stem for path in FILES if ".timers.set(" in path.read_text()}
    assert setters == {"speech"}  # FEED, of which no owner knows


def test_one_module_reads_numbers_and_one_says_what_they_are_worth():
    """Who looks at the shape of a number elsewhere takes a claim for an identity."""
    readers = {path.stem for path in FILES if "phonenumbers" in roots(path)}
    judges = {path.stem for path in FILES if "WITHHELD =" in path.read_text()}

    assert readers == {"phones"}
    assert judges == {"identity"}


def test_the_sandbox_shares_no_wire_code_with_the_bridge():
    for path in (ROOT / "bridge" / "sandbox").rglob("*.py"):
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


def test_the_page_of_modules_says_what_the_modules_say():
    assert (ROOT / "docs" / "modules.md").read_text() == modules_page(), (
        "make references"
    )


def test_the_page_of_modules_names_every_module():
    told = (ROOT / "docs" / "modules.md").read_text()

    for path in READ:
        place = path.relative_to(ROOT)
        if place.parts[0] in PACKAGES and place.stem != "__init__":
            table = told.split(f"\n## {place.parent}\n")[1].split("\n## ")[0]
            assert f"\n| `{place.name}` | " in table, place


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
