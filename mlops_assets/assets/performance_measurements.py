"""What the performance of a monitoring window is measured by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.core.windows import Window, labels_are_complete
from mlops_assets.lake.queries import (
    LogVersions,
    answer_counts,
    answer_errors,
    label_counts,
    labelled_predictions,
    log_versions,
    score_groups,
)
from mlops_assets.resources.lake import LakeResource
from mlops_assets.spec import ModelSpec
from serving.errors import BundleError
from serving.formats.bundle import CALIBRATION_FILE, Bundle, open_bundle
from serving.formats.release import Release

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.concept_drift import ConceptDrift
    from mlops_assets.core.intervals import Estimate
    from mlops_assets.core.labels import LabelArrival
    from mlops_assets.core.performance import Labels, PairedDifference, Performance
    from mlops_assets.core.slices import Slice

MAXIMUM_ERRORS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class WindowPerformance:
    """Everything that was measured of one window; None where there was nothing to measure it on.

    Attributes:
        labelled: Predictions with a label and a finite score.
        truth: 1 where their label is the positive one.
        arrival: Coverage and delay of the labels.
        label_digest: Of the labels that it was at least measured on: a later digest asks for the report again.
        complete: Whether the labels have had their horizon or are all there.
        versions: That answered.
        overall: Of all labelled predictions, whichever version answered.
        intervals: Of its further metrics.
        over_constant: The answers less the constant predictor's, on the same rows.
        slices: The same metrics for each value of the declared categories.
        own: Of the rows that the version that the report is about has answered.
        estimate: The accuracy to expect of its rows before any label.
        concept_drift: Changes of its errors since its promotion, as far back as the training history and
            `MAXIMUM_ERRORS` go; None while labels are still to come.
    """

    labelled: "pd.DataFrame"
    truth: "Labels"
    arrival: "LabelArrival"
    label_digest: str
    complete: bool
    versions: tuple[str, ...]
    overall: "Performance | None"
    intervals: "dict[str, Estimate]"
    over_constant: "PairedDifference | None"
    slices: "tuple[Slice, ...]"
    own: "Performance | None"
    estimate: "Estimate | None"
    concept_drift: "ConceptDrift | None"

    @property
    def values(self) -> dict[str, float]:
        """The defined metrics of all labelled predictions, with `_low` and `_high` beside them."""
        return metric_values(self.overall, self.intervals) if self.overall else {}


def reported_bundle(
    spec: ModelSpec, lake: LakeResource, window: Window, production: Bundle, chain: Sequence[Release], bundles: Path
) -> Bundle:
    """Return the bundle of the version that a window's performance report is about.

    It is the one in production if that has answered any row of the window, else the one that has answered most of
    them: a report that is made again after a promotion says the same. Without its bundle it could not be measured, and
    the report is about the version in production, with nothing to say.

    Args:
        spec: The model.
        lake: Holds the predictions.
        window: The window.
        production: In production.
        chain: The model's releases, oldest first.
        bundles: The folder of all bundles.
    """
    counts = answer_counts(lake.tables, spec, start=window.start, end=window.end)
    if not counts or production.manifest.version in counts:
        return production
    version = max(counts, key=lambda version: (counts[version], version))
    digests = {deployed.version: deployed.bundle for release in chain for deployed in release.routing.versions}
    try:
        return open_bundle(bundles, digests[version]) if version in digests else production
    except BundleError:
        return production


def measure_performance(
    spec: ModelSpec, lake: LakeResource, window: Window, bundle: Bundle, chain: Sequence[Release]
) -> WindowPerformance:
    """Measure one window.

    Args:
        spec: The model.
        lake: Holds predictions and labels.
        window: The window.
        bundle: Of the version that the report is about.
        chain: The model's releases, oldest first.
    """
    import numpy as np
    import pandas as pd

    from mlops_assets.core.labels import measure_labels
    from mlops_assets.core.schema import binary_labels
    from mlops_assets.core.slices import measure_slices

    # Clock and digest before the rows: a label that comes in between then makes the report once more.
    watermark = lake.watermark(spec)
    counted = label_counts(lake.tables, spec, start=window.start).get(window.start)
    versions = log_versions(lake.tables, spec.name)
    frame = labelled_predictions(lake.tables, spec, versions, start=window.start, end=window.end)
    known = frame[frame["observed_label"].notna()]
    delays = (pd.to_datetime(known["observed_at"], utc=True) - known["event_time"]).dt.total_seconds()
    labelled = known[np.isfinite(known["score"].to_numpy(dtype=float))].reset_index(drop=True)
    truth = binary_labels(labelled["observed_label"], spec.label.positive)
    complete = watermark is not None and labels_are_complete(
        window, watermark, spec.windows, n_rows=len(frame), n_labels=len(known)
    )
    own = (labelled["model_version"] == bundle.manifest.version).to_numpy()
    overall, intervals, over_constant = _overall(spec, bundle, labelled, truth)
    prior = _prior(bundle)
    return WindowPerformance(
        labelled=labelled,
        truth=truth,
        arrival=measure_labels(len(frame), np.asarray(delays, dtype=np.float64)),
        label_digest=counted.digest if counted else "",
        complete=complete,
        versions=tuple(sorted(frame["model_version"].unique())),
        overall=overall,
        intervals=intervals,
        over_constant=over_constant,
        slices=measure_slices(labelled, truth, spec.slices, threshold=spec.label.threshold, prior=prior),
        own=_measure(spec, bundle, labelled[own], truth[own]),
        estimate=estimate_window(spec, lake, window, bundle),
        concept_drift=_concept_drift(spec, lake, versions, window, bundle, _until_answered(chain, frame, bundle))
        if complete
        else None,
    )


def estimate_window(spec: ModelSpec, lake: LakeResource, window: Window, bundle: Bundle) -> "Estimate | None":
    """Return the accuracy to expect of the rows that the version of a bundle answered, labels or not.

    Returns:
        None if it answered none, or if its bundle is older than the estimate.
    """
    from mlops_assets.core.estimation import Calibration, estimate_accuracy

    if CALIBRATION_FILE not in bundle.contents:
        return None
    groups = score_groups(
        lake.tables,
        spec,
        log_versions(lake.tables, spec.name),
        start=window.start,
        end=window.end,
        model_version=bundle.manifest.version,
    )
    return estimate_accuracy(
        Calibration.from_json(bundle.contents[CALIBRATION_FILE]),
        groups["score"].to_numpy(dtype=float),
        (groups["label"] == spec.label.positive).to_numpy(),
        groups["n_rows"].to_numpy(),
    )


def metric_values(performance: "Performance", intervals: "dict[str, Estimate]") -> dict[str, float]:
    """Return the defined metrics, with `_low` and `_high` beside those that have an interval."""
    values = performance.metrics_with_intervals()
    for name, estimate in intervals.items():
        values |= {f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return values


def production_since(chain: Sequence[Release]) -> int:
    """Return the generation since which the version in production has been there without a break."""
    newest = chain[-1]
    since = newest.generation
    for release in reversed(chain):
        if release.routing.production != newest.routing.production:
            break
        since = release.generation
    return since


def _until_answered(chain: Sequence[Release], frame: "pd.DataFrame", bundle: Bundle) -> Sequence[Release]:
    """Return the chain up to the newest entry under which a version has answered a window; all of it if it has not."""
    generations = frame["generation"][frame["model_version"] == bundle.manifest.version]
    return chain if generations.empty else [entry for entry in chain if entry.generation <= generations.max()]


def _concept_drift(
    spec: ModelSpec,
    lake: LakeResource,
    versions: LogVersions,
    window: Window,
    bundle: Bundle,
    chain: Sequence[Release],
) -> "ConceptDrift":
    import pandas as pd

    from mlops_assets.core.concept_drift import detect_concept_drift

    errors = answer_errors(
        lake.tables,
        spec,
        versions,
        start=window.end - spec.training.history,
        end=window.end,
        model_version=bundle.manifest.version,
        since_generation=production_since(chain),
        limit=MAXIMUM_ERRORS,
    )
    times: Any = pd.DatetimeIndex(errors["event_time"])  # a list of a million timestamps would take a second
    wrong = errors["wrong"].to_numpy(dtype=bool)
    return detect_concept_drift(wrong, times, minimum_rows=spec.windows.minimum_rows)


def _overall(
    spec: ModelSpec, bundle: Bundle, labelled: "pd.DataFrame", truth: "Labels"
) -> "tuple[Performance | None, dict[str, Estimate], PairedDifference | None]":
    import numpy as np

    from mlops_assets.core.performance import further_intervals, paired_difference

    overall = _measure(spec, bundle, labelled, truth)
    if overall is None:
        return None, {}, None
    scores, threshold = labelled["score"].to_numpy(dtype=float), spec.label.threshold
    constant = np.full(len(scores), _prior(bundle))
    return (
        overall,
        further_intervals(overall, scores, truth, threshold=threshold),
        paired_difference(scores, constant, truth, threshold=threshold),
    )


def _measure(spec: ModelSpec, bundle: Bundle, labelled: "pd.DataFrame", truth: "Labels") -> "Performance | None":
    from mlops_assets.core.performance import evaluate

    if labelled.empty:
        return None
    scores = labelled["score"].to_numpy(dtype=float)
    return evaluate(scores, truth, threshold=spec.label.threshold, prior=_prior(bundle))


def _prior(bundle: Bundle) -> float:
    return bundle.manifest.metrics.get("prior", 0.5)
