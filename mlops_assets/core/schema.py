"""A spec's features as a pandera schema, and a frame as the two matrices of the serving contract.

The schema says what `serving.formats.contract.Contract.check` says, of a frame instead of matrices; a property test
holds the two together.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.errors import ContractViolationError
from mlops_assets.spec import Category, Feature, ModelSpec, Number
from serving.formats.contract import FLOAT32_MAXIMUM, Contract, Numbers
from serving.formats.texts import TextMatrix

if TYPE_CHECKING:
    import pandas as pd

MISSING, TWICE, NO_TIME_ZONE = "is missing", "is there twice", "is not a time with a time zone"
KEY = ("entity_key", "event_time")
NO_COLUMN, UNKNOWN_COLUMN = "column is missing", "column is not in the contract"
_PANDERA_NAMES = {
    "not_nullable": MISSING,
    "multiple_fields_uniqueness": TWICE,
    "column_in_dataframe": NO_COLUMN,
    "column_in_schema": UNKNOWN_COLUMN,
}


@dataclass(frozen=True)
class ValidationResult:
    """A frame divided by the contract.

    Attributes:
        valid: The rows that satisfy it.
        rejected: The others, and `rule`: every rule that the row breaks.
        cases: One dict per column and rule: column, check, value (of the first row), row (its position, None for a
            whole column) and count.
    """

    valid: "pd.DataFrame"
    rejected: "pd.DataFrame"
    cases: list[dict[str, Any]]


def frame_matrices(frame: "pd.DataFrame", contract: Contract) -> tuple[Numbers, TextMatrix]:
    """Return a frame's features in the order of the contract.

    Returns:
        Numbers, float64, shape (n_rows, n_numbers), NaN where missing, and texts, str objects, shape
        (n_rows, n_texts), "" where missing.

    Raises:
        ContractViolationError: A column is missing, or holds something else than numbers.
    """
    absent = [name for name in contract.names if name not in frame.columns]
    if absent:
        raise ContractViolationError(
            f"{contract.model}: no column {', '.join(absent)}", [_frame_case(name, NO_COLUMN, frame) for name in absent]
        )
    numbers = np.empty((len(frame), len(contract.numbers)), dtype=np.float64)
    for place, number in enumerate(contract.numbers):
        try:
            numbers[:, place] = frame[number.name].to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            cases = [_frame_case(number.name, "is not a number", frame)]
            raise ContractViolationError(f"{contract.model}: {number.name}: {error}", cases) from error
    texts = np.empty((len(frame), len(contract.texts)), dtype=object)
    for place, text in enumerate(contract.texts):
        column = frame[text.name].astype(object)
        texts[:, place] = column.where(column.notna(), "").to_numpy()
    return numbers, texts


def has_feature(frame: "pd.DataFrame", feature: Feature) -> bool:
    """Say whether a stored frame has a feature as the kind that it is now; a column without values is of any kind."""
    from pandas.api.types import is_numeric_dtype

    if feature.name not in frame.columns:
        return False
    column = frame[feature.name]
    return is_numeric_dtype(column) == isinstance(feature, Number) or bool(column.isna().all())


def with_features(frame: "pd.DataFrame", spec: ModelSpec) -> "pd.DataFrame":
    """Return rows that may be older than the spec with every feature of it, missing where they do not have it."""
    import pandas as pd

    absent = [feature for feature in spec.features if not has_feature(frame, feature)]
    kinds = {feature.name: "float64" if isinstance(feature, Number) else "object" for feature in absent}
    return frame.assign(**{name: pd.Series(index=frame.index, dtype=kind) for name, kind in kinds.items()})


def binary_labels(column: "pd.Series[Any]", positive: str) -> NDArray[np.int_]:
    """Return 1 where a label column holds the positive label, else 0, shape (n_rows,)."""
    return np.asarray(column == positive, dtype=np.int_)


def matrices_frame(numbers: Numbers, texts: TextMatrix, contract: Contract) -> "pd.DataFrame":
    """Return the frame that `frame_matrices` would turn into these matrices; a missing text is None."""
    import pandas as pd

    columns: dict[str, Any] = {feature.name: numbers[:, place] for place, feature in enumerate(contract.numbers)}
    for place, feature in enumerate(contract.texts):
        columns[feature.name] = [value or None for value in texts[:, place]]
    return pd.DataFrame(columns, index=range(len(numbers)))


def pandera_schema(spec: ModelSpec, *, with_label: bool = True) -> Any:
    """Return the spec as a strict pandera schema.

    Args:
        spec: The model.
        with_label: Whether the label's column belongs to the frame; its values may be missing.

    Returns:
        A `pandera.pandas.DataFrameSchema` over the features, `event_time` and `entity_key`, unique on the last two.
    """
    import pandera.pandas as pa

    columns = {
        **{feature.name: _number_column(feature) for feature in spec.numbers},
        **{feature.name: _category_column(feature) for feature in spec.categories},
        "event_time": pa.Column(None, pa.Check(_has_time_zone, error=NO_TIME_ZONE)),
        "entity_key": pa.Column(None, [_check(_is_text, "is not text"), _check(_is_filled, MISSING)]),
    }
    if with_label:
        admitted = {spec.label.negative, spec.label.positive}
        is_label = _check(lambda values: values.isin(admitted), "is not one of the labels")
        columns[spec.label.name] = pa.Column(None, is_label, nullable=True)
    return pa.DataFrameSchema(columns, strict=True, unique=list(KEY), report_duplicates="exclude_first")


def validate(frame: "pd.DataFrame", spec: ModelSpec, *, with_label: bool = True) -> ValidationResult:
    """Divide a frame into the rows that satisfy the contract and those that break it.

    A column that is missing or unknown breaks every row: the frame is not what the contract describes.

    Args:
        frame: Features, `event_time`, `entity_key` and, `with_label`, the label.
        spec: The model.
        with_label: Whether the label's column belongs to the frame.
    """
    import pandera.errors

    rows = frame.reset_index(drop=True)
    schema = pandera_schema(spec, with_label=with_label)
    try:
        with warnings.catch_warnings():
            # pandera joins its tables of failures in a way that pandas deprecates.
            warnings.filterwarnings("ignore", "The behavior of DataFrame concatenation", FutureWarning)
            schema.validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as error:
        return _divided(rows, _failures(error.failure_cases))
    return ValidationResult(rows, rows.head(0).assign(rule=""), [])


def _number_column(feature: Number) -> Any:
    import pandera.pandas as pa

    lowest = -FLOAT32_MAXIMUM if feature.minimum is None else feature.minimum
    highest = FLOAT32_MAXIMUM if feature.maximum is None else feature.maximum
    named = ("any" if bound is None else f"{bound:g}" for bound in (feature.minimum, feature.maximum))
    checks = [
        _check(lambda values: _as_numbers(values).notna(), "is not a number"),
        _check(lambda values: ~np.isinf(_as_numbers(values)), "is not finite"),
        _check(
            lambda values: (numbers := _as_numbers(values)).between(lowest, highest) | ~np.isfinite(numbers),
            f"is out of range [{', '.join(named)}]",
        ),
    ]
    if feature.integer:
        checks.append(
            _check(
                lambda values: ((numbers := _as_numbers(values)) == np.rint(numbers)) | ~np.isfinite(numbers),
                "is not a whole number",
            )
        )
    return pa.Column(None, checks, nullable=feature.nullable)


def _category_column(feature: Category) -> Any:
    import pandera.pandas as pa

    checks = [_check(_is_text, "is not text")]
    if not feature.nullable:
        checks.append(_check(_is_filled, MISSING))
    if not feature.open:
        admitted = {*feature.categories, ""}
        checks.append(_check(lambda values: values.isin(admitted) | ~_is_text(values), "is not one of its categories"))
    return pa.Column(None, checks, nullable=feature.nullable)


def _check(test: Callable[["pd.Series[Any]"], Any], rule: str) -> Any:
    import pandera.pandas as pa

    return pa.Check(test, error=rule)


def _as_numbers(values: "pd.Series[Any]") -> "pd.Series[float]":
    """Return floats, NaN for what is not a number; text and truth values are none, whatever they look like."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.astype(float)
    kinds = (int, float, np.integer, np.floating)
    numeric = values.map(lambda value: isinstance(value, kinds) and not isinstance(value, bool))
    return values.where(numeric).astype(float)


def _is_text(values: "pd.Series[Any]") -> "pd.Series[bool]":
    return values.map(lambda value: isinstance(value, str)).astype(bool)


def _is_filled(values: "pd.Series[Any]") -> "pd.Series[bool]":
    return values.map(lambda value: value != "").astype(bool)


def _has_time_zone(values: "pd.Series[Any]") -> bool:
    import pandas as pd

    return isinstance(values.dtype, pd.DatetimeTZDtype)


def _failures(failure_cases: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row per broken rule and row (NaN: every row), from pandera's table of failures."""
    import pandas as pd

    whole = failure_cases["check"].isin(["column_in_dataframe", "column_in_schema"])
    unique = failure_cases["check"] == "multiple_fields_uniqueness"
    table = pd.DataFrame(
        {
            "column": failure_cases["column"].where(~whole, failure_cases["failure_case"]),
            "check": failure_cases["check"].replace(_PANDERA_NAMES),
            "value": failure_cases["failure_case"],
            "row": failure_cases["index"].where(~whole, None),
        }
    )
    table.loc[unique, "column"] = ", ".join(KEY)
    if set(KEY) & set(table.loc[whole, "column"]):
        table = table[~unique]
    return table.drop_duplicates(["column", "check", "row"]).sort_values("row", kind="stable", na_position="first")


def _divided(rows: "pd.DataFrame", failures: "pd.DataFrame") -> ValidationResult:
    whole = failures["row"].isna()
    cases = [
        {
            "column": str(column),
            "check": str(check),
            "value": "" if check in (MISSING, NO_TIME_ZONE) else repr(group["value"].iloc[0])[:60],
            "row": None if group["row"].isna().iloc[0] else int(group["row"].iloc[0]),
            "count": len(rows) if group["row"].isna().iloc[0] else len(group),
        }
        for (column, check), group in failures.groupby(["column", "check"], sort=False)
    ]
    text = failures["column"].astype(str) + " " + failures["check"].astype(str)
    everywhere = "; ".join(text[whole])
    rules = text[~whole].groupby(failures.loc[~whole, "row"].astype(int)).agg("; ".join)
    rule = rules.reindex(rows.index).fillna("")
    rule = rule.where(rule == "", rule + "; ").add(everywhere).str.removesuffix("; ") if everywhere else rule
    return ValidationResult(rows[rule == ""], rows[rule != ""].assign(rule=rule[rule != ""]), cases)


def _frame_case(column: str, check: str, frame: "pd.DataFrame") -> dict[str, Any]:
    return {"column": column, "check": check, "value": "", "row": None, "count": len(frame)}
