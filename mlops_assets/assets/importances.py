"""Champion and challenger by what they lean on: permutation importances on the hold-out, for the UI."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.spec import ModelSpec
from serving.formats.bundle import open_bundle
from serving.formats.release import Deployed, ReleaseStore

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.importances import ImportanceDrift


def compare_importances(
    spec: ModelSpec, store: ReleaseStore, challenger: str, champion: Deployed, holdout: "pd.DataFrame"
) -> "ImportanceDrift | None":
    """Measure both models' permutation importances on the hold-out; None without rows or with other features."""
    from mlops_assets.core.importances import ServedClassifier, importance_drift
    from mlops_assets.core.training import permutation_importances
    from serving.scoring.predictor import Predictor

    bundles = [open_bundle(store.bundles, digest) for digest in (champion.bundle, challenger)]
    if holdout.empty or any(bundle.contract.names != spec.contract.names for bundle in bundles):
        return None
    before, now = (
        permutation_importances(ServedClassifier(Predictor.of_bundle(bundle), bundle.contract), holdout, spec)
        for bundle in bundles
    )
    return importance_drift(before, now)


def importance_metadata(drift: "ImportanceDrift | None") -> dict[str, Any]:
    """Return how the ranks of the importances changed, for the UI."""
    if drift is None:
        return {}
    records = [
        dg.TableRecord(
            {
                "feature": feature.name,
                "rank": feature.challenger_rank,
                "champion_rank": feature.champion_rank,
                "importance": round(feature.challenger, 6),
                "champion_importance": round(feature.champion, 6),
            }
        )
        for feature in drift.features
    ]
    tau = {} if drift.kendall_tau is None else {"importance_rank_correlation": drift.kendall_tau}
    return {**tau, "importances": dg.MetadataValue.table(records=records)}
