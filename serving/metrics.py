"""What the server measures about itself, shared by all its processes through files (prometheus_client multiprocess).

`PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported; the supervisor does that for its children.
"""

import os
from inspect import getclosurevars
from typing import Any

import numpy as np
from prometheus_client import Counter, Gauge, Histogram, values

from serving.formats.contract import Numbers
from serving.metric_files import PROCESS_VARIABLE

if _process := os.environ.get(PROCESS_VARIABLE):
    values.ValueClass = values.MultiProcessValue(lambda: _process)  # type: ignore[no-untyped-call]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class BulkHistogram(Histogram):
    """A histogram that also takes many observations at once."""

    def observe_many(self, amounts: Numbers) -> None:
        """Add observations, shape (n,); what is not finite is left out, for a sum would never lose it again."""
        amounts = amounts[np.isfinite(amounts)]
        places = np.searchsorted(self._upper_bounds, amounts)
        self._sum.inc(float(amounts.sum()))
        for place, count in enumerate(np.bincount(places).tolist()):
            if count:
                self._buckets[place].inc(count)

    def forget(self, *label_values: str) -> None:
        """Free the memory of one child; what it counted stays in the shared files, and it may come back."""
        with self._lock:
            child: Any = self._metrics.pop(label_values, None)
        if child is not None:
            forgotten = {id(value) for value in (child._sum, *child._buckets)}
            kept = _kept_values()
            kept[:] = [value for value in kept if id(value) not in forgotten]


def _kept_values() -> list[Any]:
    """Return the list in which the library holds on to every value for the case of a fork, which no worker does."""
    kept: list[Any] = getclosurevars(values.ValueClass.__init__).nonlocals.get("values", [])
    return kept


LATENCY = BulkHistogram(
    "model_prediction_latency_seconds",
    "From the arrival of the request's message to the journaled answer, one call: waiting included.",
    ["model", "model_version"],
    buckets=SECONDS,
)
PREDICTIONS = Counter(
    "model_predictions",
    "Rows answered (status OK), or calls that were not (the gRPC status); names are empty where none was found.",
    ["model", "model_version", "role", "status"],
)
ROWS_PER_CALL = BulkHistogram(
    "model_call_rows", "Rows of one answered call.", ["model"], buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)
SCORES = BulkHistogram(
    "model_score",
    "Probability of the positive label, one row.",
    ["model", "model_version"],
    buckets=tuple(tenths / 10 for tenths in range(1, 11)),
)
CONFIDENCES = BulkHistogram(
    "model_confidence",
    "Probability of the answered label, one row.",
    ["model", "model_version"],
    buckets=tuple(twentieths / 20 for twentieths in range(11, 21)),
)
UNUSUAL_VALUES = Counter(
    "model_feature_unusual_values",
    "Values that were missing, in no category the contract lists, or (refused) out of range.",
    ["model", "feature", "kind"],
)
SWAP_SECONDS = Histogram(
    "model_swap_seconds",
    "From seeing a release to answering with it.",
    ["model"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
BUNDLE_FAILURES = Counter("model_bundle_failures", "Bundles that were refused at load.", ["model"])
STALE = Gauge(
    "model_stale", "1 while not what the release store names answers.", ["model"], multiprocess_mode="livemax"
)
CALLS_REFUSED = Counter(
    "serving_calls_refused", "Calls that did not come in, or whose message was not read, of all methods.", ["reason"]
)
CALLS_IN_FLIGHT = Gauge(
    "serving_calls_in_flight", "Calls that are being answered or wait for it.", ["pool"], multiprocess_mode="livesum"
)
JOURNAL_WRITABLE = Gauge("journal_writable", "0 while a worker can not journal.", multiprocess_mode="livemin")
JOURNAL_WRITABLE.set(1)
SHIPPED_ROWS = Counter("journal_shipped_rows", "Rows that reached the lake.")
SHIP_FAILURES = Counter("journal_ship_failures", "Rounds in which a table could not be written.")
