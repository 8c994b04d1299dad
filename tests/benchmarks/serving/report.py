"""The tables, as Markdown: for the terminal and for `docs/benchmarks.md`."""

from typing import Any

from tests.benchmarks import page
from tests.benchmarks.serving.figures import FIGURES, Parts, figures_of, ours_over, summary_of
from tests.benchmarks.serving.peers.catalog import FORMS
from tests.benchmarks.serving.rounds import from_document

NAME = "bench-serving"
_LIBRARIES = ("grpcio", "protobuf", "onnxruntime", "numpy", "scikit-learn", "skl2onnx")


def about() -> dict[str, str]:
    """Return where and with what was measured."""
    return page.about(NAME, _LIBRARIES)


def tables(parts: Parts, facts: dict[str, str]) -> str:
    """Return every table whose part is there."""
    texts = [page.facts_line(facts), _figures(parts)]
    if "single" in parts:
        texts.append(_single(parts["single"]))
    if "stages" in parts:
        texts.append(_stages(parts))
    if "peers" in parts:
        texts.extend(_peers(parts["peers"], form) for form in FORMS)
    if "swaps" in parts:
        texts.append(_changes(parts))
    return "\n\n".join(texts)


def _figures(parts: Parts) -> str:
    values = figures_of(parts)
    rows = []
    for figure in FIGURES:
        if figure.part in parts:
            value = values.get(figure.name)
            verdict = "–" if value is None else "yes" if figure.is_met(value) else "**no**"
            shown = "not measured" if value is None else f"{value:.3g}"
            rows.append((f"`{figure.name}`", figure.meaning, figure.target, shown, verdict))
    return page.table(("figure", "is", "must reach", "measured", "met"), rows)


def _single(part: dict[str, Any]) -> str:
    rounds = from_document(part)
    rows = []
    for server in ("echo", "transport", "bare", "ours"):
        one, many = (summary_of(rounds, server, case) for case in ("single_1", "single_16"))
        rows.append(
            (
                server,
                f"{one['calls_per_second']:.0f}",
                f"{one['p50']:.3f}",
                f"{one['p99']:.3f}",
                f"{many['calls_per_second']:.0f}",
                f"{many['p99']:.2f}",
                f"{many['cpu_us']:.0f}",
            )
        )
    head = ("one row", "calls/s, c = 1", "p50 ms", "p99 ms", "calls/s, c = 16", "p99 ms", "CPU µs/call")
    return page.table(head, rows)


def _stages(parts: Parts) -> str:
    stages = parts["stages"]
    rows = [(name, f"{value:.1f}") for name, value in stages.items()]
    if "single" in parts:
        rounds = from_document(parts["single"])
        transport, ours = (summary_of(rounds, server, "single_16")["cpu_us"] for server in ("transport", "ours"))
        rest = ours - transport - stages["total in the worker"]
        rows.append(("the transport's CPU", f"{transport:.1f}"))
        rows.append(("the rest: cold caches, threads, shipper; less what rows save together", f"{rest:.1f}"))
        rows.append(("our CPU, concurrency 16", f"{ours:.1f}"))
    return page.table(("what one row is made of", "µs"), rows)


def _peers(part: dict[str, Any], form: str) -> str:
    rows = []
    for row in part["rows"]:
        if row["form"] != form:
            continue
        name = f"{row['peer']} {row['version']}"
        if "reason" in row:
            rows.append((name, f"not measured: {row['reason']}", "", "", "", ""))
            continue
        rounds = from_document(row["rounds"])
        one, many = (summary_of(rounds, "peer", case) for case in ("single_1", "single_16"))
        rows.append(
            (
                name,
                f"{one['calls_per_second']:.0f}",
                f"{one['p99']:.2f}",
                f"{many['calls_per_second']:.0f}",
                f"{many['p99']:.1f}",
                f"{ours_over(row):.1f}×",
            )
        )
    head = (f"peers, {FORMS[form]}", "calls/s, c = 1", "p99 ms", "calls/s, c = 16", "p99 ms", "ours over it")
    return page.table(head, rows)


def _changes(parts: Parts) -> str:
    swaps = parts["swaps"]
    rows = [
        (
            "one row while a retraining runs and 20 swaps happen",
            f"p50 {swaps['p50']:.2f} ms, p95 {swaps['p95']:.2f} ms, p99 {swaps['p99']:.2f} ms, "
            f"longest {swaps['maximum']:.0f} ms of {swaps['calls']} calls",
        )
    ]
    if "promotions" in parts:
        seconds = sorted(parts["promotions"]["seconds"])
        middle = seconds[len(seconds) // 2]
        rows.append(
            (
                "promotion to the last answer by the old version, two workers",
                f"median {middle:.3f} s, longest {seconds[-1]:.3f} s of {len(seconds)}",
            )
        )
    if "memory" in parts:
        mib = parts["memory"]["mib_by_swaps"]
        steps = ", ".join(f"{mib[step]:.0f} after {step}" for step in ("10", "50", "100", "150", "200"))
        rows.append(("resident memory of the worker, MiB by swaps", steps))
    return page.table(("change of the model", "measured"), rows)
