"""alibi-detect's TabularDrift: Kolmogorov-Smirnov and chi-square; it wants one matrix without texts or gaps."""

import numpy as np
import pandas as pd
from alibi_detect.cd import TabularDrift
from inside import CATEGORIES, NUMBERS, run


def report(reference: pd.DataFrame, current: pd.DataFrame) -> object:
    known = {name: pd.Index(reference[name].unique()) for name in CATEGORIES}
    first, second = matrix(reference, known), matrix(current, known)
    detector = TabularDrift(first, p_val=0.05, categories_per_feature=dict.fromkeys(range(len(NUMBERS), 25)))
    return detector.predict(second, drift_type="feature")


def matrix(frame: pd.DataFrame, known: dict[str, pd.Index]) -> np.ndarray:
    codes = [known[name].get_indexer(frame[name]) for name in CATEGORIES]
    return np.column_stack([frame[NUMBERS].fillna(0.0).to_numpy(), *codes])


if __name__ == "__main__":
    run(report)
