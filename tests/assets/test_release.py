"""The gate and the promotion: what they look at, and what a crash in the middle leaves."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mlops_assets.assets.evaluation import evaluate_candidate, score_holdout
from mlops_assets.assets.importances import compare_importances, importance_metadata
from mlops_assets.assets.release import decide, project_releases, projected_generation
from mlops_assets.assets.snapshots import ReferenceData
from mlops_assets.assets.training import TrainedModel, fit_candidate
from mlops_assets.core import training
from mlops_assets.core.schema import frame_matrices
from mlops_assets.errors import SupersededError
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import Number
from serving.formats.bundle import GOLDEN_FILE, MODEL_FILE, PROFILE_FILE, GoldenRows, Manifest, write_bundle
from tests.conftest import ANCHOR, DAY, make_tiny_spec, tiny_rows
from tests.signing import signing_store

SPEC = make_tiny_spec()


def snapshot(lake, end, *, seed, shift=0.0):
    import pyarrow as pa

    frame = tiny_rows(1600, start=end - 4 * DAY, length=4 * DAY, seed=seed, shift=shift)
    version = lake.replace("tiny", "reference", pa.Table.from_pandas(frame, preserve_index=False))
    return frame, ReferenceData(version, f"content-{seed}", end, len(frame))


def trained(lake, store, end, *, version, seed, shift=0.0, stored_metrics=None):
    frame, reference = snapshot(lake, end, seed=seed, shift=shift)
    candidate = fit_candidate(SPEC, frame, reference, lambda _: None)
    manifest = Manifest(
        model="tiny",
        version=version,
        contract=SPEC.contract,
        created_at="2024-01-01T00:00:00+00:00",
        tuned_until=candidate.tuned_until.isoformat(),
        data_version=reference.content,
        code_version="1",
        mlflow_run_id="",
        dagster_run_id="",
        algorithm=candidate.search.algorithm,
        metrics=stored_metrics or {"accuracy": candidate.holdout.accuracy.value, "prior": candidate.holdout.prior},
        libraries={},
        files={},
    )
    numbers, texts = frame_matrices(candidate.split.holdout.head(5), SPEC.contract)
    golden = GoldenRows(numbers, texts, candidate.holdout_scores[:5])
    contents = {
        MODEL_FILE: candidate.model_bytes,
        PROFILE_FILE: candidate.profile,
        GOLDEN_FILE: golden.to_json(),
    }
    digest = write_bundle(store.bundles, manifest, contents)
    return TrainedModel(version, digest, candidate.search.algorithm, "", reference, candidate.tuned_until), candidate


def evaluate(lake, store, model, *, spec=SPEC):
    return evaluate_candidate(spec, store, model, score_holdout(spec, lake, store, model))


def promote(lake, store, model):
    evaluation = evaluate(lake, store, model)
    return decide(SPEC, store, model, evaluation, tags={}, run_id="run")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A champion with absurdly good stored numbers in production, and a challenger on shifted later data."""
    root = tmp_path_factory.mktemp("release")
    lake, store = Lake(root / "lake"), signing_store(root)
    flattering = {"accuracy": 1.0, "log_loss": 1e-9, "auc": 1.0, "prior": 0.5}
    champion, _ = trained(lake, store, ANCHOR, version="1", seed=1, stored_metrics=flattering)
    promote(lake, store, champion)
    challenger, candidate = trained(lake, store, ANCHOR + 4 * DAY, version="2", seed=2, shift=3.0)
    return root, challenger, candidate


@pytest.fixture
def stage(prepared, tmp_path):
    root, challenger, candidate = prepared
    copy = shutil.copytree(root, tmp_path / "copy")
    return Lake(copy / "lake"), signing_store(copy), challenger, candidate


def test_the_champion_is_scored_now_on_the_challengers_hold_out_and_not_by_a_stored_number(stage):
    lake, store, challenger, candidate = stage
    evaluation = evaluate(lake, store, challenger)
    champion = evaluation.evidence["champion"]
    assert champion["n_rows"] == evaluation.evidence["challenger"]["n_rows"] == len(candidate.split.holdout)
    assert champion["log_loss"] > 0.1
    assert champion["accuracy"] < 1.0
    assert evaluation.evidence["champion_version"] == "1"
    assert json.dumps(evaluation.evidence, allow_nan=False)


def test_champion_and_challenger_are_compared_by_the_ranks_of_their_importances(stage):
    lake, store, challenger, _ = stage
    drift = evaluate(lake, store, challenger).importances
    assert [(f.name, f.champion_rank, f.challenger_rank) for f in drift.features] == [("size", 1, 1), ("color", 2, 2)]
    assert drift.kendall_tau == 1.0
    shown = importance_metadata(drift)
    assert shown["importance_rank_correlation"] == 1.0
    assert [record.data["feature"] for record in shown["importances"].records] == ["size", "color"]
    assert drift.features[0].champion != drift.features[0].challenger


def test_without_rows_or_with_other_features_there_is_nothing_to_rank(stage):
    lake, store, challenger, _ = stage
    champion = store.latest("tiny").routing.production
    wider = replace(SPEC, features=(*SPEC.features, Number(name="weight")))
    holdout = lake.read("tiny", "reference", challenger.reference.version)
    assert compare_importances(wider, store, challenger.bundle, champion, holdout) is None
    assert compare_importances(SPEC, store, challenger.bundle, champion, holdout.head(0)) is None
    assert importance_metadata(None) == {}


def test_no_row_of_the_hold_out_is_seen_by_search_fit_or_importances(monkeypatch, tmp_path):
    seen = {}

    def spy(name):
        original = getattr(training, name)

        def wrapped(*arguments, **options):
            frames = [argument for argument in arguments if hasattr(argument, "columns")]
            seen[name] = max(frame["event_time"].max() for frame in frames)
            return original(*arguments, **options)

        monkeypatch.setattr(training, name, wrapped)

    for name in ("search", "fit_final", "permutation_importances"):
        spy(name)
    frame, reference = snapshot(Lake(tmp_path / "lake"), ANCHOR, seed=5)
    candidate = fit_candidate(SPEC, frame, reference, lambda _: None)
    start = candidate.split.holdout["event_time"].min()
    assert set(seen) == {"search", "fit_final", "permutation_importances"}
    assert max(seen.values()) < start
    assert candidate.tuned_until < start.to_pydatetime()


def test_a_hold_out_that_the_champion_was_tuned_on_is_insufficient_evidence(stage):
    lake, store, _, _ = stage
    same_data, _ = trained(lake, store, ANCHOR - DAY, version="3", seed=6)
    evaluation = evaluate(lake, store, same_data)
    assert evaluation.verdict == "refuse"
    assert "insufficient_evidence" in evaluation.reason


def test_a_refusal_is_an_entry_that_changes_no_routing(stage):
    lake, store, challenger, _ = stage
    before = store.latest("tiny")
    strict = replace(SPEC, gate=replace(SPEC.gate, metric="log_loss", margin=10.0, unit="relative"))
    evaluation = evaluate(lake, store, challenger, spec=strict)
    release = decide(strict, store, challenger, evaluation, tags={"mlops/trigger": "drift"}, run_id="r")
    assert (release.action, release.generation, release.trigger) == ("refuse", 2, "drift")
    assert release.routing == before.routing
    assert release.candidate.version == "2"
    assert store.history("tiny")[-1] == release


def test_deciding_twice_about_one_candidate_adds_one_entry(stage):
    lake, store, challenger, _ = stage
    evaluation = evaluate(lake, store, challenger)
    first = decide(SPEC, store, challenger, evaluation, tags={}, run_id="r")
    assert decide(SPEC, store, challenger, evaluation, tags={}, run_id="r") == first
    assert store.latest_generation("tiny") == 2
    assert first.routing.production.version == "2"
    assert first.routing.fallback.version == "1"


def test_an_evaluation_against_an_older_champion_is_refused(stage):
    lake, store, challenger, _ = stage
    evaluation = evaluate(lake, store, challenger)
    other, _ = trained(lake, store, ANCHOR + 4 * DAY, version="4", seed=7, shift=3.0)
    promote(lake, store, other)
    with pytest.raises(SupersededError, match="evaluation"):
        decide(SPEC, store, challenger, evaluation, tags={}, run_id="r")


class Registry:
    """Stands in for MLflow where only its failure matters."""

    def __init__(self, *, broken):
        self.broken, self.aliases = broken, {}

    def set_aliases(self, model, aliases):
        if self.broken:
            raise ConnectionError("MLflow went away")
        self.aliases.update(aliases)


def test_a_projection_that_failed_is_made_again_and_then_nothing_is_written_twice(stage):
    lake, store, challenger, _ = stage
    promote(lake, store, challenger)
    with pytest.raises(ConnectionError):
        project_releases(SPEC, lake, Registry(broken=True), store)
    assert projected_generation(lake, "tiny") == 0
    registry = Registry(broken=False)
    assert project_releases(SPEC, lake, registry, store) == 2
    assert project_releases(SPEC, lake, registry, store) == 0
    assert registry.aliases == {"production": "2", "previous": "1"}
    assert projected_generation(lake, "tiny") == 2
    assert lake.read("tiny", "releases")["at"].max() <= datetime.now(UTC)
