"""A gate's evidence, any mapping of plain values, as a table of champion, challenger and constant."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.reports.html import wording

SIDES = ("champion", "challenger", "paired_difference", "constant")
_METRICS = ("log_loss", "accuracy", "auc", "pr_auc", "brier", "f1", "precision", "recall")


@dataclass(frozen=True)
class Measured:
    """A value with its interval, where there is one."""

    value: object
    low: object = None
    high: object = None


@dataclass(frozen=True)
class GateEvidence:
    """What a template draws.

    Attributes:
        sides: The columns that have a value.
        rows: Metric and what each side measured.
        facts: Everything else, by name.
    """

    sides: tuple[str, ...]
    rows: tuple[tuple[str, dict[str, Measured]], ...]
    facts: tuple[tuple[str, str], ...]


def gate_evidence(evidence: object) -> GateEvidence:
    """Sort evidence into a table and facts.

    Understood are `{"champion": {"log_loss": ...}}`, `{"log_loss": {"champion": ...}}` and
    `{"champion_log_loss": ...}`, where a value is a number, a mapping with `value`, `low` and `high`, a list of these
    three, or a number with `log_loss_low` and `log_loss_high` beside it. What is not understood is shown as a fact,
    so nothing of the evidence is lost.
    """
    if not isinstance(evidence, Mapping):
        return GateEvidence((), (), () if evidence is None else (("evidence", wording.text(evidence)),))
    table: dict[str, dict[str, Measured]] = {}
    facts: list[tuple[str, str]] = []
    for path, value in _leaves((), evidence):
        cell = _cell(path) if _is_measured(value) else None
        if cell is None:
            facts.append((wording.words(", ".join(path)), _fact(value)))
        else:
            metric, side = cell
            table.setdefault(metric, {})[side] = _measured(value)
    sides = tuple(side for side in SIDES if any(side in row for row in table.values()))
    rows = sorted(table.items(), key=lambda row: _METRICS.index(row[0]))
    return GateEvidence(sides, tuple(rows), tuple(facts))


def _folded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Join `x`, `x_low` and `x_high` to one value with its interval."""
    joined: dict[str, Any] = {}
    for name, value in values.items():
        stem = str(name).removesuffix("_low").removesuffix("_high")
        if stem != name and stem in values:
            continue
        low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
        joined[str(name)] = value if low is None or high is None else {"value": value, "low": low, "high": high}
    return joined


def _leaves(path: tuple[str, ...], value: object) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(value, Mapping) or _is_interval(value):
        yield path, value
        return
    for name, inner in _folded(value).items():
        yield from _leaves((*path, name), inner)


def _cell(path: tuple[str, ...]) -> tuple[str, str] | None:
    """Return metric and side, if the path names both."""
    if len(path) == 1:
        side, _, metric = path[0].partition("_")
    elif len(path) == 2:
        side, metric = path if path[0] in SIDES else (path[1], path[0])
    else:
        return None
    return (metric, side) if side in SIDES and metric in _METRICS else None


def _fact(value: object) -> str:
    if not _is_interval(value):
        return wording.fact(value)
    shown = _measured(value)
    return f"{wording.number(shown.value)} ({wording.number(shown.low)} to {wording.number(shown.high)})"


def _is_interval(value: object) -> bool:
    return isinstance(value, Mapping) and value.keys() == {"value", "low", "high"}


def _is_measured(value: object) -> bool:
    if isinstance(value, list | tuple):
        return len(value) == 3 and all(wording.as_float(entry) is not None for entry in value)
    return value is None or _is_interval(value) or (isinstance(value, int | float) and not isinstance(value, bool))


def _measured(value: Any) -> Measured:
    if isinstance(value, Mapping):
        return Measured(value["value"], value["low"], value["high"])
    return Measured(*value) if isinstance(value, list | tuple) else Measured(value)
