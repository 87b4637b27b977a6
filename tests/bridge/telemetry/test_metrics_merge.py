"""Pages of metrics: they add up, and what was shown once is never taken back."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bridge.telemetry.metrics import Collector, Metrics
from bridge.telemetry.metrics_merge import MetricsMerge, added_up


class Worker:
    """One life of worker `index`."""

    def __init__(self, folder, index=0):
        self.metrics = Metrics()
        self.metrics_merge = MetricsMerge(folder, index)
        gauges = {"calls_active": ("Calls", 3.0)}
        self._collector = Collector(self.metrics, lambda: (), lambda: gauges)

    def asked(self):
        return self.metrics_merge.keep(self._collector.exposition()).decode()


def value(page, name, **labels):
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }.get((f"kolbridge_{name}", tuple(labels.items())))


def test_pages_add_up():
    page = (
        "# HELP kolbridge_frames_total f\n# TYPE kolbridge_frames_total counter\n"
        'kolbridge_frames_total{kind="rx"} 40\nkolbridge_frames_total{kind="tx"} 2\n'
        "# HELP kolbridge_calls_active c\n# TYPE kolbridge_calls_active gauge\n"
        "kolbridge_calls_active 3\n"
    )
    other = page.replace(" 40", " 2").replace('kind="tx"', 'kind="gap"')
    text = added_up([page, other]).decode()
    assert 'kolbridge_frames_total{kind="rx"} 42.0' in text
    assert 'kolbridge_frames_total{kind="tx"} 2.0' in text
    assert 'kolbridge_frames_total{kind="gap"} 2.0' in text
    assert "kolbridge_calls_active 6.0" in text


def test_a_successor_goes_on_from_what_was_shown(tmp_path):
    for life in range(1, 4):
        worker = Worker(tmp_path)
        worker.metrics.count("fallbacks", 2, reason="full")
        worker.metrics.answer_s.observe(0.9)
        page = worker.asked()
        # Asked twice, nothing counts twice.
        assert worker.asked() == page

        assert value(page, "fallbacks_total", reason="full") == 2 * life
        assert value(page, "answer_seconds_count") == life
        assert value(page, "answer_seconds_bucket", le="1") == life
        # A gauge is the living's alone.
        assert value(page, "calls_active") == 3


def test_what_was_never_shown_dies_with_its_worker(tmp_path):
    worker = Worker(tmp_path)
    worker.asked()
    worker.metrics.count("fallbacks", reason="full")

    assert value(Worker(tmp_path).asked(), "fallbacks_total", reason="full") is None


def test_others_count_what_a_worker_left(tmp_path):
    worker = Worker(tmp_path, index=1)
    worker.metrics.count("fallbacks", 5, reason="full")
    worker.asked()

    left = Worker(tmp_path, index=0).metrics_merge.left_by(1)
    assert value(left, "fallbacks_total", reason="full") == 5
    assert value(left, "calls_active") is None
    assert Worker(tmp_path, index=0).metrics_merge.left_by(7) == ""


def test_disk_that_is_full_hides_no_metrics(tmp_path, monkeypatch):
    worker = Worker(tmp_path)
    worker.metrics.count("frames", 7, kind="rx")
    worker.asked()

    def full(self, data):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    worker.metrics.count("frames", 1, kind="rx")

    assert value(worker.asked(), "frames_total", kind="rx") == 8
    # The last page that found room stays.
    assert value(worker.metrics_merge.left_by(0), "frames_total", kind="rx") == 7
