"""What is counted, and the page Prometheus reads."""

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from bridge.call.machine import Call
from bridge.call.plan import CallPlan, Leg
from bridge.telemetry.metrics import Collector, Histogram, Metrics

PLAN = CallPlan(
    call_sid="CA" + "1" * 32,
    business_id="b",
    business_name="B",
    from_number="+15550000001",
    to_number="+15550000002",
    language="en",
    instructions="",
    greeting="",
)


def samples(metrics, live=(), gauges=None):
    collector = Collector(metrics, lambda: live, lambda: gauges or {})
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(collector.exposition().decode())
        for sample in family.samples
    }


def ended_call(**changes):
    call = Call(PLAN, now=0.0)
    call.receive_hangup("tested", 1.0)
    return call, msgspec.structs.replace(call.record(1.0), **changes)


def test_counter_keeps_its_labels_apart():
    metrics = Metrics()
    metrics.count("fallbacks", reason="full")
    metrics.count("fallbacks", 2, reason="database")

    assert metrics.value("fallbacks", reason="full") == 1
    found = samples(metrics)
    assert found["kolbridge_fallbacks_total", (("reason", "full"),)] == 1
    assert found["kolbridge_fallbacks_total", (("reason", "database"),)] == 2


def test_ended_call_is_added_up():
    metrics = Metrics()
    call, record = ended_call(
        answered_at_s=0.1, greeting_ms=700.0, answer_ms=[900.0], barge_in_ms=[140.0]
    )
    call.fast_path.rx_frames = 40
    metrics.add_call(call, record)

    found = samples(metrics)
    assert found["kolbridge_frames_total", (("kind", "rx"),)] == 40
    assert found["kolbridge_calls_ended_total", (("reason", "tested"),)] == 1
    assert found["kolbridge_calls_silent_total", ()] == 1
    assert found["kolbridge_greeting_seconds_sum", ()] == 0.7
    assert found["kolbridge_answer_seconds_bucket", (("le", "1"),)] == 1
    assert found["kolbridge_barge_in_seconds_bucket", (("le", "0.12"),)] == 0
    assert found["kolbridge_barge_in_seconds_bucket", (("le", "0.16"),)] == 1


def test_call_that_was_never_answered_is_not_silent():
    metrics = Metrics()
    metrics.add_call(*ended_call())

    assert metrics.value("calls_silent") == 0


def test_running_calls_count_without_being_added():
    metrics = Metrics()
    running = Call(PLAN, now=0.0)
    running.receive_malformed(Leg.TWILIO, "bad", 0.1)

    for _ in range(2):
        found = samples(metrics, live=[running])
        assert found["kolbridge_malformed_total", (("leg", "twilio"),)] == 1
    assert metrics.value("malformed", leg="twilio") == 0


def test_gauges_are_read_from_their_owner():
    found = samples(Metrics(), gauges={"calls_active": ("Calls that run", 3)})

    assert found["kolbridge_calls_active", ()] == 3


def test_value_on_a_bound_belongs_to_it_and_one_beyond_all_to_infinity():
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 99.0):
        histogram.observe(value)

    buckets = [
        (sample.labels["le"], sample.value)
        for sample in histogram.family("x", "X").samples
        if sample.name.endswith("_bucket")
    ]
    assert buckets == [("1", 1.0), ("2", 2.0), ("+Inf", 3.0)]
