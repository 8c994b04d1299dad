"""What the drift of a monitoring window is measured by, and how the outcome is kept in the lake."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mlops_assets.core.windows import Window
from mlops_assets.errors import InsufficientDataError
from mlops_assets.lake.metrics import store_report
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec
from serving.formats.bundle import Bundle
from serving.formats.release import Release

if TYPE_CHECKING:
    from mlops_assets.core.drift import WindowDrift
    from mlops_assets.core.intervals import Estimate
    from mlops_assets.core.profile import Counts, Profile


@dataclass(frozen=True)
class DriftReport:
    """The verdict on one window against the production model's profile."""

    window: Window
    model_version: str
    generation: int
    verdict: str
    n_rows: int
    drifted_features: tuple[str, ...]


def production(releases: ReleaseStoreResource, spec: ModelSpec) -> tuple[Release, Bundle]:
    """Return the newest release and the bundle in production.

    Raises:
        InsufficientDataError: Nothing is in production yet.
    """
    release, bundle = releases.production_release(spec.name), releases.production_bundle(spec.name)
    if release is None or bundle is None:
        raise InsufficientDataError(f"{spec.name}: no version is in production; materialize production_model first")
    return release, bundle


def measure_drift(
    spec: ModelSpec, bundle: Bundle, lake: LakeResource, window: Window, *, season: "Counts | None" = None
) -> "tuple[Profile, Counts, WindowDrift]":
    """Let the engine count a window on the bundle's profile, and score the counts.

    Args:
        spec: Its policy and features.
        bundle: Holds the profile.
        lake: Holds the log.
        window: The window.
        season: What seasonal features are compared with (`mlops_assets.assets.seasons`).
    """
    from mlops_assets.core.drift import score_window
    from mlops_assets.core.profile import Profile
    from mlops_assets.lake.queries import window_counts

    profile = Profile.from_dict(bundle.profile)
    counts = window_counts(lake.tables, spec, profile, start=window.start, end=window.end, engine=lake.engine)
    minimum = spec.windows.minimum_rows
    drift = score_window(profile, counts, spec.drift, spec.features, minimum_rows=minimum, season=season)
    return profile, counts, drift


def store_drift(
    spec: ModelSpec,
    lake: LakeResource,
    window: Window,
    release: Release,
    bundle: Bundle,
    drift: "WindowDrift",
    estimate: "Estimate | None",
) -> None:
    """Append the window's statistics to the lake: of features, of the model's score and label, and the estimate."""
    rows = []
    for feature in (*drift.features, *drift.predictions):
        measured = {
            "kolmogorov_smirnov": (feature.ks_statistic, feature.adjusted_p_value),
            "cramers_v": (feature.cramers_v, feature.adjusted_p_value),
            "population_stability_index": (feature.population_stability_index, None),
            "jensen_shannon_distance": (feature.jensen_shannon_distance, None),
            "wasserstein_distance": (feature.wasserstein_distance, None),
            "missing_share_change": (feature.missing_share_change, feature.adjusted_missing_p_value),
            "unseen_share": (feature.unseen_share, None),
            "votes": (float(feature.votes), None),
        }
        rows += [
            {"subject": feature.name, "method": method, "value": value, "p_value": p_value, "flag": feature.drifted}
            for method, (value, p_value) in measured.items()
            if value is not None
        ]
    store_report(
        lake.tables,
        spec.name,
        "drift_metrics",
        window=window,
        model_version=bundle.manifest.version,
        generation=release.generation,
        rows=rows,
        summary={
            "verdict": drift.verdict,
            "n_rows": drift.n_rows,
            "drifted_features": list(drift.drifted_features),
            "drifted_predictions": [prediction.name for prediction in drift.predictions if prediction.drifted],
            "estimated_accuracy": asdict(estimate) if estimate else None,
        },
    )
