"""Adds what calls leave behind to the metrics, many calls at a time: one call pays for one list append."""

from collections import Counter as Counts
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from serving.errors import ContractError, ServingError
from serving.formats.contract import Contract, Numbers, Texts
from serving.metrics import (
    CONFIDENCES,
    LATENCY,
    PREDICTIONS,
    ROWS_PER_CALL,
    SCORES,
    UNUSUAL_VALUES,
)

PRODUCTION = "production"
_MAXIMUM_VERSIONS = 16
_KIND_OF_RULE = {
    "is missing": "missing",
    "is not one of its categories": "unseen_category",
    "is not finite": "out_of_range",
    "is out of range": "out_of_range",
    "is not a whole number": "out_of_range",
}


class AnsweredCall(NamedTuple):
    """What one call leaves behind; arrays have a row for each of its rows."""

    contract: Contract
    version: str
    seconds: float
    numbers: Numbers
    texts: Texts
    scores: Numbers


class CallMeter:
    """Counts calls; `flush` is called by one thread, the others by all."""

    def __init__(self) -> None:
        self._answered: list[AnsweredCall] = []
        self._versions: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.answered = self._answered.append

    def refused(self, contract: Contract, version: str, error: ServingError, *, status: str) -> None:
        """Count one call that was not answered, and the values that are the reason."""
        PREDICTIONS.labels(contract.model, version, PRODUCTION, status).inc()
        if isinstance(error, ContractError):
            known = frozenset(contract.names)
            for violation in error.violations:
                kind = next((kind for rule, kind in _KIND_OF_RULE.items() if violation.rule.startswith(rule)), None)
                if kind and violation.field in known:
                    _count_unusual(contract.model, violation.field, kind, violation.count)

    def flush(self) -> None:
        """Add all calls since the last flush to the metrics."""
        # Each of the two statements is atomic; what is appended between them stays for the next flush.
        taken = self._answered[:]
        del self._answered[: len(taken)]
        by_version: defaultdict[tuple[str, str], list[AnsweredCall]] = defaultdict(list)
        for call in taken:
            by_version[call.contract.model, call.version].append(call)
        for (model, version), calls in by_version.items():
            self._keep(model, version)
            _add(model, version, calls)

    def _keep(self, model: str, version: str) -> None:
        """Forget the label children of versions that have not answered for long; what they counted stays shown."""
        self._versions[model, version] = None
        self._versions.move_to_end((model, version))
        while len(self._versions) > _MAXIMUM_VERSIONS:
            oldest, _ = self._versions.popitem(last=False)
            for histogram in (LATENCY, SCORES, CONFIDENCES):
                histogram.forget(*oldest)


def _add(model: str, version: str, calls: Sequence[AnsweredCall]) -> None:
    scores = np.concatenate([call.scores for call in calls])
    confidences = np.where(scores >= calls[0].contract.threshold, scores, 1 - scores)
    PREDICTIONS.labels(model, version, PRODUCTION, "OK").inc(len(scores))
    LATENCY.labels(model, version).observe_many(np.array([call.seconds for call in calls]))
    ROWS_PER_CALL.labels(model).observe_many(np.array([float(len(call.scores)) for call in calls]))
    SCORES.labels(model, version).observe_many(scores)
    CONFIDENCES.labels(model, version).observe_many(confidences)
    contract = calls[0].contract
    missing = np.isnan(np.concatenate([call.numbers for call in calls])).sum(axis=0).tolist()
    for feature, count in zip(contract.numbers, missing, strict=True):
        _count_unusual(model, feature.name, "missing", count)
    texts = np.concatenate([call.texts for call in calls])
    for column, category in enumerate(contract.texts):
        seen = Counts(texts[:, column].tolist())
        absent = seen.pop("", 0)
        unseen = sum(count for text, count in seen.items() if text not in category.categories)
        _count_unusual(model, category.name, "missing", absent)
        _count_unusual(model, category.name, "unseen_category", unseen)


def _count_unusual(model: str, feature: str, kind: str, count: int) -> None:
    if count:
        UNUSUAL_VALUES.labels(model, feature, kind).inc(count)
