"""Retraining policies by name: which triggers are on, and what they change in the model's spec."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from mlops_assets.errors import SpecError
from mlops_assets.spec import AccuracyPolicy, DriftPolicy, GatePolicy, ModelSpec, RetrainingPolicy, TriggerName

STATIC = "static"
NAMED_TRIGGERS: dict[str, TriggerName] = {
    "weekly": "schedule",
    "drift": "drift",
    "drift-no-seasonal": "drift",
    "accuracy": "accuracy",
}
"""What a policy's name is made of, joined by +; `static` has no trigger."""

DEFAULT_POLICIES = (STATIC, *NAMED_TRIGGERS, "drift+accuracy")

_SECTIONS: dict[str, type] = {
    "drift": DriftPolicy,
    "accuracy": AccuracyPolicy,
    "gate": GatePolicy,
    "retraining": RetrainingPolicy,
}
_READ_BY: dict[str, frozenset[TriggerName]] = {
    "drift": frozenset({"drift"}),
    "accuracy": frozenset({"accuracy"}),
    "gate": frozenset({"schedule", "drift", "accuracy"}),
    "retraining": frozenset({"schedule", "drift", "accuracy"}),
}


@dataclass(frozen=True, kw_only=True)
class BacktestPolicy:
    """One retraining policy.

    Attributes:
        name: As it was asked for.
        triggers: Those that may start a retraining; none is the static policy.
        count_seasonal: Whether features that the spec declares seasonal may decide about a window.
        overrides: Dotted fields of the spec's policies and their values as text, e.g. ("gate.metric", "accuracy").
    """

    name: str
    triggers: frozenset[TriggerName] = frozenset()
    count_seasonal: bool = True
    overrides: tuple[tuple[str, str], ...] = ()


def parse_policy(text: str) -> BacktestPolicy:
    """Return the policy that a name stands for.

    Args:
        text: `static`, or names of `NAMED_TRIGGERS` joined by +, each at most once; then, in brackets, overrides
            separated by semicolons: `drift+accuracy[drift.consecutive_windows=2;gate.metric=accuracy]`.

    Raises:
        SpecError: A name or a field does not exist, or a value does not fit; says which there are.
    """
    head, bracket, rest = text.strip().partition("[")
    parts = head.split("+")
    unknown = sorted({part for part in parts if part not in NAMED_TRIGGERS and part != STATIC})
    if unknown or (bracket and not rest.endswith("]")) or (STATIC in parts and len(parts) > 1):
        raise SpecError(
            f"no policy {text.strip()!r}: use {STATIC}, or {', '.join(NAMED_TRIGGERS)} joined by +, "
            f"and overrides as in drift[drift.consecutive_windows=2;gate.metric=accuracy]"
        )
    pairs = tuple(_assignment(part) for part in rest.removesuffix("]").split(";")) if bracket else ()
    return _with_overrides(
        BacktestPolicy(
            name=head,
            triggers=frozenset(NAMED_TRIGGERS[part] for part in parts if part != STATIC),
            count_seasonal="drift-no-seasonal" not in parts,
        ),
        pairs,
    )


def sweep(policies: Iterable[BacktestPolicy], sweeps: Sequence[str]) -> list[BacktestPolicy]:
    """Return each policy once for every combination of swept values that it reads.

    Args:
        policies: A policy that does not read a swept field (drift thresholds without a drift trigger) stays as it is.
        sweeps: Each as `drift.consecutive_windows=2,3,4`.

    Raises:
        SpecError: A field does not exist, or a value does not fit.
    """
    swept = []
    for text in sweeps:
        field, values = _assignment(text)
        swept.append([(field, value) for value in values.split(",")])
    variants = []
    for policy in policies:
        read = [pairs for pairs in swept if policy.triggers & _READ_BY[pairs[0][0].partition(".")[0]]]
        variants += [_with_overrides(policy, pairs) for pairs in product(*read)]
    return variants


def spec_under(spec: ModelSpec, policy: BacktestPolicy) -> ModelSpec:
    """Return the spec as the policy would have it.

    Raises:
        SpecError: A value does not fit its field.
    """
    for field, value in policy.overrides:
        section, _, name = field.partition(".")
        spec = replace(spec, **{section: _replaced(getattr(spec, section), name, value)})
    if policy.count_seasonal:
        return spec
    features = tuple(replace(f, counts_for_drift=f.counts_for_drift and not f.seasonal) for f in spec.features)
    return replace(spec, features=features)


def _with_overrides(policy: BacktestPolicy, pairs: Sequence[tuple[str, str]]) -> BacktestPolicy:
    overrides = (*policy.overrides, *pairs)
    base = policy.name.partition("[")[0]
    shown = ";".join(f"{field}={value}" for field, value in overrides)
    return replace(policy, name=f"{base}[{shown}]" if shown else base, overrides=overrides)


def _assignment(text: str) -> tuple[str, str]:
    field, equals, value = (part.strip() for part in text.partition("="))
    section, _, name = field.partition(".")
    known = {f.name for f in fields(_SECTIONS[section])} if section in _SECTIONS else set()
    if not equals or name not in known:
        choices = ", ".join(sorted(known)) if known else ", ".join(f"{section}.<field>" for section in _SECTIONS)
        raise SpecError(f"{text.strip()!r} sets no field of a policy: write <section>.<field>=<value> with {choices}")
    return field, value


def _replaced(section: Any, name: str, value: str) -> Any:
    from pydantic import TypeAdapter, ValidationError

    current = {field.name: getattr(section, field.name) for field in fields(section)}
    try:
        return TypeAdapter(type(section)).validate_python({**current, name: value})
    except ValidationError as error:
        raise SpecError(f"{name}={value}: {error.errors()[0]['msg']}") from None
