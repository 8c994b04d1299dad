"""What runs by the clock: the weekly rebuild, and the lake's upkeep."""

from typing import Any

import dagster as dg

from mlops_assets.settings import settings
from mlops_assets.spec import ModelSpec


def build_weekly_schedules(spec: ModelSpec, retrain_job: Any) -> list[dg.ScheduleDefinition]:
    """Return `<model>_weekly_schedule`, Sunday 02:00 UTC unless the spec says otherwise; none if it names no schedule.

    It belongs to the wall clock, so a deployment that replays history on the event clock has it stopped.
    """
    if "schedule" not in spec.retraining.triggers:
        return []
    running = settings().clock == "wall"
    weekly = dg.ScheduleDefinition(
        name=f"{spec.name}_weekly_schedule",
        job=retrain_job,
        cron_schedule=spec.retraining.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        tags={"mlops/model": spec.name, "mlops/trigger": "schedule", "mlops/reason": "weekly rebuild"},
        description="Rebuilds the model weekly, whatever the monitoring says.",
    )
    return [weekly]


def build_upkeep_schedule(spec: ModelSpec, upkeep_job: Any) -> dg.ScheduleDefinition:
    """Return `<model>_lake_upkeep_schedule`: daily 03:00 UTC unless the spec says otherwise."""
    return dg.ScheduleDefinition(
        name=f"{spec.name}_lake_upkeep_schedule",
        job=upkeep_job,
        cron_schedule=spec.upkeep.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"mlops/model": spec.name},
        description="Keeps the lake's tables quick to open.",
    )
