"""Reports as self-contained HTML pages; plain values in, text out."""

from mlops_assets.reports.html.backtest import backtest_html, backtest_picture
from mlops_assets.reports.html.demo import demo_html, demo_pictures
from mlops_assets.reports.html.page import Picture, write_html
from mlops_assets.reports.html.window import FeatureRow, MetricRow, drift_html, performance_html

__all__ = [
    "FeatureRow",
    "MetricRow",
    "Picture",
    "backtest_html",
    "backtest_picture",
    "demo_html",
    "demo_pictures",
    "drift_html",
    "performance_html",
    "write_html",
]
