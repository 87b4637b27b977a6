"""Figures by business: few labels, whatever the number of businesses."""

import msgspec

from bridge.call.machine import Call
from bridge.call.plan import CallPlan
from bridge.settings.prices import Price
from bridge.telemetry import business_metrics
from bridge.telemetry.business_metrics import OTHER, UNKNOWN, BusinessMetrics, Figures

PLAN = CallPlan(
    call_sid="CA" + "1" * 32,
    business_id="b1",
    business_name="B",
    from_number="+12025550123",
    to_number="+12025550124",
    language="en",
    instructions="",
    greeting="",
)


def samples(metrics):
    return {
        (sample.name.removeprefix("kolbridge_business_"), *sample.labels.values()): (
            sample.value
        )
        for family in metrics.families("kolbridge_")
        for sample in family.samples
    }


def ended(**changes):
    call = Call(PLAN, now=0.0)
    call.receive_hangup("tested", 1.0)
    return msgspec.structs.replace(call.record(1.0), **changes)


def test_call_adds_its_minutes_and_its_cost():
    metrics = BusinessMetrics()
    usage = {"output_tokens": 1e6, "output_token_details.audio_tokens": 1e6}
    prices = {"gpt-realtime-2.1": Price(audio_out=64)}
    metrics.add_call(ended(answered_at_s=10.0, ended_at_s=100.0, usage=usage), prices)
    metrics.add_call(ended(failed=True), prices)

    found = samples(metrics)
    assert found["calls_total", "b1"] == 2
    assert found["minutes_total", "b1"] == 1.5
    assert found["cost_total", "b1"] == 64
    assert found["failures_total", "b1"] == 1
    assert found["uncosted_total", "b1"] == 0


def test_call_with_a_model_without_a_price_says_so():
    metrics = BusinessMetrics()
    metrics.add_call(ended(usage={"output_tokens": 1.0}), {})

    assert samples(metrics)["uncosted_total", "b1"] == 1
    assert samples(metrics)["cost_total", "b1"] == 0


def test_fallback_of_nobodys_call_is_unknown():
    metrics = BusinessMetrics()
    metrics.add("", Figures(fallbacks=1))

    assert samples(metrics)["fallbacks_total", UNKNOWN] == 1
    assert samples(metrics)["unlabelled_total",] == 0


def test_beyond_the_bound_businesses_share_a_label(monkeypatch):
    monkeypatch.setattr(business_metrics, "BUSINESSES_SHOWN_MAX", 2)
    metrics = BusinessMetrics()
    for business in ("a", "a", "b", "b", "c", "d"):
        metrics.add(business, Figures(calls=1))

    found = samples(metrics)
    assert found["calls_total", "a"] == found["calls_total", "b"] == 2
    assert found["calls_total", OTHER] == 2
    assert found["unlabelled_total",] == 2


def test_who_comes_to_be_much_busier_takes_the_least_ones_label(monkeypatch):
    monkeypatch.setattr(business_metrics, "BUSINESSES_SHOWN_MAX", 2)
    metrics = BusinessMetrics()
    for business in ("a", "a", "a", "b", *"cccc", "b", "d"):
        metrics.add(business, Figures(calls=1))

    found = samples(metrics)
    assert ("calls_total", "b") not in found
    assert found["calls_total", "a"] == 3
    assert found["calls_total", "c"] == 2, "the third call on has its own label"
    assert found["calls_total", OTHER] == 4


def test_ranks_are_bounded(monkeypatch):
    monkeypatch.setattr(business_metrics, "BUSINESSES_RANKED_MAX", 10)
    metrics = BusinessMetrics()
    for number in range(1_000):
        metrics.add(f"b{number}", Figures(calls=1))
        metrics.add(f"b{number}", Figures(calls=1))

    assert len(metrics._rank) <= 11
    assert sum(n for (name, *_), n in samples(metrics).items() if name == "calls_total")
