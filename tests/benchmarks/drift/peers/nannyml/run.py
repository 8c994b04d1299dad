"""NannyML's univariate drift: Kolmogorov-Smirnov, chi-square and Jensen-Shannon, the window as one chunk."""

import pandas as pd
from inside import CATEGORIES, NUMBERS, run
from nannyml import UnivariateDriftCalculator


def report(reference: pd.DataFrame, current: pd.DataFrame) -> object:
    calculator = UnivariateDriftCalculator(
        column_names=[*NUMBERS, *CATEGORIES],
        continuous_methods=["kolmogorov_smirnov", "jensen_shannon"],
        categorical_methods=["chi2", "jensen_shannon"],
        chunk_number=1,
    )
    return calculator.fit(reference).calculate(current).to_df()


if __name__ == "__main__":
    run(report)
