"""The demo's closing table."""

from typing import Any

from rich.console import Console
from rich.table import Table

WHO = ("loop", "frozen", "constant")
METRICS = ("accuracy", "auc", "log_loss")


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """Print weeks, totals, retrainings and the counts of calls and records."""
    table = Table(title=f"{summary['model']}: the loop beside the frozen first version and the constant predictor")
    for column in ("window", "rows", "drifted", "version"):
        table.add_column(column)
    for who in WHO:
        for metric in METRICS:
            table.add_column(f"{who}\n{metric.replace('_', ' ')}", justify="right")
    table.add_column("trigger")
    for window in summary["windows"]:
        figures = {"loop": window, "frozen": window["frozen"], "constant": window["constant"]}
        outcome = f"{window['trigger']} → {window['verdict']}" if window["trigger"] else ""
        table.add_row(
            window["start"][:10],
            str(window["rows"]),
            str(len(window["drifted_features"])),
            window["model_version"],
            *(_number(figures[who][metric]) for who in WHO for metric in METRICS),
            outcome,
        )
    table.add_section()
    totals = [_number(summary["totals"][who][metric]) for who in WHO for metric in METRICS]
    table.add_row("total", str(sum(w["rows"] for w in summary["windows"])), "", "", *totals, "")
    console.print(table)
    for entry in summary["retrainings"]:
        console.print(_retraining_line(entry))
    console.print(
        f"{summary['calls']} calls, {summary['failed_calls']} failed · "
        f"{summary['acknowledged_predictions']} predictions acknowledged, {summary['logged_predictions']} in the lake, "
        f"{summary['duplicate_predictions']} twice · {summary['wall_seconds']:.0f} s"
    )
    if summary["remarks"]:
        console.print(summary["remarks"])


def _retraining_line(entry: dict[str, Any]) -> str:
    seconds = entry["seconds_from_trigger_to_first_answer"]
    answered = "" if seconds is None else f" · first answer {seconds:.1f} s after the trigger"
    return (
        f"{entry['window_end'][:10]}  {entry['trigger']} → version {entry['candidate_version']} "
        f"{entry['verdict']}: {entry['reason']}{answered}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
