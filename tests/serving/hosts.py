"""Model hosts in this process, and what their metrics say."""

from pathlib import Path

from prometheus_client import REGISTRY

from serving.scoring.host import ModelHost
from serving.scoring.last_known_good import LastKnownGood
from serving.scoring.loading import ModelLoader
from tests.serving.toy import MODEL
from tests.signing import signing_store, trusted_keys


def host_of(home: Path, *, pinned_versions: int = 4) -> ModelHost:
    """Return a host over the release store, the cache and the trusted keys of a home."""
    loader = ModelLoader(trusted_keys(home))
    return ModelHost(signing_store(home), LastKnownGood(home / "cache"), loader, pinned_versions=pinned_versions)


def bundle_failures(model: str = MODEL) -> float:
    """Return how many bundles this process has refused."""
    return REGISTRY.get_sample_value("model_bundle_failures_total", {"model": model}) or 0.0
