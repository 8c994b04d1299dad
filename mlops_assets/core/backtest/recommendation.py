"""Which of the replayed policies to run, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.core.backtest.policies import STATIC
from mlops_assets.core.promotion import HIGHER_IS_BETTER
from mlops_assets.spec import GatePolicy


@dataclass(frozen=True)
class Recommendation:
    """The policy to run and the reason in words."""

    policy: str
    reason: str


def recommend(policies: Sequence[Mapping[str, Any]], gate: GatePolicy) -> Recommendation:
    """Recommend the policy with the fewest retrainings among those that are about as good as the best.

    Better than static is what the paired 95 % interval of the gate's metric says; about as good as the best is a
    difference under the gate's margin, which is what the spec calls worth a promotion. Where nothing is better than
    static, or the best by less than the margin, the answer is to leave the first model alone.

    Args:
        policies: Each with `name` and what `compare_with_static` returns; the static one must be among them.
        gate: The spec's metric, margin and unit.
    """
    static = next(policy for policy in policies if policy["name"] == STATIC)
    better = [policy for policy in policies if _is_better(policy, gate)]
    if not better:
        return Recommendation(STATIC, f"no policy is better than {STATIC} in {_words(gate)} by the 95 % interval")
    best = max(better, key=lambda policy: _quality(policy, gate))
    near = [policy for policy in (static, *better) if policy is best or _shortfall(policy, best, gate) < gate.margin]
    chosen = min(near, key=lambda policy: (policy["retrainings"], -_quality(policy, gate)))
    return Recommendation(chosen["name"], _reason(chosen, best, gate))


def _is_better(policy: Mapping[str, Any], gate: GatePolicy) -> bool:
    difference = policy["against_static"][gate.metric]
    if difference is None:
        return False
    return bool(difference["low"] > 0 if HIGHER_IS_BETTER[gate.metric] else difference["high"] < 0)


def _value(policy: Mapping[str, Any], gate: GatePolicy) -> float:
    return float(policy["totals"][gate.metric]["value"])


def _quality(policy: Mapping[str, Any], gate: GatePolicy) -> float:
    return _value(policy, gate) if HIGHER_IS_BETTER[gate.metric] else -_value(policy, gate)


def _shortfall(policy: Mapping[str, Any], best: Mapping[str, Any], gate: GatePolicy) -> float:
    behind = _quality(best, gate) - _quality(policy, gate)
    return behind / _value(policy, gate) if gate.unit == "relative" else behind


def _reason(chosen: Mapping[str, Any], best: Mapping[str, Any], gate: GatePolicy) -> str:
    margin = f"{gate.margin:.3g} {'relative' if gate.unit == 'relative' else 'absolute'}"
    closer = (
        f"{best['name']} reaches {_value(best, gate):.4f} with {_retrainings(best)}, which is closer than "
        f"the gate's margin of {margin}"
    )
    if chosen["name"] == STATIC:
        return f"{_words(gate)} {_value(chosen, gate):.4f} without any retraining; {closer}"
    difference = chosen["against_static"][gate.metric]
    text = (
        f"{_words(gate)} {_value(chosen, gate):.4f} with {_retrainings(chosen)}, "
        f"{difference['value']:+.4f} against {STATIC} (95 % {difference['low']:+.4f} to {difference['high']:+.4f})"
    )
    if chosen is best:
        return f"{text}; no policy with fewer retrainings comes within the gate's margin of {margin}"
    return f"{text}; {closer}"


def _retrainings(policy: Mapping[str, Any]) -> str:
    return f"{policy['retrainings']} retraining{'' if policy['retrainings'] == 1 else 's'}"


def _words(gate: GatePolicy) -> str:
    return gate.metric.replace("_", " ")
