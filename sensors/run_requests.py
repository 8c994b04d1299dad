"""From a decision to a run: one at a time, no duplicates, and a new attempt after a failed one."""

import dagster as dg

from mlops_assets.core.triggers import RetrainingDecision
from mlops_assets.spec import ModelSpec

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def retraining_request(
    spec: ModelSpec, decision: RetrainingDecision, instance: dg.DagsterInstance
) -> dg.RunRequest | dg.SkipReason:
    """Return the run that a decision asks for, or why none is started now.

    The run key is made of the decision's content and an attempt number: the same decision after a lost cursor asks for
    the same run, and a failed run can be asked for again.
    """
    if not decision.retrain:
        return dg.SkipReason(f"{spec.name}: {decision.reason}")
    active = instance.get_runs(dg.RunsFilter(job_name=f"{spec.name}_retrain", statuses=ACTIVE), limit=1)
    if active:
        return dg.SkipReason(f"{spec.name}: retraining {active[0].run_id} is queued or running")
    earlier = instance.get_runs(
        dg.RunsFilter(
            tags={"mlops/trigger_key": decision.key},
            statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
        )
    )
    if len(earlier) >= spec.retraining.attempts:
        return dg.SkipReason(
            f"{spec.name}: {decision.reason}; given up after {len(earlier)} failed attempts, the last is "
            f"{earlier[0].run_id}. Mend the cause, then run `mlops retrain {spec.name}`"
        )
    attempt = len(earlier) + 1
    if decision.trigger == "new_data":
        decided_on = {"mlops/source_version": str(decision.evidence["source_version"])}
    else:
        decided_on = {"mlops/decided_until": decision.windows[-1].end.isoformat()}
    return dg.RunRequest(
        run_key=f"{decision.key}:attempt-{attempt}",
        tags={
            "mlops/model": spec.name,
            "mlops/trigger": decision.trigger,
            "mlops/reason": decision.reason,
            "mlops/trigger_key": decision.key,
            "mlops/attempt": str(attempt),
            **decided_on,
        },
    )
