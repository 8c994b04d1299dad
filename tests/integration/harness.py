"""Drives one model's real sensors and jobs in this process: what the daemon does, without its clock."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from mlops_assets.definitions import build_model_definitions, build_resources
from mlops_assets.lake.tables import Lake
from mlops_assets.settings import Settings
from mlops_assets.spec import ModelSpec
from serving.formats.release import ReleaseStore

SENSORS = ("monitoring_windows", "drift", "accuracy")


@dataclass
class InProcessLoop:
    """The daemon's part of the loop for one model over a temporary home."""

    spec: ModelSpec
    home: Path
    instance: dg.DagsterInstance
    clock: Literal["wall", "event"] = "event"
    cursors: dict[str, str | None] = field(default_factory=dict)
    run_keys: set[tuple[str, str]] = field(default_factory=set)
    requested: list[tuple[str, dg.RunRequest]] = field(default_factory=list)

    def __post_init__(self) -> None:
        where = Settings(home=self.home, clock=self.clock, shipping_lag_seconds=0)
        self.resources = build_resources(where)
        self.definitions = dg.Definitions.merge(
            build_model_definitions(self.spec),
            dg.Definitions(resources=self.resources, executor=dg.in_process_executor),
        )
        self.repository = self.definitions.get_repository_def()
        self.lake, self.store = Lake(where.lake), ReleaseStore(where.release_store)

    def run(self, job: str, **options: Any) -> dg.ExecuteInProcessResult:
        """Run one of the model's jobs to its end."""
        definition = self.repository.get_job(f"{self.spec.name}_{job}")
        return definition.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def tick(self, sensor: str) -> dg.SensorResult:
        """Evaluate a sensor once and run what it requests for the first time."""
        name = f"{self.spec.name}_{sensor}_sensor"
        definition = self.repository.get_sensor_def(name)
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            repository_def=self.repository,
            resources=self.resources,
        ) as context:
            answer = definition(context)
        if isinstance(answer, dg.SkipReason):
            return dg.SensorResult(skip_reason=answer)
        result = answer if isinstance(answer, dg.SensorResult) else dg.SensorResult(run_requests=[answer])
        self.cursors[name] = result.cursor
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        for request in result.run_requests or []:
            key = (name, str(request.run_key))
            if key not in self.run_keys:
                self.run_keys.add(key)
                self.requested.append((sensor, request))
                self._execute(str(definition.job_name), request)
        return result

    def tick_all(self) -> None:
        """Evaluate all sensors once, the reports' before the triggers'."""
        for sensor in SENSORS:
            self.tick(sensor)

    def retrainings(self) -> list[dg.RunRequest]:
        """Return the retrainings that the trigger sensors asked for."""
        return [request for sensor, request in self.requested if sensor != "monitoring_windows"]

    def _execute(self, job: str, request: dg.RunRequest) -> None:
        definition = self.repository.get_job(job)
        result = definition.execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            partition_key=request.partition_key,
            tags=dict(request.tags),
            asset_selection=list(request.asset_selection) if request.asset_selection else None,
        )
        if not result.success:
            failures = [str(event.event_specific_data)[:2000] for event in result.all_events if event.is_failure]
            raise AssertionError(f"{job} failed: {failures[:1]}")
