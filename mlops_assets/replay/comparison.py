"""The loop beside the frozen first model and beside the constant predictor, on the rows that the loop answered."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.core.windows import Window
from mlops_assets.lake.queries import labelled_predictions, log_versions
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import ModelSpec
from serving.formats.bundle import open_bundle
from serving.formats.release import ReleaseStore

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("accuracy", "auc", "log_loss")


@dataclass(frozen=True)
class Comparison:
    """Accuracy, AUC and log loss of the three, in total and per window."""

    totals: dict[str, dict[str, float | None]]
    windows: dict[datetime, dict[str, dict[str, float | None]]]
    n_labels: dict[datetime, int]


def compare(spec: ModelSpec, lake: Lake, store: ReleaseStore, windows: list[Window]) -> Comparison:
    """Score every labelled row of the windows with the first promoted version, and measure all three.

    The loop's scores are those that were served and logged; nothing is scored again for it.
    """
    first = next(release for release in store.history(spec.name) if release.action == "promote")
    if first.routing.production is None or not windows:
        return Comparison({}, {}, {})
    bundle = open_bundle(store.bundles, first.routing.production.bundle)
    frame = labelled_predictions(lake, spec, log_versions(lake, spec.name), start=windows[0].start, end=windows[-1].end)
    labelled = frame[frame["observed_label"].notna()].reset_index(drop=True)
    scored = _scores(spec, bundle, labelled)
    by_window = {
        window.start: scored[(labelled["event_time"] >= window.start) & (labelled["event_time"] < window.end)]
        for window in windows
    }
    return Comparison(
        totals=_measure(spec, scored),
        windows={start: _measure(spec, rows) for start, rows in by_window.items()},
        n_labels={start: len(rows) for start, rows in by_window.items()},
    )


def _scores(spec: ModelSpec, bundle: Any, labelled: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    from mlops_assets.core.schema import binary_labels, frame_matrices
    from serving.scoring.predictor import Predictor

    frozen = Predictor.of_bundle(bundle).scores(*frame_matrices(labelled, bundle.contract))
    return pd.DataFrame(
        {
            "truth": binary_labels(labelled["observed_label"], spec.label.positive),
            "loop": labelled["score"],
            "frozen": frozen,
            "constant": bundle.manifest.metrics["prior"],
        }
    )


def _measure(spec: ModelSpec, rows: "pd.DataFrame") -> dict[str, dict[str, float | None]]:
    from mlops_assets.core.performance import evaluate

    if rows.empty:
        return {who: dict.fromkeys(METRICS) for who in ("loop", "frozen", "constant")}
    measured = {}
    for who in ("loop", "frozen", "constant"):
        prior = float(rows["constant"].iloc[0])
        figures = evaluate(
            rows[who].to_numpy(), rows["truth"].to_numpy(), threshold=spec.label.threshold, prior=prior
        ).metrics()
        measured[who] = {name: figures[name] for name in METRICS}
    return measured
