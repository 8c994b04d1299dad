"""`make bench-estimate`: how close the label-free estimate of accuracy comes on a year of flights."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.core.concept_drift import ConceptDrift
from mlops_assets.models._flights_data import flights
from mlops_assets.settings import settings
from tests.benchmarks import page
from tests.benchmarks.estimate.weeks import Week, flights_by_week, measure

NAME = "bench-estimate"
PAGE = Path(__file__).parents[3] / "docs" / "benchmarks.md"
MODELS = {"the first model, all year": None, "a new model every 4 weeks": 4, "a new model every week": 1}
GUESSES = ("estimate", "scores at their word", "accuracy on the hold-out")


def main() -> None:
    """Measure, print, and write the section and the JSON."""
    facts = page.about(NAME, ("scikit-learn", "river", "numpy"))
    weeks = flights_by_week(flights())
    results = {name: measure(weeks, every=every) for name, every in MODELS.items()}
    text = "\n\n".join([page.facts_line(facts), summary(results)])
    print(text, by_week(results), sep="\n\n")
    page.write_section(PAGE, NAME, text)
    document = {
        "about": facts,
        "figures": {name: errors_of(found) for name, (found, _) in results.items()},
        "weeks": {name: [asdict(week) for week in found] for name, (found, _) in results.items()},
        "concept_drift": {name: drift.to_dict() for name, (_, drift) in results.items()},
    }
    target = settings().root / "bench" / "estimate.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1, allow_nan=False))


def errors_of(weeks: list[Week]) -> dict[str, Any]:
    """Return mean and greatest distance from what came true, in points, of the estimate and of simpler guesses."""
    realized = np.array([week.realized.value for week in weeks])
    guesses = {
        "estimate": [week.estimate.value for week in weeks],
        "scores at their word": [week.at_its_word for week in weeks],
        "accuracy on the hold-out": [week.holdout for week in weeks],
    }
    distances = {name: 100 * (np.array(values) - realized) for name, values in guesses.items()}
    inside = [week.estimate.low <= week.realized.value <= week.estimate.high for week in weeks]
    return {
        **{f"{name}: mean distance": float(np.abs(distance).mean()) for name, distance in distances.items()},
        **{f"{name}: greatest distance": float(np.abs(distance).max()) for name, distance in distances.items()},
        "estimate: bias": float(distances["estimate"].mean()),
        "estimate: correlation with the truth": float(np.corrcoef(guesses["estimate"], realized)[0, 1]),
        "estimate: share of weeks inside the interval": float(np.mean(inside)),
    }


def summary(results: dict[str, tuple[list[Week], ConceptDrift]]) -> str:
    """Return one row a model."""
    rows = []
    for name, (weeks, drift) in results.items():
        found = errors_of(weeks)
        distances = [
            f"{found[f'{guess}: mean distance']:.2f} ({found[f'{guess}: greatest distance']:.1f})" for guess in GUESSES
        ]
        share = f"{found['estimate: share of weeks inside the interval']:.0%}"
        correlation = f"{found['estimate: correlation with the truth']:.2f}"
        rows.append((name, *distances, f"{found['estimate: bias']:+.2f}", correlation, share, str(len(drift.changes))))
    head = (
        "points from the accuracy that came true, mean (greatest)",
        *GUESSES,
        "bias of the estimate",
        "correlation",
        "weeks inside its interval",
        "changes of the error rate since the last training",
    )
    return page.table(head, rows)


def by_week(results: dict[str, tuple[list[Week], ConceptDrift]]) -> str:
    """Return one row a week: estimate and truth of each model, in percent."""
    names = list(results)
    head = ["week", *(f"{name}: estimated / came true" for name in names)]
    rows = [
        (str(weeks[0].number), *(f"{week.estimate.value:.1%} / {week.realized.value:.1%}" for week in weeks))
        for weeks in zip(*(results[name][0] for name in names), strict=True)
    ]
    return page.table(head, rows)


if __name__ == "__main__":
    main()
