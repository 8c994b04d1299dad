"""What all workers of a server answered, read from the metrics that they share."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector


@dataclass(slots=True)
class VersionStatistics:
    """One version's counts since the server started."""

    rows: int = 0
    calls: int = 0
    seconds: float = 0.0
    refused_calls: int = 0


def version_statistics(metrics_folder: Path, model: str) -> dict[str, VersionStatistics]:
    """Return the statistics of every version of a model that was called, ended workers included."""
    collector = MultiProcessCollector(CollectorRegistry(), path=str(metrics_folder))  # type: ignore[no-untyped-call]
    found: defaultdict[str, VersionStatistics] = defaultdict(VersionStatistics)
    for metric in collector.collect():  # type: ignore[no-untyped-call]
        for sample in metric.samples:
            if sample.labels.get("model") != model or not sample.labels.get("model_version"):
                continue
            version = found[sample.labels["model_version"]]
            match sample.name, sample.labels.get("status"):
                case "model_predictions_total", "OK":
                    version.rows += int(sample.value)
                case "model_predictions_total", _:
                    version.refused_calls += int(sample.value)
                case "model_prediction_latency_seconds_count", _:
                    version.calls += int(sample.value)
                case "model_prediction_latency_seconds_sum", _:
                    version.seconds += sample.value
    return dict(found)
