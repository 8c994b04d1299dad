"""Waits, at the end of a window, until the loop has said its word on it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from mlops_assets.core.windows import Window
from mlops_assets.errors import OperationError
from mlops_assets.lake.metrics import latest_summaries
from mlops_assets.lake.tables import Lake
from mlops_assets.replay.orchestration import Orchestration, Run
from mlops_assets.spec import ModelSpec
from serving.client import Client
from serving.errors import ServingError
from serving.formats.release import Release, ReleaseStore

POLL_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 900.0


@dataclass(frozen=True)
class Word:
    """What the loop said about one window."""

    window: Window
    drift: dict[str, Any]
    performance: dict[str, Any]
    release: Release | None
    seconds_to_first_answer: float | None


class Loop:
    """Watches the lake, the release chain, Dagster and the server for one model."""

    def __init__(
        self, spec: ModelSpec, lake: Lake, store: ReleaseStore, dagster: Orchestration, client: Client
    ) -> None:
        self._spec, self._lake, self._store, self._dagster, self._client = spec, lake, store, dagster, client

    def wait_until_shipped(self, acknowledged: int) -> None:
        """Wait until the lake holds as many predictions as were acknowledged.

        Raises:
            OperationError: They did not arrive.
        """
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while self.logged_predictions() < acknowledged:
            if time.monotonic() > deadline:
                raise OperationError(
                    f"{self._spec.name}: {acknowledged} predictions were acknowledged, "
                    f"{self.logged_predictions()} are in the lake; see the server's log"
                )
            time.sleep(POLL_SECONDS)

    def logged_predictions(self) -> int:
        """Return how many prediction records the lake holds."""
        records = self._lake.dataset(self._spec.name, "predictions")
        return 0 if records is None else int(records.count_rows())

    def served_generation(self) -> int:
        """Return the generation the server answers with, 0 if it has no version."""
        try:
            return int(self._client.model_info(self._spec.name).generation)
        except ServingError:
            return 0

    def wait_for_first_version(self, run_id: str, tell: Callable[[str], None]) -> Release:
        """Wait until the first promotion is served.

        Raises:
            OperationError: The run failed.
        """
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while time.monotonic() < deadline:
            release = self._store.latest(self._spec.name)
            if release is not None and self.served_generation() >= release.generation:
                return release
            run = next((run for run in self._dagster.runs(self._job) if run.run_id == run_id), None)
            if run is not None and not run.active and release is None:
                raise OperationError(f"the first training failed: {self._dagster.failure_of(run_id)}")
            tell(f"training the first version (run {run.status.lower() if run else 'queued'})")
            time.sleep(0.5)
        raise OperationError(f"{self._spec.name}: no first version within {LONGEST_WAIT_SECONDS:.0f} s")

    def wait_for_word(self, window: Window, *, tell: Callable[[str], None], send_one: Callable[[], str | None]) -> Word:
        """Wait until both reports are made, both triggers have judged them, and a retraining, if any, has ended.

        Args:
            window: The window that has closed.
            tell: Shown to the user while waiting.
            send_one: Sends one prediction and returns the version that answered; called when a promotion is seen.

        Raises:
            OperationError: The loop said nothing for too long, or a retraining failed for good.
        """
        generation, seconds = self._store.latest_generation(self._spec.name), None
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        next_look = 0.0
        while time.monotonic() < deadline:
            newest = self._store.latest_generation(self._spec.name, known=generation)
            if newest > generation:
                generation = newest
                seconds = self._first_answer(self._store.read(self._spec.name, generation), send_one)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + 1.0
                waiting_for = self._waiting_for(window, generation)
                if waiting_for is None:
                    return self._word(window, seconds)
                tell(waiting_for)
            time.sleep(POLL_SECONDS)
        raise OperationError(
            f"{self._spec.name}: the loop said nothing about window {window.key} for {LONGEST_WAIT_SECONDS:.0f} s"
        )

    @property
    def _job(self) -> str:
        return f"{self._spec.name}_retrain"

    def _waiting_for(self, window: Window, generation: int) -> str | None:
        for table in ("drift_metrics", "performance_metrics"):
            if self._summary(table, window) is None:
                self._refuse_lost_cause(self._dagster.runs(f"{self._spec.name}_monitor"), window.start)
                return f"{table.removesuffix('_metrics')} report of {window.start:%Y-%m-%d}"
        runs = self._dagster.runs(self._job)
        active = next((run for run in runs if run.active), None)
        if active is not None:
            return f"retraining ({active.tags.get('mlops/trigger', 'manual')}, run {active.status.lower()})"
        for trigger in {"drift", "accuracy"} & set(self._spec.retraining.triggers):
            cursor = self._dagster.sensor_cursor(f"{self._spec.name}_{trigger}_sensor")
            decided = cursor.get("decided_until")
            if decided is None or datetime.fromisoformat(decided) < window.end or cursor["generation"] != generation:
                return f"the {trigger} trigger's decision"
            if cursor["pending"]:
                self._refuse_lost_cause(runs, window.start)
                return f"the retraining that the {trigger} trigger asked for"
        if self.served_generation() < generation:
            return f"the server to answer with generation {generation}"
        return None

    def _refuse_lost_cause(self, runs: list[Run], since: datetime) -> None:
        """Raise if the newest runs have all failed, as often as the sensors try."""
        newest = runs[: self._spec.retraining.attempts]
        if len(newest) == self._spec.retraining.attempts and all(run.status == "FAILURE" for run in newest):
            raise OperationError(
                f"{self._spec.name}: {len(newest)} runs failed in a row for the window of {since:%Y-%m-%d}: "
                f"{self._dagster.failure_of(newest[0].run_id)}"
            )

    def _first_answer(self, release: Release, send_one: Callable[[], str | None]) -> float | None:
        """Return the seconds from the trigger to the first answer by a promoted version, None for a refusal."""
        if release.action != "promote" or release.candidate is None:
            return None
        deadline = time.monotonic() + 10
        while self.served_generation() < release.generation and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(50):
            version = send_one()
            if version == release.candidate.version:
                run = next((r for r in self._dagster.runs(self._job) if r.run_id == release.dagster_run_id), None)
                return None if run is None else time.time() - run.created
        return None

    def _summary(self, table: Any, window: Window) -> dict[str, Any] | None:
        rows = latest_summaries(self._lake, self._spec.name, table)
        return next((row for row in rows if row["window_start"] == window.start), None)

    def _word(self, window: Window, seconds: float | None) -> Word:
        chain = self._store.history(self._spec.name)
        release = next((release for release in chain if release.data_until == window.end), None)
        drift, performance = self._summary("drift_metrics", window), self._summary("performance_metrics", window)
        if drift is None or performance is None:
            raise OperationError(f"{self._spec.name}: a report of window {window.key} has gone")
        return Word(window, drift, performance, release, seconds)


def sent_predictions(lake: Lake, spec: ModelSpec) -> dict[tuple[str, datetime], str]:
    """Return the prediction ids that the lake holds already, by entity key and event time: where to resume."""
    records = lake.dataset(spec.name, "predictions")
    if records is None:
        return {}
    columns = ["entity_key", "event_time", "prediction_id"]
    rows = records.to_table(columns=columns, filter=pc.field("role") == "production")
    return {
        (key, moment): prediction_id
        for key, moment, prediction_id in zip(*(rows[name].to_pylist() for name in columns), strict=True)
    }
