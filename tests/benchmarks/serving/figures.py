"""The figures of `.mlops/bench/serving.json`, from what the parts measured."""

from typing import Any

from tests.benchmarks.serving.rounds import from_document, median_ratio

Figures = dict[str, float]


def figures_of(parts: dict[str, dict[str, Any]]) -> Figures:
    """Return every figure whose part is there."""
    figures: Figures = {}
    if "single" in parts:
        rounds = from_document(parts["single"])
        echo, bare, ours = rounds["echo"], rounds["bare"], rounds["ours"]
        figures["single_row_over_echo"] = median_ratio(ours["single_16"], echo["single_16"], "calls_per_second")
        figures["p99_over_echo"] = median_ratio(ours["single_1"], echo["single_1"], "p99")
        figures["everything_over_bare"] = median_ratio(ours["single_16"], bare["single_16"], "calls_per_second")
    return figures
