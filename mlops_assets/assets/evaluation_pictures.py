"""What people look at in an evaluation: the gate's evidence as a table, and pictures of how both models answer."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.reports import figures
from mlops_assets.reports.html.evidence import Measured, gate_evidence
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    from mlops_assets.assets.evaluation import ScoredHoldout
    from mlops_assets.core.performance import Labels
    from serving.formats.contract import Numbers

_GATE_COLUMNS = {
    "metric": "On the hold-out; log loss down is better, accuracy and AUC up.",
    "champion": "In production now.",
    "challenger": "The candidate.",
    "difference": "Challenger less champion, row by row.",
    "low": "Of the difference, 95 %.",
    "high": "Of the difference, 95 %.",
    "constant": "What answering the share of positives gives.",
    "margin": "The gain that the gate asks for, of the metric that decides.",
}


def gate_metadata(evidence: dict[str, Any]) -> dict[str, Any]:
    """Return the gate's evidence for the UI: a table of what it compared, and all of it as JSON."""
    shown = gate_evidence(evidence)
    records = [dg.TableRecord(_gate_record(metric, sides, evidence)) for metric, sides in shown.rows]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, description=told) for name, told in _GATE_COLUMNS.items()])
    table = dg.MetadataValue.table(records=records, schema=schema)
    return {
        "gate": table if records else dg.MetadataValue.text("nothing was compared"),
        "evidence": dg.MetadataValue.json(evidence),
    }


def holdout_pictures(spec: ModelSpec, holdout: "ScoredHoldout") -> dict[str, Any]:
    """Return pictures of both models' answers on the hold-out, the champion's where there is one."""
    scores = {"challenger": holdout.challenger}
    if holdout.champion is not None:
        scores["champion"] = holdout.champion
    pictures = {"roc_and_pr_curves": figures.roc_and_pr_curves(holdout.labels, scores)}
    pictures |= {f"confusion_matrix_{name}": confusion_matrix(spec, holdout.labels, scores[name]) for name in scores}
    return {
        name: dg.MetadataValue.md(figures.as_markdown_image(picture, name.replace("_", " ")))
        for name, picture in pictures.items()
    }


def confusion_matrix(spec: ModelSpec, labels: "Labels", scores: "Numbers") -> bytes:
    """Draw how often each label was answered with each."""
    import numpy as np

    matrix = np.zeros((2, 2), dtype=int)
    np.add.at(matrix, (labels, (scores >= spec.label.threshold).astype(int)), 1)
    return figures.confusion_matrix(matrix, [spec.label.negative, spec.label.positive])


def _gate_record(metric: str, sides: dict[str, Measured], evidence: dict[str, Any]) -> dict[str, Any]:
    nothing = Measured(None)
    difference = sides.get("paired_difference", nothing)
    unit = " relative" if evidence["unit"] == "relative" else ""
    return {
        "metric": metric,
        **{side: _rounded(sides.get(side, nothing).value) for side in ("champion", "challenger")},
        "difference": _rounded(difference.value),
        "low": _rounded(difference.low),
        "high": _rounded(difference.high),
        "constant": _rounded(sides.get("constant", nothing).value),
        "margin": f"{evidence['margin']:g}{unit}" if metric == evidence["metric"] and "champion" in sides else None,
    }


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), 4)
