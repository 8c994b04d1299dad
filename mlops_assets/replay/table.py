"""The demo's closing table."""

from typing import Any

from rich.console import Console
from rich.table import Table

WHO = ("loop", "frozen", "constant")
SHORT = {"loop": "loop", "frozen": "froz.", "constant": "const"}
METRICS = {"accuracy": "acc.", "auc": "AUC", "log_loss": "loss"}


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """Print weeks, totals, retrainings and the counts of calls and records."""
    title = f"{summary['model']}: the loop beside the frozen first version and the constant predictor"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for column in ("window", "rows", "dr.", "ver."):
        table.add_column(column, no_wrap=True)
    for short in METRICS.values():
        for who in WHO:
            table.add_column(f"{short if who == 'loop' else ''}\n{SHORT[who]}", justify="right", no_wrap=True)
    for window in summary["windows"]:
        figures = {"loop": window, "frozen": window["frozen"], "constant": window["constant"]}
        table.add_row(
            window["start"][:10],
            str(window["rows"]),
            str(len(window["drifted_features"])),
            window["model_version"],
            *(_number(figures[who][metric]) for metric in METRICS for who in WHO),
        )
    table.add_section()
    totals = [_number(summary["totals"][who][metric]) for metric in METRICS for who in WHO]
    table.add_row("total", str(sum(w["rows"] for w in summary["windows"])), "", "", *totals)
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
    return "–" if value is None else f"{value:.3f}".removeprefix("0")
