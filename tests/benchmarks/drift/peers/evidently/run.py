"""Evidently's drift preset with its defaults."""

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from inside import CATEGORIES, NUMBERS, run

DEFINITION = DataDefinition(numerical_columns=NUMBERS, categorical_columns=CATEGORIES)


def report(reference: pd.DataFrame, current: pd.DataFrame) -> object:
    data = (Dataset.from_pandas(frame, data_definition=DEFINITION) for frame in (current, reference))
    return Report([DataDriftPreset()]).run(*data).dict()


if __name__ == "__main__":
    run(report)
