"""A backtest as it is run: from the spec or the lake, in processes, again after a stop, as an asset."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from mlops_assets.assets.backtest import BacktestConfig, build_backtest_assets
from mlops_assets.assets.backtest_folder import BacktestFolder
from mlops_assets.assets.backtest_history import load_history, scheduled_times
from mlops_assets.assets.backtest_runs import replay_to_result, reproducible, run_backtest
from mlops_assets.cli.backtest import backtest
from mlops_assets.core.backtest import parse_policy
from mlops_assets.definitions import build_resources
from mlops_assets.errors import ContractViolationError, InsufficientDataError, UnknownModelError
from mlops_assets.lake.tables import Lake
from mlops_assets.settings import Settings
from mlops_assets.spec import RetrainingPolicy
from tests.conftest import ANCHOR, DAY, make_tiny_spec, tiny_source
from tests.core.backtest_example import rows_of
from tests.lake_rows import log_labels, log_predictions

POLICIES = [parse_policy(name) for name in ("weekly", "drift")]


def traffic():
    return rows_of(shifts=(1.2,) * 5)


def make_spec():
    daily = RetrainingPolicy(schedule="30 2 * * *")
    return reproducible(replace(make_tiny_spec(), traffic=traffic, retraining=daily), seed=7)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return load_history(make_spec(), Lake(tmp_path_factory.mktemp("empty")))


def run(history, root, **options):
    return run_backtest(history, POLICIES, root=root, **options)


@pytest.fixture(scope="module")
def document(history, tmp_path_factory):
    return run(history, tmp_path_factory.mktemp("first"), jobs=2)


def without_timing(document):
    return {name: part for name, part in document.items() if name != "timing"}


def test_every_policy_with_a_trigger_has_retrained(document):
    assert [policy["retrainings"] > 0 for policy in document["policies"]] == [False, True, True]


def test_the_static_policy_is_always_beside_the_others(document):
    assert [policy["name"] for policy in document["policies"]] == ["static", "weekly", "drift"]
    assert document["recommended"]["policy"] in {policy["name"] for policy in document["policies"]}
    assert document["schema"] == "mlops.backtest/1"


def test_the_document_is_the_same_bit_for_bit_but_for_its_timing(document, history, tmp_path):
    again = run(history, tmp_path, jobs=1)
    assert json.dumps(without_timing(again)) == json.dumps(without_timing(document))


def test_a_run_goes_on_with_what_an_earlier_one_has_finished(document, history, tmp_path):
    folder = BacktestFolder.of(tmp_path, history, search=False)
    static = parse_policy("static")
    folder.store_policy_result(static, replay_to_result(history, static, folder, search=False, send=lambda _: None))
    asked = []
    again = run(history, tmp_path, on_progress=lambda name, _: asked.append(name))
    assert set(asked) == {"weekly", "drift"}
    assert without_timing(again) == without_timing(document)


def test_a_stopped_run_leaves_no_process_and_no_half_file(history, tmp_path):
    import multiprocessing

    def stop(_name, _n_windows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(history, tmp_path, on_progress=stop)
    assert multiprocessing.active_children() == []
    assert list(tmp_path.rglob("*.tmp")) == []
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json", ".parquet"}


def test_another_seed_window_or_threshold_is_another_backtest(history, tmp_path):
    others = [
        load_history(reproducible(make_spec(), seed=8), Lake(tmp_path)),
        load_history(make_spec(), Lake(tmp_path), n_windows=3),
        load_history(replace(make_spec(), gate=replace(make_spec().gate, margin=0.1)), Lake(tmp_path)),
    ]
    folders = {BacktestFolder.of(tmp_path, each, search=False).path for each in (history, *others)}
    folders.add(BacktestFolder.of(tmp_path, history, search=True).path)
    assert len(folders) == 5
    assert BacktestFolder.of(tmp_path, history, search=False).path in folders


def test_what_a_search_finds_is_kept_for_all_policies(history, tmp_path):
    folder = BacktestFolder.of(tmp_path, history, search=True)
    for name in ("drift", "drift+accuracy"):
        result = replay_to_result(history, parse_policy(name), folder, search=True, send=lambda _: None)
    searches = list((folder.path / "searches").iterdir())
    assert len(searches) == 1 + result["retrainings"]


def test_the_schedule_is_the_specs_cron_in_utc(history):
    first = datetime(2024, 1, 1, 2, 30, tzinfo=UTC)
    assert scheduled_times(history.spec, history) == [first + n * DAY for n in range(5)]
    on_sundays = replace(history.spec, retraining=RetrainingPolicy())
    assert scheduled_times(on_sundays, history) == []


def test_a_policy_follows_the_schedule_in_its_brackets(history, tmp_path):
    folder = BacktestFolder.of(tmp_path, history, search=False)

    def retrained(name):
        policy = parse_policy(name)
        result = replay_to_result(history, policy, folder, search=False, send=lambda _: None)
        return [datetime.fromisoformat(one["at"]) for one in result["history"]]

    first = datetime(2024, 1, 1, 2, 30, tzinfo=UTC)
    assert retrained("weekly") == [first + n * DAY for n in range(5)]
    assert retrained("weekly[retraining.schedule=0 12 3 1 *]") == [ANCHOR + 2.5 * DAY]


def test_without_traffic_the_history_is_the_lakes_labeled_predictions(lake):
    spec = make_tiny_spec()
    rows = traffic()
    records = rows.to_dict("records")
    log_predictions(
        lake,
        spec,
        [
            {
                "prediction_id": row["entity_key"],
                "event_time": row["event_time"].to_pydatetime(),
                "size": row["size"],
                "color": row["color"],
            }
            for row in records
        ],
    )
    known = [row for row in records if row["outcome"] is not None]
    log_labels(
        lake,
        spec,
        [
            {
                "prediction_id": row["entity_key"],
                "label": row["outcome"],
                "observed_at": row["observed_at"].to_pydatetime(),
            }
            for row in known
        ],
    )
    logged, replayed = load_history(spec, lake), load_history(replace(spec, traffic=traffic), lake)
    assert logged.windows == replayed.windows
    assert logged.rows["size"].tolist() == replayed.rows["size"].tolist()
    assert logged.labeled.tolist() == replayed.labeled.tolist()
    assert logged.truth[logged.labeled].tolist() == replayed.truth[replayed.labeled].tolist()
    moment = ANCHOR + DAY / 2
    everything = slice(0, len(logged.rows))
    assert logged.known(everything, moment).tolist() == replayed.known(everything, moment).tolist()


def test_without_traffic_and_predictions_there_is_nothing_to_backtest(lake):
    with pytest.raises(InsufficientDataError, match="no labeled history"):
        load_history(make_tiny_spec(), lake)


def test_rows_that_a_server_would_refuse_are_left_out(lake):
    def with_bad_rows():
        rows = traffic()
        rows.loc[5:7, "size"] = 1e6
        return rows

    history = load_history(replace(make_spec(), traffic=with_bad_rows), lake)
    kept = traffic().drop(index=[5, 6, 7])
    kept = kept[kept["event_time"] < history.windows[-1].end]
    assert history.rows["entity_key"].tolist() == kept["entity_key"].tolist()
    assert history.rows["observed_at"].tolist()[:10] == kept["observed_at"].tolist()[:10]


def test_a_source_row_that_breaks_the_contract_stops_the_backtest_as_it_stops_training(lake):
    spec = replace(make_spec(), source=lambda: tiny_source().assign(size=1e6))
    with pytest.raises(ContractViolationError, match="1200 source rows break the contract"):
        load_history(spec, lake)


def test_the_asset_makes_the_report_and_says_what_to_run(tmp_path):
    spec = make_spec()
    where = Settings(home=tmp_path)
    resources = {name: build_resources(where)[name] for name in ("lake", "backtests", "reports")}
    config = dg.RunConfig({"tiny__policy_backtest": {"config": {"policies": ["drift"], "windows": 4, "seed": 7}}})
    (asset,) = build_backtest_assets(spec)
    result = dg.materialize([asset], resources=resources, run_config=config)
    metadata = result.asset_materializations_for_node("tiny__policy_backtest")[0].metadata
    assert metadata["recommended"].value in {"static", "drift"}
    assert metadata["dagster/row_count"].value == 4 * 300
    assert {column.name for column in metadata["dagster/column_schema"].schema.columns} >= {"policy", "log_loss"}
    assert (where.reports / "tiny" / "policy-backtest.html").exists()
    assert (where.reports / "tiny" / "policy-backtest.png").stat().st_size > 5000


@pytest.mark.parametrize(("seed", "possible"), [(-1, False), (0, True), (2**32 - 1, True), (2**32, False)])
def test_a_seed_that_training_can_not_take_is_refused_before_it(seed, possible):
    options = CliRunner().invoke(backtest, ["no_model", "--seed", str(seed)])
    assert isinstance(options.exception, UnknownModelError) is possible
    assert (options.exit_code == 2) is not possible
    if possible:
        assert BacktestConfig(seed=seed).seed == seed
    else:
        with pytest.raises(ValidationError, match="seed"):
            BacktestConfig(seed=seed)


def test_the_asset_says_in_one_line_why_it_can_not_be_made(tmp_path):
    resources = {name: build_resources(Settings(home=tmp_path))[name] for name in ("lake", "backtests", "reports")}
    (asset,) = build_backtest_assets(make_tiny_spec())
    result = dg.materialize([asset], resources=resources, raise_on_error=False)
    assert not result.success
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert "no labeled history" in str(failure.event_specific_data)
