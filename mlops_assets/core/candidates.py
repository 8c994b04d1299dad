"""What a candidate is trained on and judged by later: the labelled split, hold-out performance, reference profile.

The asset `trained_model` and the backtest both go through here; the one scores its hold-out with the ONNX graph, the
other with the pipeline that the graph must agree with.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.core.performance import Performance, evaluate
from mlops_assets.core.profile import Profile, build_profile
from mlops_assets.core.schema import binary_labels
from mlops_assets.core.splits import Split, split
from mlops_assets.core.windows import holdout_start
from mlops_assets.spec import ModelSpec
from serving.formats.contract import Numbers

if TYPE_CHECKING:
    import pandas as pd


def split_labelled(frame: "pd.DataFrame", spec: ModelSpec, *, end: datetime) -> Split:
    """Cut the labelled rows of a snapshot into train, validation and hold-out.

    Raises:
        InsufficientDataError: A part is empty.
    """
    labelled = frame[frame[spec.label.name].notna()].reset_index(drop=True)
    return split(labelled, spec.training, end=end)


def measure_candidate(
    parts: Split, scores: Numbers, frame: "pd.DataFrame", spec: ModelSpec, *, end: datetime
) -> tuple[Performance, Profile]:
    """Return a candidate's performance on the hold-out, and the profile of all rows before it.

    Args:
        parts: What it was fitted on, and the hold-out.
        scores: Its probabilities on the hold-out, shape (n_holdout_rows,).
        frame: The snapshot, rows without a label too.
        spec: The model.
        end: Of the snapshot.

    Raises:
        InsufficientDataError: The hold-out has no row.
    """
    label = spec.label
    performance = evaluate(
        scores,
        binary_labels(parts.holdout[label.name], label.positive),
        threshold=label.threshold,
        prior=float((parts.train[label.name] == label.positive).mean()),
    )
    before_holdout = frame[frame["event_time"] < holdout_start(end, spec.training)]
    return performance, build_profile(before_holdout, spec.contract, scores=scores)
