"""The one declaration per model: everything else (assets, checks, sensors, schedule, API) is generated from it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlops_assets.errors import SpecError
from mlops_assets.policies import (
    AccuracyPolicy,
    Algorithm,
    DataQualityPolicy,
    DriftPolicy,
    GatePolicy,
    Metric,
    RetrainingPolicy,
    Share,
    TrainingPolicy,
    TriggerName,
    UpkeepPolicy,
    WindowPolicy,
)
from mlops_assets.policy_fields import refuse_bad_fields
from serving.formats.contract import Contract, NumberFeature, TextFeature
from serving.formats.record import RESERVED_NAMES
from serving.formats.release import MODEL_NAME

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AccuracyPolicy",
    "Algorithm",
    "Category",
    "DataQualityPolicy",
    "DriftPolicy",
    "Feature",
    "GatePolicy",
    "Label",
    "Metric",
    "ModelSpec",
    "Number",
    "RetrainingPolicy",
    "TrainingPolicy",
    "TriggerName",
    "UpkeepPolicy",
    "WindowPolicy",
]

_TAG = re.compile(r"[A-Za-z0-9_.-]{1,63}")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A numeric feature. The range says what is possible, not what was seen.

    Attributes:
        counts_for_drift: Whether it decides about windows; otherwise its drift is only reported.
        seasonal: Whether it follows the season that `DriftPolicy` names.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    integer: bool = False
    nullable: bool = False
    description: str = ""
    counts_for_drift: bool = True
    seasonal: bool = False


@dataclass(frozen=True, kw_only=True)
class Category:
    """A categorical feature; an `open` list admits values that are not in it. Drift as in `Number`."""

    name: str
    categories: tuple[str, ...] = ()
    open: bool = False
    nullable: bool = False
    description: str = ""
    counts_for_drift: bool = True
    seasonal: bool = False


Feature = Number | Category


@dataclass(frozen=True, kw_only=True)
class Label:
    """The column to predict and its two values; probabilities are those of `positive`."""

    name: str
    negative: str
    positive: str
    threshold: Share = 0.5


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model.

    Attributes:
        name: Lower case letters, digits and _; the prefix of its assets and its name on the wire.
        features: In any order; the contract puts numbers before categories.
        source: Returns the source rows: every feature, the label (text, None where unknown), `event_time` (UTC) and
            `entity_key`. Unique on the last two.
        traffic: For the replay: the same columns plus `observed_at` (when the label became known, NaT: never),
            sorted or not, later than the source's rows.
        source_version: Returns, without loading the rows, a text that changes when they do: a modification time, a
            table version, an ETag. With it, new data in the source retrain once, if the trigger is named.
        slices: Categories for each of whose values performance is reported apart.
    """

    name: str
    description: str
    label: Label
    features: tuple[Feature, ...]
    source: Callable[[], "pd.DataFrame"]
    traffic: Callable[[], "pd.DataFrame"] | None = None
    source_version: Callable[[], str] | None = None
    slices: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    windows: WindowPolicy = WindowPolicy()
    drift: DriftPolicy = DriftPolicy()
    accuracy: AccuracyPolicy = AccuracyPolicy()
    quality: DataQualityPolicy = DataQualityPolicy()
    training: TrainingPolicy = TrainingPolicy()
    gate: GatePolicy = GatePolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    upkeep: UpkeepPolicy = UpkeepPolicy()
    remarks: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not work later, naming the field and the mend."""
        if not MODEL_NAME.fullmatch(self.name):
            raise SpecError(f"model name {self.name!r}: use lower case letters, digits and _, starting with a letter")
        for section, declared in vars(self).items():
            if is_dataclass(declared):
                self._refuse_bad_fields(section, declared)
        names = [feature.name for feature in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SpecError(f"{self.name}: feature {twice[0]!r} is declared twice; remove one")
        if not names:
            raise SpecError(f"{self.name}: no features; declare at least one")
        taken = sorted((RESERVED_NAMES | {self.label.name}) & set(names))
        if taken:
            raise SpecError(f"{self.name}: feature {taken[0]!r} has a name that is in use; rename it")
        if self.label.name in RESERVED_NAMES - {"label"}:
            raise SpecError(f"{self.name}: label column {self.label.name!r} has a name that is in use; rename it")
        if self.label.negative == self.label.positive:
            raise SpecError(f"{self.name}: both labels are {self.label.positive!r}; name two different values")
        for part in (*self.tags, *self.tags.values()):
            if not _TAG.fullmatch(part):
                raise SpecError(f"{self.name}: tag {part!r} may have letters, digits, _ - . and at most 63 characters")
        for owner in self.owners:
            if "@" not in owner and not owner.startswith("team:"):
                raise SpecError(f"{self.name}: owner {owner!r} must be an e-mail address or team:<name>")
        policy = self.training
        if policy.holdout + policy.validation >= policy.history:
            raise SpecError(f"{self.name}: training.history must be longer than hold-out and validation together")
        for feature in self.features:
            if isinstance(feature, Category) and not feature.categories and not feature.open:
                raise SpecError(f"{self.name}: {feature.name!r} has no categories; list them or say open=True")
        self._refuse_bad_drift_policy()
        self._refuse_unknown_slices()

    def _refuse_bad_fields(self, section: str, policy: object) -> None:
        try:
            refuse_bad_fields(section, policy)
        except SpecError as error:
            raise SpecError(f"{self.name}: {error}") from None

    def _refuse_bad_drift_policy(self) -> None:
        policy, length = self.drift, self.windows.length
        counting = [feature.name for feature in self.features if feature.counts_for_drift]
        for name in policy.decisive_features:
            if name not in counting:
                raise SpecError(f"{self.name}: drift.decisive_features names {name!r}, which is no feature that counts")
        if self.compares_seasons and (policy.season <= length or policy.season % length):
            raise SpecError(f"{self.name}: drift.season must be a whole number of windows of {length}, more than one")

    def _refuse_unknown_slices(self) -> None:
        categories = {feature.name for feature in self.features if isinstance(feature, Category)}
        unknown = [name for name in self.slices if name not in categories]
        if unknown:
            raise SpecError(
                f"{self.name}: slices names {unknown[0]!r}, which is no Category; declare it or leave it out"
            )

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """The numeric features in contract order."""
        return tuple(feature for feature in self.features if isinstance(feature, Number))

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """The categorical features in contract order."""
        return tuple(feature for feature in self.features if isinstance(feature, Category))

    @cached_property
    def feature_names(self) -> list[str]:
        """Numbers, then categories."""
        return [*(number.name for number in self.numbers), *(category.name for category in self.categories)]

    @cached_property
    def compares_seasons(self) -> bool:
        """Whether some feature is compared with earlier windows of the same phase of the season."""
        return self.drift.seasonal == "matched" and any(feature.seasonal for feature in self.features)

    @cached_property
    def contract(self) -> Contract:
        """The serving side's view of this spec."""
        return Contract(
            model=self.name,
            numbers=tuple(NumberFeature(f.name, f.minimum, f.maximum, f.integer, f.nullable) for f in self.numbers),
            texts=tuple(TextFeature(f.name, f.categories, f.open, f.nullable) for f in self.categories),
            negative=self.label.negative,
            positive=self.label.positive,
            threshold=self.label.threshold,
        )
