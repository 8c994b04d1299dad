"""Retraining policies by name: which triggers are on, and what they change in the model's spec."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product

from mlops_assets.errors import SpecError
from mlops_assets.policy_fields import read_field
from mlops_assets.spec import AccuracyPolicy, DriftPolicy, GatePolicy, ModelSpec, TriggerName

STATIC = "static"
NAMED_TRIGGERS: dict[str, TriggerName] = {
    "weekly": "schedule",
    "drift": "drift",
    "drift-no-seasonal": "drift",
    "accuracy": "accuracy",
}
"""What a policy's name is made of, joined by +; `static` has no trigger."""

DEFAULT_POLICIES = (STATIC, *NAMED_TRIGGERS, "drift+accuracy")

_EVERY: frozenset[TriggerName] = frozenset(NAMED_TRIGGERS.values())
_READ_BY: dict[str, frozenset[TriggerName]] = {
    **{f"drift.{field.name}": frozenset({"drift"}) for field in fields(DriftPolicy)},
    **{f"accuracy.{field.name}": frozenset({"accuracy"}) for field in fields(AccuracyPolicy)},
    **{f"gate.{field.name}": _EVERY for field in fields(GatePolicy)},
    "retraining.schedule": frozenset({"schedule"}),
    "retraining.cool_down_windows": frozenset({"drift", "accuracy"}),
}
"""The fields of the spec that a replay reads, and the triggers that read them."""


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
        SpecError: A name or a field does not exist, or no trigger of the policy reads the field; says which there are.
    """
    head, bracket, rest = text.strip().partition("[")
    parts = head.split("+")
    if "new_data" in parts:
        raise SpecError("new_data is not replayed: no history tells when the source has changed")
    unknown = sorted({part for part in parts if part not in NAMED_TRIGGERS and part != STATIC})
    if unknown or (bracket and not rest.endswith("]")) or (STATIC in parts and len(parts) > 1):
        raise SpecError(
            f"no policy {text.strip()!r}: use {STATIC}, or {', '.join(NAMED_TRIGGERS)} joined by +, "
            f"and overrides as in drift[drift.consecutive_windows=2;gate.metric=accuracy]"
        )
    pairs = tuple(_assignment(part) for part in rest.removesuffix("]").split(";")) if bracket else ()
    policy = BacktestPolicy(
        name=head,
        triggers=frozenset(NAMED_TRIGGERS[part] for part in parts if part != STATIC),
        count_seasonal="drift-no-seasonal" not in parts,
    )
    for field, _ in pairs:
        if not _reads(policy, field):
            raise SpecError(f"policy {head} does not read {field}; leave it out")
    return _with_overrides(policy, pairs)


def sweep(policies: Iterable[BacktestPolicy], sweeps: Sequence[str]) -> list[BacktestPolicy]:
    """Return each policy once for every combination of swept values that it reads.

    Args:
        policies: A policy that does not read a swept field (drift thresholds without a drift trigger) stays as it is.
        sweeps: Each as `drift.consecutive_windows=2,3,4`.

    Raises:
        SpecError: A field does not exist, or none of the policies reads it.
    """
    policies, swept = list(policies), []
    for text in sweeps:
        field, values = _assignment(text)
        if not any(_reads(policy, field) for policy in policies):
            raise SpecError(f"--sweep {field}: none of the policies reads it; leave it out")
        swept.append([(field, value) for value in values.split(",")])
    variants = []
    for policy in policies:
        read = [pairs for pairs in swept if _reads(policy, pairs[0][0])]
        variants += [_with_overrides(policy, pairs) for pairs in product(*read)]
    return variants


def spec_under(spec: ModelSpec, policy: BacktestPolicy) -> ModelSpec:
    """Return the spec as the policy would have it.

    Raises:
        SpecError: A value does not fit its field.
    """
    for field, value in policy.overrides:
        section, _, name = field.partition(".")
        declared = getattr(spec, section)
        spec = replace(spec, **{section: replace(declared, **{name: read_field(section, type(declared), name, value)})})
    if policy.count_seasonal:
        return spec
    features = tuple(replace(f, counts_for_drift=f.counts_for_drift and not f.seasonal) for f in spec.features)
    return replace(spec, features=features)


def _reads(policy: BacktestPolicy, field: str) -> bool:
    return bool(policy.triggers & _READ_BY[field])


def _with_overrides(policy: BacktestPolicy, pairs: Sequence[tuple[str, str]]) -> BacktestPolicy:
    overrides = (*policy.overrides, *pairs)
    base = policy.name.partition("[")[0]
    shown = ";".join(f"{field}={value}" for field, value in overrides)
    return replace(policy, name=f"{base}[{shown}]" if shown else base, overrides=overrides)


def _assignment(text: str) -> tuple[str, str]:
    field, equals, value = (part.strip() for part in text.partition("="))
    if not equals or field not in _READ_BY:
        section = field.partition(".")[0]
        known = [name for name in _READ_BY if name.partition(".")[0] == section] or list(_READ_BY)
        raise SpecError(
            f"{text.strip()!r} sets nothing that a backtest reads: write <section>.<field>=<value> with one of "
            f"{', '.join(known)}"
        )
    return field, value
