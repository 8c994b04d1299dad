"""The drift page of one monitoring window: the verdict in words, every statistic, and the pictures."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from mlops_assets.core.drift import VOTES_NEEDED, WindowDrift
from mlops_assets.core.feature_drift import FeatureDrift
from mlops_assets.core.profile import LABEL, SCORE
from mlops_assets.reports.html import wording
from mlops_assets.reports.html.page import Picture, Tile, counted, period, render
from mlops_assets.spec import DriftPolicy

SHOWN_NAMES, SHOWN_LENGTH = 6, 40


def drift_html(
    *,
    model: str,
    start: datetime | str,
    end: datetime | str,
    model_version: str | None,
    drift: WindowDrift,
    policy: DriftPolicy,
    minimum_rows: int,
    facts: Mapping[str, object],
    pictures: Sequence[Picture] = (),
) -> str:
    """Return the drift page of one window.

    Args:
        model: The model's name.
        start: Start of the window.
        end: Its end, exclusive.
        model_version: The version in production, whose profile is the reference.
        drift: What was measured and judged.
        policy: The rule and its thresholds.
        minimum_rows: With fewer rows a window is not judged.
        facts: Whatever else identifies the report: generation, data version, run ids.
        pictures: Histograms and heat map.
    """
    return render(
        "drift.html.j2",
        title=f"Drift of {model}",
        eyebrow="Drift report",
        heading=model,
        subtitle=period(start, end),
        tiles=_tiles(drift, model_version),
        said=drift_in_words(drift, policy, minimum_rows=minimum_rows),
        features=drift.ranked,
        predictions=drift.predictions,
        limits=_limits(policy),
        note=_note,
        judged=drift.verdict != "insufficient_data",
        rule=rule_in_words(policy),
        facts=facts,
        pictures=pictures,
    )


def drift_in_words(drift: WindowDrift, policy: DriftPolicy, *, minimum_rows: int) -> str:
    """Return the verdict and why it is so, in two or three sentences."""
    if drift.verdict == "insufficient_data":
        return f"Not judged: {_what_is_missing(drift, minimum_rows)}."
    sentences = [_verdict(drift, policy)]
    aside = [feature.name for feature in drift.ranked if feature.drifted and not feature.counted]
    if aside:
        sentences.append(f"{_names(aside)} {_have(aside)} changed as well and {_does(aside)} not count.")
    answers = [prediction.name for prediction in drift.predictions if prediction.drifted]
    if answers:
        sentences.append(f"The model's own answers have changed: {_names(answers)}.")
    elif drift.predictions:
        sentences.append("The model's own answers have not drifted.")
    return " ".join(sentences)


def rule_in_words(policy: DriftPolicy) -> str:
    """Return when one feature has drifted, with every threshold."""
    distance = f"Jensen-Shannon distance over {policy.jensen_shannon_distance:g}"
    if policy.rule == "calibrated":
        return (
            f"A feature has drifted if its adjusted p is under {policy.false_discovery_rate:g} and its effect is large "
            f"enough: Kolmogorov-Smirnov over {policy.ks_statistic:g}, Cramér's V over {policy.cramers_v:g}, or "
            f"{distance}."
        )
    return (
        f"A feature has drifted with {VOTES_NEEDED.get(policy.rule, policy.votes)} of 3 votes: adjusted p under "
        f"{policy.ks_p_value:g}, PSI over {policy.population_stability_index:g}, {distance}."
    )


def _what_is_missing(drift: WindowDrift, minimum_rows: int) -> str:
    if drift.n_rows < max(minimum_rows, 1):
        return f"{counted(drift.n_rows, 'row')}, and {wording.count(minimum_rows)} are needed"
    if not any(feature.counted for feature in drift.features):
        return "no feature counts"
    return "the reference has no rows"


def _verdict(drift: WindowDrift, policy: DriftPolicy) -> str:
    n_counted, names = sum(feature.counted for feature in drift.features), drift.drifted_features
    share = policy.drifted_share
    if not names:
        strongest = next(feature for feature in drift.ranked if feature.counted)
        distance = wording.number(strongest.jensen_shannon_distance)
        return (
            f"No drift: none of the {counted(n_counted, 'feature')} that count has drifted; the largest change is "
            f"that of {_names([strongest.name])} (Jensen-Shannon distance {distance})."
        )
    by_strength = [feature.name for feature in drift.ranked if feature.name in names]
    found = f"{_names(by_strength)} {_have(names)} drifted, {len(names)} of {counted(n_counted, 'feature')} that count"
    if drift.verdict == "drifted":
        return f"Drifted: {found}; {f'more than {wording.percent(share)} are' if share else 'one is'} enough."
    return f"No drift of the window: {found}; it takes more than {wording.percent(share)}."


def _tiles(drift: WindowDrift, model_version: str | None) -> list[Tile]:
    n_counted, n_drifted = sum(feature.counted for feature in drift.features), len(drift.drifted_features)
    n_seasonal = sum(feature.seasonal for feature in drift.features)
    judged = drift.verdict != "insufficient_data"
    return [
        Tile(title="Verdict", value=wording.words(drift.verdict), state=wording.state(drift.verdict)),
        Tile(
            title="Drifted features",
            value=wording.count(n_drifted) if judged else wording.MISSING,
            note=f"of {wording.count(n_counted)} that count" + (f" · {n_seasonal} seasonal" if n_seasonal else ""),
            state="neutral" if not judged else "warn" if n_drifted else "good",
        ),
        _answers_tile(drift, judged=judged),
        Tile(title="Rows", value=wording.count(drift.n_rows)),
        Tile(title="Reference", value=f"version {wording.text(model_version)}", note="profile inside the bundle"),
    ]


def _answers_tile(drift: WindowDrift, *, judged: bool) -> Tile:
    answers = [prediction.name for prediction in drift.predictions if prediction.drifted]
    title = "The model's answers"
    if not judged or not drift.predictions:
        return Tile(title=title, value=wording.MISSING, note="not judged" if drift.predictions else "not measured")
    if not answers:
        return Tile(title=title, value="stable", note="never counted")
    return Tile(title=title, value=", ".join(answers), note="drifted, never counted", state="warn")


def _limits(policy: DriftPolicy) -> dict[str, float | None]:
    """Return what each statistic is compared with; None where the rule does not look at it."""
    calibrated = policy.rule == "calibrated"
    return {
        "p_value": policy.false_discovery_rate if calibrated else policy.ks_p_value,
        "population_stability_index": None if calibrated else policy.population_stability_index,
        "jensen_shannon_distance": policy.jensen_shannon_distance,
        "ks_statistic": policy.ks_statistic if calibrated else None,
        "cramers_v": policy.cramers_v if calibrated else None,
    }


def _note(feature: FeatureDrift) -> str:
    if feature.name in {SCORE, LABEL}:
        return "answer"
    season = "against its season" if feature.reference == "season" else "seasonal" if feature.seasonal else ""
    return ", ".join(part for part in (season, "" if feature.counted else "not counted") if part)


def _names(names: Sequence[str]) -> str:
    shown = [name if len(name) <= SHOWN_LENGTH else name[: SHOWN_LENGTH - 1] + "…" for name in names[:SHOWN_NAMES]]
    left_out = len(names) - SHOWN_NAMES
    if left_out > 0:
        shown.append(f"{left_out} more")
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _does(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"
