"""What a server would have logged for rows of the tiny model: answers of the bundle in production, then labels."""

from datetime import datetime

import pandas as pd

from mlops_assets.core.schema import frame_matrices
from mlops_assets.core.windows import Window
from serving.formats.bundle import open_bundle
from serving.scoring.predictor import Predictor
from tests.integration.harness import InProcessLoop
from tests.lake_rows import log_labels, log_predictions


def serve(loop: InProcessLoop, rows: pd.DataFrame, *, horizon: datetime) -> None:
    """Log predictions and labels of rows, and a last word of the label feed at `horizon`."""
    answer(loop, rows)
    send_labels(loop, rows.assign(observed_at=rows["event_time"]), horizon=horizon)


def replay(loop: InProcessLoop, rows: pd.DataFrame, windows: tuple[Window, ...]) -> None:
    """Play rows as the demo does: up to each window's label horizon, then wait for the loop's word."""
    sent_until = windows[0].start
    for window in windows:
        horizon = window.end + loop.spec.windows.label_horizon
        times, observed = rows["event_time"], rows["observed_at"]
        answer(loop, rows[(times >= sent_until) & (times < horizon)])
        send_labels(loop, rows[(times < horizon) & (observed >= sent_until) & (observed < horizon)], horizon=horizon)
        sent_until = horizon
        loop.tick_all()


def answer(loop: InProcessLoop, rows: pd.DataFrame) -> None:
    """Log predictions of the version in production."""
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


def send_labels(loop: InProcessLoop, rows: pd.DataFrame, *, horizon: datetime) -> None:
    """Log the labels of rows, and the last one again as observed at `horizon`: the feed is complete until then."""
    labels = [
        {"prediction_id": f"p-{row.entity_key}", "label": row.outcome, "observed_at": row.observed_at.to_pydatetime()}
        for row in rows.itertuples()
    ]
    log_labels(loop.lake, loop.spec, [*labels, {**labels[-1], "observed_at": horizon}])
