"""Replays a retraining policy over history through the decisions and the training code of the live loop."""

from mlops_assets.core.backtest.comparison import compare_with_static
from mlops_assets.core.backtest.history import History
from mlops_assets.core.backtest.policies import (
    DEFAULT_POLICIES,
    NAMED_TRIGGERS,
    BacktestPolicy,
    parse_policy,
    spec_under,
    sweep,
)
from mlops_assets.core.backtest.recommendation import Recommendation, recommend
from mlops_assets.core.backtest.replay import PolicyReplay, Retraining, replay_policy
from mlops_assets.core.backtest.versions import Train, Trained, Version, train_first_version

__all__ = [
    "DEFAULT_POLICIES",
    "NAMED_TRIGGERS",
    "BacktestPolicy",
    "History",
    "PolicyReplay",
    "Recommendation",
    "Retraining",
    "Train",
    "Trained",
    "Version",
    "compare_with_static",
    "parse_policy",
    "recommend",
    "replay_policy",
    "spec_under",
    "sweep",
    "train_first_version",
]
