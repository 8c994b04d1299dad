"""Stage `monitoring`: what each retraining policy would have given and cost, replayed over the labeled history."""

from typing import Any

import dagster as dg
from pydantic import Field

from mlops_assets.assets.attributes import asset_attributes
from mlops_assets.assets.columns import record_columns
from mlops_assets.core.backtest import DEFAULT_POLICIES
from mlops_assets.errors import DataError, MlopsError
from mlops_assets.policies import MAXIMUM_SEED
from mlops_assets.resources.backtest_store import BacktestStore
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.report_folder import ReportFolder
from mlops_assets.spec import ModelSpec


class BacktestConfig(dg.Config):
    """Which policies are replayed, and over how much."""

    policies: list[str] = Field(
        list(DEFAULT_POLICIES),
        min_length=1,
        description="As for `mlops backtest`, overrides in brackets.",
    )
    windows: int | None = Field(None, ge=1, description="Only so many monitoring windows, the oldest.")
    seed: int | None = Field(None, ge=0, le=MAXIMUM_SEED, description="Of all training; the spec's by default.")
    search: bool = Field(False, description="Search at every retraining instead of refitting the champion's recipe.")


def build_backtest_assets(spec: ModelSpec) -> list[dg.AssetsDefinition]:
    """Return `policy_backtest` of one model; no job holds it, so it is made when somebody asks for it."""

    @dg.asset(**asset_attributes(spec, "monitoring", kinds={"scikitlearn"}))
    def policy_backtest(
        context: dg.AssetExecutionContext,
        config: BacktestConfig,
        lake: LakeResource,
        backtests: BacktestStore,
        reports: ReportFolder,
    ) -> dg.MaterializeResult[dict[str, Any]]:
        """What each retraining policy would have given and cost over the labeled history, and which one to run.

        Windows, delayed labels, triggers, training and gate are those of the live loop. It takes minutes; a run that
        was stopped goes on where it was.
        """
        from mlops_assets.assets.backtest_history import load_history
        from mlops_assets.assets.backtest_report import write_backtest_report
        from mlops_assets.assets.backtest_runs import reproducible, run_backtest
        from mlops_assets.core.backtest import parse_policy
        from mlops_assets.reports.figures import as_markdown_image

        try:
            history = load_history(reproducible(spec, seed=config.seed), lake.tables, n_windows=config.windows)
            document = run_backtest(
                history,
                [parse_policy(text) for text in config.policies],
                root=backtests.path,
                search=config.search,
            )
        except MlopsError as error:
            raise dg.Failure(str(error), allow_retries=not isinstance(error, DataError)) from None
        records = [_record(policy) for policy in document["policies"]]
        page, picture = write_backtest_report(spec, reports.of(spec.name), document)
        return dg.MaterializeResult(
            value=document,
            metadata={
                "recommended": document["recommended"]["policy"],
                "reason": document["recommended"]["reason"],
                "policies": dg.MetadataValue.table(records=records),
                "dagster/row_count": document["history"]["n_rows"],
                **record_columns(records),
                "picture": dg.MetadataValue.md(as_markdown_image(picture, "policies over time")),
                "report": dg.MetadataValue.path(str(page)),
            },
        )

    return [policy_backtest]


def _record(policy: dict[str, Any]) -> dg.TableRecord:
    totals = policy["totals"]
    return dg.TableRecord(
        {
            "policy": policy["name"],
            "log_loss": round(totals["log_loss"]["value"], 4),
            "accuracy": round(totals["accuracy"]["value"], 4),
            "retrainings": policy["retrainings"],
            "promotions": policy["promotions"],
            "refusals": policy["refusals"],
            "false_alarms": policy["false_alarms"],
        }
    )
