"""By hand: SciPy's Kolmogorov-Smirnov test per number and its chi-square test per category."""

import pandas as pd
from inside import CATEGORIES, NUMBERS, run
from scipy.stats import chi2_contingency, ks_2samp


def report(reference: pd.DataFrame, current: pd.DataFrame) -> object:
    found = {
        name: ks_2samp(reference[name].dropna(), current[name].dropna(), method="asymp").statistic for name in NUMBERS
    }
    for name in CATEGORIES:
        counts = pd.concat([reference[name].value_counts(), current[name].value_counts()], axis=1).fillna(0)
        found[name] = chi2_contingency(counts.to_numpy()).statistic
    return found


if __name__ == "__main__":
    run(report)
