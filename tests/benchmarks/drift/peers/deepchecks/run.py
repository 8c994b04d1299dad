"""deepchecks' feature drift with its defaults; it samples 100,000 rows."""

import pandas as pd
from deepchecks.tabular import Dataset
from deepchecks.tabular.checks import FeatureDrift
from inside import CATEGORIES, run


def report(reference: pd.DataFrame, current: pd.DataFrame) -> object:
    data = (Dataset(frame, cat_features=CATEGORIES) for frame in (reference, current))
    return FeatureDrift().run(*data).value


if __name__ == "__main__":
    run(report)
