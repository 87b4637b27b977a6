"""Merges the metrics pages of several workers into one whose counters never decrease.

A worker that is asked for its page first saves the page in the workers' folder. The
worker's successor adds the saved counts to its own counts. While a worker does not
answer, the other workers use the saved counts of that worker. A count that was once
shown is therefore never lost; counts made after a worker's last page are lost with the
worker. A gauge is a present value, so a worker that is gone has no gauges.
"""

from contextlib import suppress
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample


class MetricsMerge:
    """The pages that the workers of one service save."""

    def __init__(self, folder: Path, index: int) -> None:
        self._folder = folder
        self._index = index
        # What the workers before this one had counted.
        self._before = self.left_by(index)

    def keep(self, page: bytes) -> bytes:
        """Return this worker's page, its predecessors' counts included, and save the
        page for the others, where the disk has room for it."""
        if self._before:
            page = added_up([page.decode(), self._before])
        path = self._path_of(self._index)
        fresh = path.with_suffix(".fresh")
        with suppress(OSError):
            fresh.write_bytes(page)
            fresh.replace(path)
        return page

    def left_by(self, index: int) -> str:
        """Return the counters that a worker saved; empty if it was never asked."""
        try:
            text = self._path_of(index).read_text()
        except FileNotFoundError:
            return ""
        return counters_of(text)

    def _path_of(self, index: int) -> Path:
        return self._folder / f"{index}.metrics"


def counters_of(page: str) -> str:
    """Return a page without its gauges: what a process leaves behind."""
    families = [
        family
        for family in text_string_to_metric_families(page)
        if family.type != "gauge"
    ]
    return generate_latest(_Families(families)).decode()


def added_up(pages: list[str]) -> bytes:
    """Return one page of metrics whose every sample is the sum of the pages'."""
    families: dict[str, Metric] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            of_family = sums.setdefault(family.name, {})
            for sample in family.samples:
                key = (sample.name, tuple(sample.labels.items()))
                of_family[key] = of_family.get(key, 0.0) + sample.value
            families.setdefault(family.name, family)
    for name, family in families.items():
        family.samples = [
            Sample(sample_name, dict(labels), value)
            for (sample_name, labels), value in sums[name].items()
        ]
    return generate_latest(_Families(list(families.values())))


class _Families(Collector):
    """Adapts existing metrics to the collector interface of prometheus_client."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families
