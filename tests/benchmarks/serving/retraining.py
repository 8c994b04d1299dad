"""A retraining's CPU load: the project's own search on the benchmark's rows, again and again until it is ended."""

from dataclasses import replace
from datetime import timedelta

from mlops_assets.core.training import fit_final, search, split
from mlops_assets.spec import TrainingPolicy
from tests.benchmarks.serving.model import N_TRAINING_ROWS, SPEC, make_rows


def main() -> None:
    """Train until the process is ended; says when it begins."""
    policy = TrainingPolicy(history=timedelta(weeks=8), holdout=timedelta(weeks=1), validation=timedelta(weeks=1))
    spec = replace(SPEC, training=policy)
    parts = split(make_rows(N_TRAINING_ROWS, seed=9), policy)
    print("training", flush=True)
    while True:
        fit_final(search(parts.train, parts.validation, spec), parts.train, parts.validation, spec)


if __name__ == "__main__":
    main()
