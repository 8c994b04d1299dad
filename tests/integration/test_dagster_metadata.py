"""What Dagster's pages show of every asset after the real jobs have made it."""

import dagster as dg
import pytest

from mlops_assets.assets.code_version import code_version

LOGGED = {"size", "color", "event_time"}
ANSWERED = {"size", "color", "outcome"}
MEASURED = {"window_start", "subject", "method", "value"}
TOLD = {
    "source_data": (1200, LOGGED),
    "labelled_predictions": (600, LOGGED),
    "reference_data": (1800, LOGGED),
    "trained_model": (1500, ANSWERED),
    "model_evaluation": (300, ANSWERED),
    "production_model": (300, ANSWERED),
    "release_projections": (2, {"generation", "action", "production_version", "evidence"}),
    "drift_report": (300, MEASURED),
    "performance_report": (300, MEASURED),
    "lake_upkeep": (7, {"table", "files_before", "files_after"}),
}


@pytest.fixture(scope="module")
def materialized(promoted_twice):
    def newest(asset):
        event = promoted_twice.instance.get_latest_materialization_event(dg.AssetKey(["tiny", asset]))
        return event.asset_materialization

    return newest


@pytest.mark.parametrize("asset", TOLD)
def test_every_asset_tells_its_rows_its_columns_and_the_code_that_made_it(promoted_twice, materialized, asset):
    made, (n_rows, columns) = materialized(asset), TOLD[asset]
    assert made.metadata["dagster/row_count"].value == n_rows
    schema = made.metadata["dagster/column_schema"].value
    assert {column.name for column in schema.columns} >= columns
    assert made.tags["dagster/code_version"] == code_version(promoted_twice.spec)


def test_all_assets_that_a_job_makes_are_looked_at(promoted_twice):
    keys = {key.path[-1] for key in promoted_twice.repository.asset_graph.get_all_asset_keys()}
    assert keys == {*TOLD, "policy_backtest"}


def test_the_models_columns_say_what_is_possible_in_them(materialized):
    schema = materialized("trained_model").metadata["dagster/column_schema"].value
    told = {column.name: (column.type, column.constraints.other) for column in schema.columns}
    assert told == {
        "size": ("number", ["≥ -50", "≤ 100"]),
        "color": ("text", ["one of red, blue, green"]),
        "outcome": ("text", ["one of no, yes"]),
    }


@pytest.mark.parametrize("asset", ["model_evaluation", "production_model"])
def test_the_gates_evidence_is_a_table_of_both_models(materialized, asset):
    metadata = materialized(asset).metadata
    evidence = metadata["evidence"].data
    rows = {record.data["metric"]: record.data for record in metadata["gate"].records}
    assert {"accuracy", "log_loss", "auc"} <= rows.keys()
    accuracy = rows["accuracy"]
    assert accuracy["challenger"] == round(evidence["challenger"]["accuracy"], 4)
    assert accuracy["champion"] == round(evidence["champion"]["accuracy"], 4)
    assert accuracy["low"] < accuracy["difference"] < accuracy["high"]
    assert [record["margin"] for record in rows.values() if record["margin"]] == ["0.005"]
    assert accuracy["margin"] == "0.005"
    assert "needed" in metadata["reason"].value


def test_the_evaluation_shows_pictures_of_both_models(materialized):
    metadata = materialized("model_evaluation").metadata
    shown = {name: entry.value for name, entry in metadata.items() if isinstance(entry, dg.MarkdownMetadataValue)}
    assert shown.keys() == {"roc_and_pr_curves", "confusion_matrix_challenger", "confusion_matrix_champion"}
    assert len(set(shown.values())) == 3
    assert all("](data:image/png;base64," in picture for picture in shown.values())


def test_links_lead_to_mlflows_pages(promoted_twice, materialized):
    trained = materialized("trained_model").metadata
    run = promoted_twice.resources["registry"].client().get_run(trained["mlflow_run_id"].value)
    pages = "http://127.0.0.1:5000/#"
    assert trained["mlflow_run"] == dg.UrlMetadataValue(
        f"{pages}/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    )
    assert trained["mlflow_version"] == dg.UrlMetadataValue(f"{pages}/models/tiny/versions/2")
    assert materialized("release_projections").metadata["mlflow_model"] == dg.UrlMetadataValue(f"{pages}/models/tiny")
