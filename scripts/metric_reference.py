"""The page of metrics, from a server that has just been made and from the code.

A new server knows every family with its type and its text. The labels of a counter are
known only where it is incremented. They are read from the source there, with the values
that are literals.
"""

import ast
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric

from bridge.service.server import Server
from bridge.settings.process import Settings
from bridge.telemetry.metrics import PREFIX

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bridge"
PAGE = """\
<!-- Written by scripts/write_references.py: change it there. -->

# Metrics

Prometheus reads `/metrics` of the [admin port](endpoints.md#admin-port). With several
workers the page is the sum over all of them. Every counter starts at 0 with its
process.

`deploy/prometheus/alerts.yml` holds alert rules for these metrics. A rule says which
value should wake somebody. No label holds a call or a number: the number of series is
bounded.

A value `…` in a list stands for values that the code takes from elsewhere, such as the
name of a tool.
"""
HEADINGS = {"counter": "Counters", "gauge": "Gauges", "histogram": "Histograms"}

# The labels of a metric, each with its known values, and "…" for all others.
Labels = dict[str, set[str]]


def metrics_page() -> str:
    """Return docs/metrics.md."""
    found = families()
    labels = counted_labels()
    parts = [PAGE]
    for kind, heading in HEADINGS.items():
        parts.append(f"\n## {heading}\n\n| Metric | Meaning | Labels |\n")
        parts.append("| --- | --- | --- |\n")
        parts += [_row(one, labels) for one in found if one.type == kind]
    parts.append("\n## Bounds of the histograms\n\nIn seconds.\n\n")
    parts.append("| Metric | Upper bounds |\n| --- | --- |\n")
    parts += [_bounds(one) for one in found if one.type == "histogram"]
    return "".join(parts)


def families() -> list[Metric]:
    """Return every family of a server that has served nothing."""
    with tempfile.TemporaryDirectory() as home:
        server = Server(Settings(kolbridge_home=home), database=_NONE)
        return list(server._collector.collect())


# Nothing is requested from it here.
_NONE: Any = None


def counted_labels() -> dict[str, Labels]:
    """Return the labels of each counter, as given where it is incremented."""
    found: dict[str, Labels] = defaultdict(lambda: defaultdict(set))
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _is_count(node):
                _add(found, node)
    return found


def _is_count(node: ast.Call) -> bool:
    is_count = isinstance(node.func, ast.Attribute) and node.func.attr == "count"
    return is_count and bool(node.args) and isinstance(node.args[0], ast.Constant)


def _add(found: dict[str, Labels], node: ast.Call) -> None:
    for keyword in node.keywords:
        if keyword.arg is not None:
            name = ast.literal_eval(node.args[0])
            found[name][keyword.arg].update(_values(keyword.value))


def _values(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.IfExp):
        yield from _values(node.body)
        yield from _values(node.orelse)
    else:
        yield "…"


def _row(family: Metric, counted: dict[str, Labels]) -> str:
    labels: Labels = defaultdict(set)
    for name, values in counted.get(family.name.removeprefix(PREFIX), {}).items():
        labels[name] |= values
    for sample in family.samples:
        for name, value in sample.labels.items():
            labels[name].add(value)
    labels.pop("le", None)
    if family.name.startswith(f"{PREFIX}business_") and not family.samples:
        labels["business"].add("…")
    told = "; ".join(
        f"`{name}`: {_listed(values)}" for name, values in sorted(labels.items())
    )
    total = "_total" if family.type == "counter" else ""
    return f"| `{family.name}{total}` | {family.documentation} | {told} |\n"


def _listed(values: set[str]) -> str:
    known = sorted(values - {"…"})
    return ", ".join([f"`{value}`" for value in known] + ["…"] * ("…" in values))


def _bounds(family: Metric) -> str:
    bounds = [
        sample.labels["le"]
        for sample in family.samples
        if "le" in sample.labels and sample.labels["le"] != "+Inf"
    ]
    return f"| `{family.name}` | {', '.join(bounds)} |\n"
