"""Whether two models lean on the same features: the change of their importances' ranks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.conversion import Scorer
from serving.formats.contract import Contract

if TYPE_CHECKING:
    import pandas as pd


class Classifier(Protocol):
    """What importances are measured of: a fitted pipeline, or a bundle's graph in the place of one."""

    def predict_proba(self, features: "pd.DataFrame") -> NDArray[np.float64]:
        """Return the probabilities of both labels, shape (n_rows, 2)."""
        ...


@dataclass(frozen=True)
class ServedClassifier:
    """A converted pipeline that answers rows as its pipeline reads them (`pipeline_input`)."""

    scorer: Scorer
    contract: Contract

    def predict_proba(self, features: "pd.DataFrame") -> NDArray[np.float64]:
        """Return the probabilities of both labels, shape (n_rows, 2)."""
        n_numbers = len(self.contract.numbers)
        numbers = features.iloc[:, :n_numbers].to_numpy(dtype=np.float64)
        positive = self.scorer.scores(numbers, features.iloc[:, n_numbers:].to_numpy(dtype=object))
        return np.column_stack([1 - positive, positive])


@dataclass(frozen=True, kw_only=True)
class FeatureRank:
    """One feature's place among the importances of two models; rank 1 is the most important, ties share a rank."""

    name: str
    champion: float
    challenger: float
    champion_rank: int
    challenger_rank: int


@dataclass(frozen=True)
class ImportanceDrift:
    """How differently two models rank the features.

    Attributes:
        kendall_tau: 1 (the same order) to -1 (the reverse); None below two features, or where all of a model's
            importances are equal. The order of features near zero is noise, so similar models are below 1.
        features: The challenger's most important first.
    """

    kendall_tau: float | None
    features: tuple[FeatureRank, ...]


def importance_drift(champion: Mapping[str, float], challenger: Mapping[str, float]) -> ImportanceDrift:
    """Compare two models' importances, measured on the same rows.

    Args:
        champion: By feature.
        challenger: Of the same features.

    Source:
        Kendall (1945), The treatment of ties in ranking problems: tau-b, as `scipy.stats.kendalltau`.
    """
    from scipy.stats import kendalltau, rankdata

    names = list(challenger)
    before = np.array([champion[name] for name in names])
    now = np.array([challenger[name] for name in names])
    different = len(set(before.tolist())) > 1 and len(set(now.tolist())) > 1
    ranks = (rankdata(-before, method="min").astype(int).tolist(), rankdata(-now, method="min").astype(int).tolist())
    features = [
        FeatureRank(name=name, champion=old, challenger=new, champion_rank=old_rank, challenger_rank=new_rank)
        for name, old, new, old_rank, new_rank in zip(names, before.tolist(), now.tolist(), *ranks, strict=True)
    ]
    return ImportanceDrift(
        float(kendalltau(before, now).statistic) if different else None,
        tuple(sorted(features, key=lambda feature: feature.challenger_rank)),
    )
