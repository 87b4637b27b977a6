"""The metrics of the process, and their export to Prometheus.

`Metrics` holds plain numbers, counted where events occur: an increment costs
nanoseconds and does not involve Prometheus. The call itself holds the counts per frame.
These counts are added up when the call ends, and for running calls when `Collector` is
asked. There are no labels per call: the code bounds their number, not the traffic.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from time import time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from bridge.call import limits
from bridge.call.machine import Call
from bridge.call.plan import CallRecord
from bridge.call.recovery import Mute
from bridge.settings.options import CallOptions
from bridge.settings.prices import VENDOR_PRICES, Prices
from bridge.telemetry.business_metrics import BusinessMetrics, Figures
from bridge.telemetry.live_call import REFUSED_KEPT, RefusedCall
from bridge.telemetry.metrics_merge import added_up

PREFIX = "kolbridge_"
# Bounds around what a caller expects: an answer in 0.5 to 1.5 s, silence within 0.2 s.
ANSWER_BOUNDS_S = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
# A greeting that waited for its caller takes some ms, one that did not is an answer.
GREETING_BOUNDS_S = (0.005, 0.02, 0.05, *ANSWER_BOUNDS_S)
# Bounds around a frame, 20 ms, the default of LAG_BUDGET_MS.
LAG_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
# A pass over the young objects takes some 10 us; 20 ms would be a frame.
GC_PAUSE_BOUNDS_S = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
BARGE_IN_BOUNDS_S = (0.04, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.5, 1.0)


def _mute_answers(kind: Mute, call: Call) -> int:
    count: int = getattr(call.counters, f"mute_{kind.value}")
    return count


# The counts that a call keeps: (metric, labels) and where the call keeps them.
_OF_CALL: tuple[tuple[str, dict[str, str], Callable[[Call], int]], ...] = (
    ("frames", {"kind": "rx"}, lambda call: call.fast_path.rx_frames),
    ("frames", {"kind": "tx"}, lambda call: call.playout.frames_sent),
    ("frames", {"kind": "forwarded"}, lambda call: call.uplink.forwarded_frames),
    ("frames", {"kind": "dropped"}, lambda call: call.uplink.dropped_frames),
    ("frames", {"kind": "silence"}, lambda call: call.uplink.silence_frames_sent),
    ("frames", {"kind": "gap"}, lambda call: call.counters.gap_frames),
    ("barge_ins", {"kind": "confirmed"}, lambda call: call.counters.barge_ins),
    ("barge_ins", {"kind": "false_alarm"}, lambda call: call.counters.barge_ins_false),
    ("malformed", {"leg": "twilio"}, lambda call: call.counters.malformed_twilio),
    ("malformed", {"leg": "openai"}, lambda call: call.counters.malformed_openai),
    ("unknown", {"leg": "twilio"}, lambda call: call.counters.unknown_twilio),
    ("unknown", {"leg": "openai"}, lambda call: call.counters.unknown_openai),
    ("bad_answers", {"kind": "failed"}, lambda call: call.counters.failed_answers),
    *(
        ("bad_answers", {"kind": kind.value}, partial(_mute_answers, kind))
        for kind in Mute
    ),
    ("openai_errors", {}, lambda call: call.counters.openai_errors),
    ("sessions", {"kind": "changed"}, lambda call: call.counters.changed_sessions),
    ("sessions", {"kind": "reopened"}, lambda call: call.counters.reopened_sessions),
    ("sessions", {"kind": "not_had"}, lambda call: call.counters.failed_standbys),
    ("sessions", {"kind": "retried"}, lambda call: call.counters.retried_handshakes),
    ("streams", {"kind": "lost"}, lambda call: call.counters.lost_streams),
    ("streams", {"kind": "resumed"}, lambda call: call.counters.resumed_streams),
    ("digits", {}, lambda call: call.counters.digits),
    ("operator_orders", {"kind": "hint"}, lambda call: call.counters.operator_hints),
    ("operator_orders", {"kind": "take_over"}, lambda call: call.counters.takeovers),
    ("untranscribed_turns", {}, lambda call: call.counters.untranscribed_turns),
    ("playout_underruns", {}, lambda call: call.playout.underruns),
    *(("dropped", {"limit": name}, read) for name, read in limits.OF_CALL.items()),
)
_HELP = {
    "frames": "20 ms frames. rx, tx: from and to callers. forwarded, silence: to the "
    "model, as they came or as silence. dropped: not sent to it. gap: lost on the "
    "network",
    "barge_ins": "Interruptions of the AI, and holds that became none",
    "malformed": "Messages that could not be read, by leg",
    "unknown": "Messages of an unknown type, by leg",
    "bad_answers": "Responses that failed or had no sound, by kind",
    "openai_errors": "Error events from the model",
    "sessions": "Sessions with the model. changed: rolled over in time. reopened: "
    "after a loss. not_had: a standby session could not be opened. retried: a try to "
    "open one failed, and another followed",
    "streams": "Media streams lost while the call went on, and resumed",
    "digits": "Keys pressed by callers",
    "operator_orders": "What operators did in calls: hints to the model, takeovers",
    "untranscribed_turns": "Turns of callers without a transcript",
    "playout_underruns": "Gaps within an item, because its audio came or went late",
    "dropped": "What a limit inside a call refused, by limit",
    "calls_ended": "Calls that have ended, by reason",
    "calls_silent": "Answered calls in which the caller heard nothing (tx=0)",
    "admission_changes": "How often new calls began, and ceased, to be turned away",
    "fallbacks": "Calls that were given the spoken fallback, by reason",
    "accepts_put_off": "Times no connection could be accepted for want of a file "
    "descriptor",
    "requests_refused": "Requests refused before they were read, by reason",
    "unsigned_parameters": "Webhook fields not used, because no signature covers them",
    "rejected_signatures": "Requests with a wrong signature or none, by endpoint",
    "refused_streams": "Media streams closed before they belonged to a call, by reason",
    "limits_unknown": "Times the database could not count a business's calls, and the "
    "call was let in",
    "repeated_webhooks": "Voice webhooks of a call that is over, or another process's",
    "unknown_numbers": "Calls to a number that no business has",
    "requests_of_other_accounts": "Calls and messages for a business's number that are "
    "another account's than its NUMBER_ACCOUNT",
    "limits_reached": "Calls and bookings that a business's LIMIT_… refused or ended",
    "tools": "Tool calls, by name and outcome",
    "recordings": "Flight recordings, by outcome",
    "records": "Call records, by outcome",
    "log_lines_dropped": "Log lines dropped: nobody reads stderr, or its disk is full",
    "businesses_from_cache": "Calls opened with a business from the cache on disk",
    "embedded_starts": "How often the embedded database had to be started again",
    "journal_failures": "Writes of call records that the disk refused",
    "webhook_failures": "Webhooks whose handler failed, by endpoint",
    "task_failures": "Background tasks that failed and were started again, by task",
    "streams_handed_over": "Streams that arrived at another worker than their call's",
    "calls_resumed": "Calls of a process that died, by what became of them here",
    "calls_moved": "Calls of a process that died, moved here by Twilio's REST API",
    "calls_taken_over": "Calls let go here, because another process has claimed them",
    "calls_asked_for": "Claimed calls asked of the process that had them, by outcome",
    "checkpoints_saved": "Checkpoints of running calls written to the database",
    "webhooks_passed_on": "Webhooks passed on to another node, by outcome",
    "api_requests": "Requests to the HTTP API and the calendar feeds, by status",
    "notices": "Tries to deliver a notice, by kind of endpoint and outcome",
    "notice_endpoints_disabled": "Endpoints of notices that were disabled after days "
    "without a success, or because they are gone",
    "messages_in": "WhatsApp messages that came in, by outcome. cut, unoffered_choice: "
    "counted beside the outcome of the same message",
    "messages_out": "WhatsApp messages to send, by outcome",
    "message_statuses": "Statuses of sent messages that Twilio reported",
    "message_api_errors": "Requests to Twilio's API for messages that failed, by "
    "request and code",
    "conversations": "Conversations in writing that were worked on. done: answered "
    "and sent. failed: tried again after a pause. lost: another process has it",
    "announcements": "Reminders and messages after missed calls, by purpose",
    "message_turns_given_up": "Answers in writing that failed too often; the writer "
    "was told",
    "messenger_restarts": "Messenger processes that ended and were started again",
    "messenger_full": "Times a messenger had as many conversations as it may",
    "typing_failures": "Times the carrier did not show that an answer is on its way",
    "message_answers": "Answers in writing. held: the chat was left to a person. "
    "failed: the model gave none; the writer was told",
    "message_answers_late": "Answers in writing that took so long that the writer was "
    "told to wait",
    "message_model_requests": "Runs of the model that writes, each with its tools, by "
    "outcome",
    "node_failures": "Heartbeats, checkpoints and moves of calls that failed",
    "recordings_sent": "Files of recordings sent to other nodes, by outcome",
    "node_recordings": "Files of recordings read from other nodes, by outcome",
    "connections_refused": "Connections closed before they sent a request, by reason",
    "console_logins": "Logins to the console, by outcome",
    "console_refused": "Requests that the console refused, by reason",
    "console_faults": "Pages of the console that say what went wrong, by status",
}
# These show as 0 from the start; the others appear with their first label.
_UNLABELLED = (
    "accepts_put_off",
    "calls_moved",
    "calls_silent",
    "calls_taken_over",
    "checkpoints_saved",
    "embedded_starts",
    "journal_failures",
    "limits_unknown",
    "log_lines_dropped",
    "message_turns_given_up",
    "messenger_full",
    "message_answers_late",
    "messenger_restarts",
    "notice_endpoints_disabled",
    "repeated_webhooks",
    "requests_of_other_accounts",
    "streams_handed_over",
    "typing_failures",
    "unknown_numbers",
)
# These do, too: Prometheus sees an increase only of a series that existed before.
_RARE = (
    ("records", "outcome", "refused"),
    ("records", "outcome", "lost"),
    *(
        ("calls_resumed", "outcome", outcome)
        for outcome in ("resumed", "over", "refused", "failed")
    ),
    *(
        ("limits_reached", "limit", name)
        for name in CallOptions.__struct_fields__
        if name.startswith("limit_")
    ),
    # What else calls `note_failure`: a supervised task does it for its own name.
    *(
        ("task_failures", "task", name)
        for name in ("checkpoint", "conversation", "loop_monitor", "notice")
    ),
)


class Histogram:
    """Counts values by upper bound; the last bucket takes values beyond all bounds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def counts(self) -> tuple[int, ...]:
        """Return how many values each bucket has."""
        return tuple(self._counts)

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """Return the Prometheus family: counts are cumulative from bucket to bucket."""
        total, buckets = 0, []
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        for bound, count in zip(bounds, self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return HistogramMetricFamily(
            PREFIX + name, text, buckets=buckets, sum_value=self._sum
        )


class Metrics:
    """The numbers of one process."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[tuple[tuple[str, str], ...]]] = {
            name: Counter() for name in _HELP
        }
        for name in _UNLABELLED:
            self.count(name, 0)
        for name, label, value in _RARE:
            self.count(name, 0, **{label: value})
        # The pages of processes beside this one, "" for none: added to its own.
        self.pages_beside: list[Callable[[], str]] = []
        self.businesses = BusinessMetrics()
        # The newest callers who were given the fallback.
        self.refused: deque[RefusedCall] = deque(maxlen=REFUSED_KEPT)
        self._refusals = 0
        self.answer_s = Histogram(ANSWER_BOUNDS_S)
        self.greeting_s = Histogram(GREETING_BOUNDS_S)
        self.barge_in_s = Histogram(BARGE_IN_BOUNDS_S)
        self.loop_lag_s = Histogram(LAG_BOUNDS_S)
        self.gc_pause_s = Histogram(GC_PAUSE_BOUNDS_S)

    def count(self, name: str, by: int = 1, /, **labels: str) -> None:
        """Add to a counter, which is one of `_HELP`."""
        self._counts[name][tuple(labels.items())] += by

    def value(self, name: str, /, **labels: str) -> int:
        """Return what a counter stands at."""
        return self._counts[name][tuple(labels.items())]

    def count_fallback(self, reason: str, business_id: str) -> None:
        """Count a caller who is given the spoken fallback."""
        self.count("fallbacks", reason=reason)
        self._refusals += 1
        self.refused.append(
            RefusedCall(
                number=self._refusals,
                at=round(time(), 1),
                reason=reason,
                business_id=business_id,
            )
        )
        self.businesses.add(business_id, Figures(fallbacks=1))

    def add_call(
        self, call: Call, record: CallRecord, prices: Prices = VENDOR_PRICES
    ) -> None:
        """Add up a call that has ended; call this once per call."""
        for name, labels, read in _OF_CALL:
            self.count(name, read(call), **labels)
        self.count("calls_ended", reason=record.end_reason)
        self.businesses.add_call(record, prices)
        if record.answered_at_s is not None and record.tx_frames == 0:
            self.count("calls_silent")
        if record.greeting_ms is not None:
            self.greeting_s.observe(record.greeting_ms / 1e3)
        for latency_ms in record.answer_ms:
            self.answer_s.observe(latency_ms / 1e3)
        for latency_ms in record.barge_in_ms:
            self.barge_in_s.observe(latency_ms / 1e3)

    def counters(self, live: Iterable[Call]) -> Iterator[CounterMetricFamily]:
        """Return every counter, the calls that still run included."""
        running = list(live)
        for name, text in _HELP.items():
            found = self._counts[name].copy()
            for of_name, labels, read in _OF_CALL:
                if of_name == name:
                    key = tuple(labels.items())
                    found[key] += sum(read(call) for call in running)
            keys = [key for key, _ in next(iter(found), ())]
            family = CounterMetricFamily(PREFIX + name, text, labels=keys)
            for key, count in found.items():
                family.add_metric([value for _, value in key], count)
            yield family


class Collector:
    """Reads the metrics when Prometheus scrapes them.

    The owner of the calls supplies the present state: the running calls, and each
    gauge's help text and value.
    """

    def __init__(
        self,
        metrics: Metrics,
        live_calls: Callable[[], Iterable[Call]],
        gauges: Callable[[], Mapping[str, tuple[str, float]]],
    ) -> None:
        self._metrics = metrics
        self._live_calls = live_calls
        self._gauges = gauges
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return every family."""
        yield from self._metrics.counters(self._live_calls())
        yield from self._metrics.businesses.families(PREFIX)
        for name, (text, value) in self._gauges().items():
            yield GaugeMetricFamily(PREFIX + name, text, value=value)
        yield self._metrics.answer_s.family(
            "answer_seconds", "From the end of the caller's speech to the first frame"
        )
        yield self._metrics.greeting_s.family(
            "greeting_seconds", "From the stream's start to the greeting's first frame"
        )
        yield self._metrics.barge_in_s.family(
            "barge_in_seconds", "From the onset of the caller's speech to clear"
        )
        yield self._metrics.loop_lag_s.family(
            "loop_lag_seconds", "How late the event loop is, measured 50 times a second"
        )
        yield self._metrics.gc_pause_s.family(
            "gc_pause_seconds", "How long a garbage collection stopped the process"
        )

    def exposition(self) -> bytes:
        """Return the page that Prometheus reads."""
        page = generate_latest(self._registry)
        beside = [found for read in self._metrics.pages_beside if (found := read())]
        return added_up([page.decode(), *beside]) if beside else page
