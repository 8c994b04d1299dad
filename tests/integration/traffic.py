"""What a server would have logged for rows of the tiny model: answers of the bundle in production, then labels."""

from datetime import datetime

import pandas as pd

from mlops_assets.core.schema import frame_matrices
from serving.formats.bundle import open_bundle
from serving.scoring.predictor import Predictor
from tests.integration.harness import InProcessLoop
from tests.lake_rows import log_labels, log_predictions


def serve(loop: InProcessLoop, rows: pd.DataFrame, *, horizon: datetime) -> None:
    """Log predictions and labels of rows, and a last word of the label feed at `horizon`."""
    release = loop.store.latest(loop.spec.name)
    assert release is not None
    assert release.routing.production is not None
    bundle = open_bundle(loop.store.bundles, release.routing.production.bundle)
    scores = Predictor.of_bundle(bundle).scores(*frame_matrices(rows, bundle.contract))
    records = [
        {
            "prediction_id": f"p-{row.entity_key}",
            "entity_key": row.entity_key,
            "event_time": row.event_time.to_pydatetime(),
            "model_version": release.routing.production.version,
            "generation": release.generation,
            "score": float(score),
            "label": "yes" if score >= 0.5 else "no",
            "size": row.size_,
            "color": row.color,
        }
        for row, score in zip(rows.rename(columns={"size": "size_"}).itertuples(), scores, strict=True)
    ]
    log_predictions(loop.lake, loop.spec, records)
    labels = [
        {"prediction_id": f"p-{row.entity_key}", "label": row.outcome, "observed_at": row.event_time.to_pydatetime()}
        for row in rows.itertuples()
    ]
    log_labels(loop.lake, loop.spec, [*labels, {**labels[-1], "observed_at": horizon}])
