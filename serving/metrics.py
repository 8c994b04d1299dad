"""What the server measures about itself, shared by all its processes through files (prometheus_client multiprocess).

`PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported; the supervisor does that for its children.
"""

from prometheus_client import Counter, Gauge, Histogram

LATENCY = Histogram(
    "model_prediction_latency_seconds",
    "From the decoded request to the journaled answer, one call.",
    ["model"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
PREDICTIONS = Counter(
    "model_predictions",
    "Rows answered (status OK), or calls refused (the gRPC status).",
    ["model", "model_version", "status"],
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
    "serving_calls_refused", "Calls that did not come in, or whose message was refused unread.", ["reason"]
)
CALLS_IN_FLIGHT = Gauge(
    "serving_calls_in_flight", "Calls that run or wait for a thread.", ["pool"], multiprocess_mode="livesum"
)
JOURNAL_WRITABLE = Gauge("journal_writable", "0 while a worker can not journal.", multiprocess_mode="livemin")
JOURNAL_WRITABLE.set(1)
SHIPPED_ROWS = Counter("journal_shipped_rows", "Rows that reached the lake.")
SHIP_FAILURES = Counter("journal_ship_failures", "Rounds in which a table could not be written.")


class Meter:
    """The label children of one version, looked up once when it is loaded."""

    def __init__(self, model: str, version: str) -> None:
        self._model, self._version = model, version
        self.observe_seconds = LATENCY.labels(model).observe
        self.count_rows = PREDICTIONS.labels(model, version, "OK").inc

    def count_refused(self, status: str) -> None:
        """Count one call that was not answered."""
        PREDICTIONS.labels(self._model, self._version, status).inc()
