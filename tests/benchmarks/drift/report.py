"""The tables, as Markdown: for the terminal and for `docs/benchmarks.md`."""

import statistics

from tests.benchmarks import page
from tests.benchmarks.drift.figures import FIGURES, Results, figures_of

NAME = "bench-drift"
LIBRARIES = ("duckdb", "ibis-framework", "deltalake", "numpy", "pandas")
_TASKS = {"scan": "plain scan", "pass": "window pass", "report": "full report"}


def tables(results: Results) -> str:
    """Return figures, our times by rows, and the peers."""
    texts = [page.facts_line(results["about"]), _figures(results), _windows(results)]
    if results["peers"]:
        texts.append(_peers(results))
    return "\n\n".join(texts)


def _figures(results: Results) -> str:
    values = figures_of(results)
    rows = []
    for figure in FIGURES:
        value = values.get(figure.name)
        verdict = "–" if value is None else "yes" if figure.is_met(value) else "**no**"
        shown = "not measured" if value is None else f"{value:.3g}"
        rows.append((f"`{figure.name}`", figure.meaning, figure.target, shown, verdict))
    return page.table(("figure", "is", "must reach", "measured", "met"), rows)


def _windows(results: Results) -> str:
    rows = []
    for n_rows, tasks in results["windows"].items():
        for task, name in _TASKS.items():
            if task in tasks:
                measured = tasks[task]
                middle = statistics.median(measured["seconds"])
                rows.append((f"{int(n_rows):,}", name, f"{middle:.2f}", f"{measured['peak_bytes'] / 1e9:.2f}"))
    return page.table(("rows", "ours", "seconds", "peak GB"), rows)


def _peers(results: Results) -> str:
    rows = []
    for row in results["peers"]:
        name = f"{row['peer']} {row['version']}"
        if "reason" in row:
            rows.append((name, f"not measured: {row['reason']}", "", ""))
        else:
            middle = statistics.median(row["seconds"])
            rows.append((name, f"{middle:.2f}", f"{row['load_seconds']:.2f}", f"{row['peak_bytes'] / 1e9:.2f}"))
    return page.table(("peers, 1,000,000 rows", "seconds", "loading, apart", "peak GB"), rows)
