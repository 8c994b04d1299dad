"""Adds what calls leave behind to the metrics, many calls at a time: one call pays for one list append."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from itertools import chain

import numpy as np

from serving.errors import ContractError
from serving.formats.contract import Numbers
from serving.formats.texts import Texts, counts_of
from serving.metrics import (
    CONFIDENCES,
    LATENCY,
    PREDICTIONS,
    ROWS_PER_CALL,
    SCORES,
    UNUSUAL_VALUES,
)
from serving.scoring.loading import LoadedModel

_MAXIMUM_VERSIONS = 16
_KIND_OF_RULE = {
    "is missing": "missing",
    "is not one of its categories": "unseen_category",
    "is not finite": "out_of_range",
    "is out of range": "out_of_range",
    "is not a whole number": "out_of_range",
}


Answered = tuple[LoadedModel, list[float], list[int], Numbers, Texts, Numbers]
"""What calls that were answered together leave behind: model, seconds and rows of each call; and row by row numbers,
texts, scores."""


class CallMeter:
    """Counts calls; `flush` is called by one thread, the others by all."""

    def __init__(self) -> None:
        self._answered: list[Answered] = []
        self._versions: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.answered = self._answered.append

    def not_found(self, name: str, *, status: str) -> None:
        """Count one call for which there was no version; a name that nobody released must be given as ""."""
        PREDICTIONS.labels(name, "", "", status).inc()

    def refused(self, model: LoadedModel, error: Exception, *, status: str) -> None:
        """Count one call that was not answered, and the values that are the reason."""
        PREDICTIONS.labels(model.name, model.version, model.role, status).inc()
        if isinstance(error, ContractError):
            known = frozenset(model.contract.names)
            for violation in error.violations:
                kind = next((kind for rule, kind in _KIND_OF_RULE.items() if violation.rule.startswith(rule)), None)
                if kind and violation.field in known:
                    _count_unusual(model.name, violation.field, kind, violation.count)

    def flush(self) -> None:
        """Add all calls since the last flush to the metrics."""
        # Each of the two statements is atomic; what is appended between them stays for the next flush.
        taken = self._answered[:]
        del self._answered[: len(taken)]
        by_model: defaultdict[LoadedModel, list[Answered]] = defaultdict(list)
        for some in taken:
            by_model[some[0]].append(some)
        for model, answered in by_model.items():
            self._keep(model)
            _add(model, answered)

    def _keep(self, model: LoadedModel) -> None:
        """Forget the label children of versions that have not answered for long; what they counted stays shown."""
        answering = (model.name, model.version)
        self._versions[answering] = None
        self._versions.move_to_end(answering)
        while len(self._versions) > _MAXIMUM_VERSIONS:
            oldest, _ = self._versions.popitem(last=False)
            for histogram in (LATENCY, SCORES, CONFIDENCES):
                histogram.forget(*oldest)


def _add(model: LoadedModel, answered: Sequence[Answered]) -> None:
    _, seconds, sizes, numbers, texts, parts = zip(*answered, strict=True)
    scores = np.concatenate(parts)
    confidences = np.where(scores >= model.contract.threshold, scores, 1 - scores)
    version = (model.name, model.version)
    PREDICTIONS.labels(*version, model.role, "OK").inc(len(scores))
    LATENCY.labels(*version).observe_many(np.array([*chain.from_iterable(seconds)]))
    ROWS_PER_CALL.labels(model.name).observe_many(np.array([*chain.from_iterable(sizes)], dtype=np.float64))
    SCORES.labels(*version).observe_many(scores)
    CONFIDENCES.labels(*version).observe_many(confidences)
    _add_unusual(model, np.concatenate(numbers), texts)


def _add_unusual(model: LoadedModel, numbers: Numbers, texts: Sequence[Texts]) -> None:
    missing = np.isnan(numbers).sum(axis=0).tolist()
    for feature, count in zip(model.contract.numbers, missing, strict=True):
        _count_unusual(model.name, feature.name, "missing", count)
    for place, category in enumerate(model.contract.texts):
        usual = frozenset(category.categories)
        seen = counts_of([columns[place] for columns in texts if not usual.issuperset(columns[place].values)])
        _count_unusual(model.name, category.name, "missing", seen.pop("", 0))
        if usual:  # an open list may name none: then no text is out of it
            unseen = sum(count for text, count in seen.items() if text not in usual)
            _count_unusual(model.name, category.name, "unseen_category", unseen)


def _count_unusual(model: str, feature: str, kind: str, count: int) -> None:
    if count:
        UNUSUAL_VALUES.labels(model, feature, kind).inc(count)
