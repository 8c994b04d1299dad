"""What seasonal features of a window are compared with: earlier rows of the same phase of the season."""

from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.core.windows import Window, season_windows
from mlops_assets.lake.queries import labelled_predictions, log_versions
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import ModelSpec
from serving.formats.bundle import Bundle

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.profile import Counts


def season_counts(spec: ModelSpec, lake: Lake, window: Window, bundle: Bundle) -> "Counts | None":
    """Count what the lake holds of the window's phase of the season, on the bundle's profile.

    The rows are those that the model could have known: settled source rows and unique predictions up to the newest row
    it was tuned on, so that drift never becomes its own reference. None where no seasonal feature is to be matched.
    """
    if not spec.compares_seasons:
        return None
    from mlops_assets.core.profile import Profile
    from mlops_assets.core.seasons import count_season

    until = datetime.fromisoformat(bundle.manifest.tuned_until)
    return count_season(Profile.from_dict(bundle.profile), season_rows(spec, lake, window, until=until))


def season_rows(spec: ModelSpec, lake: Lake, window: Window, *, until: datetime) -> "pd.DataFrame":
    """Return the features of the rows of the window's phase, one per entity and event time, `until` included.

    Of two rows on one entity and event time the source row stays, as in a snapshot.
    """
    import pandas as pd

    oldest = (lake.oldest(spec.name, "source", "event_time"), lake.oldest(spec.name, "predictions", "event_time"))
    since = min((time for time in oldest if time is not None), default=until)
    versions = log_versions(lake, spec.name)
    columns = [*spec.feature_names, "event_time", "entity_key"]
    frames = [pd.DataFrame(columns=columns)]
    for earlier in season_windows(window, spec.drift.season, since=since, until=until):
        logged = labelled_predictions(lake, spec, versions, start=earlier.start, end=earlier.end)
        logged["entity_key"] = logged["entity_key"].fillna(logged["prediction_id"])
        frames += [_source_rows(lake, spec, earlier)[columns], logged[columns]]
    rows = pd.concat([frame for frame in frames if not frame.empty] or frames, ignore_index=True)
    return rows[rows["event_time"] <= until].drop_duplicates(["entity_key", "event_time"], ignore_index=True)


def _source_rows(lake: Lake, spec: ModelSpec, window: Window) -> "pd.DataFrame":
    import pyarrow.compute as pc

    from mlops_assets.core.schema import with_features

    time = pc.field("event_time")
    frame = lake.read(spec.name, "source", rows=(time >= window.start) & (time < window.end))
    return with_features(frame, spec)
