"""What people look at after a backtest: one page and one picture per model, the latest."""

from pathlib import Path
from typing import Any

from mlops_assets.reports.html import backtest_html, backtest_picture, write_html
from mlops_assets.spec import ModelSpec


def write_backtest_report(spec: ModelSpec, folder: Path, document: dict[str, Any]) -> tuple[Path, bytes]:
    """Write `policy-backtest.html` and `policy-backtest.png`, and return the page's path and the picture."""
    picture = backtest_picture(document)
    page = write_html(folder / "policy-backtest.html", backtest_html(document, picture, remarks=spec.remarks))
    (folder / "policy-backtest.png").write_bytes(picture)
    return page, picture
