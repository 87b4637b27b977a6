"""Metrics of the calls of each business, with a bounded number of labels.

The busiest BUSINESSES_SHOWN_MAX businesses have a label each; all others share OTHER. A
business that becomes more than twice as busy as the least busy labelled one takes that
label's place. The new label counts from 0; its earlier counts stay with OTHER.
The database has the complete sums: `kolbridge calls --summary`.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec
from prometheus_client.core import CounterMetricFamily

from bridge.call.plan import CallRecord
from bridge.settings.prices import Prices, cost_of

# A label each in five counters: 250 series, of which Prometheus takes millions.
BUSINESSES_SHOWN_MAX = 50
# How many are ranked; beyond that, all counts are halved and counts of 1 are removed.
BUSINESSES_RANKED_MAX = 10_000
# How much busier a business must be to take another's label.
BUSIER = 2
OTHER = "other"
# The label of a caller who was refused before the dialled number was looked up.
UNKNOWN = "unknown"
_HELP = {
    "business_calls": "Calls that have ended, by business",
    "business_minutes": "Minutes from stream's start to call's end, by business",
    "business_failures": "Calls that failed, by business",
    "business_fallbacks": "Callers who were given the spoken fallback, by business",
    "business_cost": "Cost of calls, in the currency of OPENAI_PRICES, by business",
    "business_uncosted": "Calls with a model that has no price, by business",
}


class Figures(msgspec.Struct):
    """The sums of one label."""

    calls: int = 0
    minutes: float = 0.0
    failures: int = 0
    fallbacks: int = 0
    cost: float = 0.0
    uncosted: int = 0

    def add(self, more: "Figures") -> None:
        """Add another's figures to these."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(more, name))


class BusinessMetrics:
    """The figures of one process's calls, by business."""

    def __init__(self) -> None:
        self._shown: dict[str, Figures] = {}
        self._rank: Counter[str] = Counter()
        # How many figures were counted under OTHER, because all labels were taken.
        self.unlabelled = 0

    def add_call(self, record: CallRecord, prices: Prices) -> None:
        """Add a call that has ended; call this once per call."""
        plan = record.plan
        options = plan.options
        cost = cost_of(
            record.usage,
            options.openai_model,
            options.openai_transcription_model,
            prices,
        )
        talked_s = 0.0
        if record.answered_at_s is not None:
            talked_s = record.ended_at_s - record.answered_at_s
        figures = Figures(
            calls=1,
            minutes=talked_s / 60,
            failures=int(record.failed),
            cost=cost or 0.0,
            uncosted=int(cost is None),
        )
        self.add(plan.business_id, figures)

    def add(self, business_id: str, figures: Figures) -> None:
        """Add figures of a business; "" is an unknown business."""
        label = self._label_of(business_id) if business_id else UNKNOWN
        self.unlabelled += label == OTHER
        self._shown.setdefault(label, Figures()).add(figures)

    def families(self, prefix: str) -> Iterator[CounterMetricFamily]:
        """Return the counters as Prometheus families."""
        for name, text in _HELP.items():
            family = CounterMetricFamily(prefix + name, text, labels=["business"])
            field = name.removeprefix("business_")
            for label, figures in self._shown.items():
                family.add_metric([label], getattr(figures, field))
            yield family
        yield CounterMetricFamily(
            prefix + "business_unlabelled",
            f"Calls and fallbacks counted under {OTHER}, because more than "
            f"{BUSINESSES_SHOWN_MAX} businesses have calls",
            value=self.unlabelled,
        )

    def _label_of(self, business_id: str) -> str:
        self._rank[business_id] += 1
        if len(self._rank) > BUSINESSES_RANKED_MAX:
            halved = {one: n // 2 for one, n in self._rank.items() if n > 1}
            self._rank = Counter(halved)
        if business_id in self._shown:
            return business_id
        named = self._shown.keys() - {OTHER, UNKNOWN}
        if len(named) < BUSINESSES_SHOWN_MAX:
            return business_id
        least = min(named, key=self._rank.__getitem__)
        if self._rank[business_id] <= BUSIER * self._rank[least]:
            return OTHER
        del self._shown[least]
        return business_id
