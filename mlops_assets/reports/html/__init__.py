"""Reports as self-contained HTML pages; plain values in, text out."""

from mlops_assets.reports.html.backtest import backtest_html, backtest_picture
from mlops_assets.reports.html.demo import demo_html, demo_pictures
from mlops_assets.reports.html.drift import drift_html, drift_in_words
from mlops_assets.reports.html.overview import OVERVIEW, DriftLine, PerformanceLine, WindowLine, overview_html
from mlops_assets.reports.html.page import Picture, write_html
from mlops_assets.reports.html.window import MetricRow, performance_html

__all__ = [
    "OVERVIEW",
    "DriftLine",
    "MetricRow",
    "PerformanceLine",
    "Picture",
    "WindowLine",
    "backtest_html",
    "backtest_picture",
    "demo_html",
    "demo_pictures",
    "drift_html",
    "drift_in_words",
    "overview_html",
    "performance_html",
    "write_html",
]
