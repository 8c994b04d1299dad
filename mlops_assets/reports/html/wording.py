"""How values read in a report. Every function takes anything and never fails; what is not there is a dash."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

MISSING = "\u2013"  # en dash
_STATES = {
    "good": {"clean", "holds", "promote", "promoted", "accepted", "passed"},
    "warn": {"drifted", "refuse", "refused", "rejected", "under_threshold"},
    "bad": {"fail", "failed", "error", "superseded"},
}
_ABBREVIATIONS = {
    "auc": "AUC",
    "brier": "Brier score",
    "ks_p_value": "KS p-value",
    "jensen_shannon_distance": "Jensen-Shannon distance",
    "pr_auc": "PR AUC",
    "roc_auc": "ROC AUC",
    "f1": "F1",
}


def number(value: object, digits: int = 4) -> str:
    """Return a number with that many decimals; whole ones have none."""
    parsed = as_float(value)
    digits = 0 if isinstance(value, int) else digits
    return text(value) if parsed is None else f"{parsed:,.{digits}f}".replace("-", "\u2212")


def count(value: object) -> str:
    """Return a whole number with separators; a list counts its entries."""
    if isinstance(value, list | tuple | set | frozenset):
        return count(len(value))
    return number(value, 0)


def percent(value: object, digits: int = 1) -> str:
    """Return a share, 0 to 1, in percent."""
    parsed = as_float(value)
    return text(value) if parsed is None else number(100 * parsed, digits) + " %"


def points(value: object) -> str:
    """Return a share, 0 to 1, in percent without the sign, for columns that name it."""
    parsed = as_float(value)
    return text(value) if parsed is None else number(100 * parsed, 1)


def p_value(value: object) -> str:
    """Return a p-value; the tiny ones are all the same."""
    parsed = as_float(value)
    return "< 0.0001" if parsed is not None and parsed < 0.0001 else number(value, 4)


def seconds(value: object) -> str:
    """Return a duration for people."""
    parsed = as_float(value)
    if parsed is None:
        return text(value)
    if parsed < 100:
        return f"{parsed:.1f} s"
    minutes, rest = divmod(round(parsed), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def day(value: object) -> str:
    """Return the date of a time."""
    moment = as_moment(value)
    return text(value) if moment is None else f"{moment:%Y-%m-%d}"


def minute(value: object) -> str:
    """Return a time in UTC; midnight is left out."""
    moment = as_moment(value)
    if moment is None:
        return text(value)
    return f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute) == (0, 0) else f"{moment:%Y-%m-%d %H:%M} UTC"


def text(value: object) -> str:
    """Return any value as text: lists by commas, truth as yes or no, nothing as a dash."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(text(entry) for entry in value) or MISSING
    if isinstance(value, Mapping):
        return ", ".join(f"{words(key)} {text(entry)}" for key, entry in value.items()) or MISSING
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return str(value)


def fact(value: object) -> str:
    """Return any value as text, times in a short form."""
    return minute(value) if isinstance(value, str) and "T" in value else text(value)


def words(value: object) -> str:
    """Return an identifier as words: `log_loss` is "log loss", `auc` is "AUC"."""
    name = text(value)
    return _ABBREVIATIONS.get(name, name.replace("_", " "))


def state(verdict: object) -> str:
    """Return how a verdict is colored: good, warn, bad or neutral."""
    name = str(verdict).strip().lower().replace(" ", "_")
    return next((state for state, verdicts in _STATES.items() if name in verdicts), "neutral")


def as_float(value: object) -> float | None:
    """Return a finite number, or None for anything else; True and False are not numbers."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    parsed = float(value)
    return parsed if math.isfinite(parsed) else None


def as_moment(value: object) -> datetime | None:
    """Return a time, in UTC if it has a zone, from ISO 8601 or as it is; None for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC) if value.tzinfo else value
