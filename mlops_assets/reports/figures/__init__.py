"""Figures as PNG bytes, 900 pixels wide, in one style; plain values in, no state."""

from mlops_assets.reports.figures.backtest import PolicyLine, policies_over_time
from mlops_assets.reports.figures.canvas import as_markdown_image
from mlops_assets.reports.figures.drift import FeatureHistogram, histograms, psi_heat_map
from mlops_assets.reports.figures.evaluation import calibration, confusion_matrix, importances, roc_and_pr_curves
from mlops_assets.reports.figures.performance import (
    AccuracyPoint,
    LogLossPoint,
    SliceRow,
    accuracy_by_slice,
    accuracy_over_time,
    log_loss_lines,
)

__all__ = [
    "AccuracyPoint",
    "FeatureHistogram",
    "LogLossPoint",
    "PolicyLine",
    "SliceRow",
    "accuracy_by_slice",
    "accuracy_over_time",
    "as_markdown_image",
    "calibration",
    "confusion_matrix",
    "histograms",
    "importances",
    "log_loss_lines",
    "policies_over_time",
    "psi_heat_map",
    "roc_and_pr_curves",
]
